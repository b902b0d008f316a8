"""Names, numbers and dates of an answer that no source has."""

from __future__ import annotations

import pytest

from projectone.assist.grounding import Claim, Sources, claims, unsupported
from projectone.assist.number_words import numbers_in_words

SOURCES = [
    "On 2024-03-12 Anna Meyer rang about three invoices, 1,200.50 euros in all.",
    "Take 2 tablets for 3 weeks, with 30 milligrams each, one hour before sleep. The pack lasts 24 months.",
    "The office in Paris opens on Monday at 9:30; write to help@example.org.",
]


@pytest.mark.parametrize(
    "answer",
    [
        "Anna Meyer called on 12 March 2024 about 3 invoices.",
        "Anna's call was on March 12th. She owes 1200.5 euros.",
        "The Paris office opens at 9:30 on Mondays.",
        "Please write to help@example.org.",
        "I'm sorry, I can't help with that. Please ask again tomorrow.",
        "It was in March 2024.",
        "You may call; we march on.",
        "1. Take 30 mg\n2. for three weeks\n3) and sleep 1 hour later",
        "Two of them, and thirty; 24 of that.",
    ],
)
def test_what_the_sources_have_is_grounded_however_it_is_written(answer: str) -> None:
    assert unsupported(answer, SOURCES) == ()


@pytest.mark.parametrize(
    ("answer", "made_up"),
    [
        ("Anna Miller called.", Claim("name", "Miller")),
        ("Paris is closed. Call Berlin instead.", Claim("name", "Berlin")),
        ("Peter said so.", Claim("name", "Peter")),
        ("She owes 1,250.50 euros.", Claim("number", "1,250.50")),
        ("She has four invoices.", Claim("number", "four")),
        ("She called on 13 March 2024.", Claim("date", "13 March 2024")),
        ("She called on 12 March 2023.", Claim("date", "12 March 2023")),
        ("It opens on Tuesday.", Claim("date", "Tuesday")),
        ("It opens at 9:45.", Claim("date", "9:45")),
        ("Write to sales@example.com.", Claim("name", "sales@example.com")),
        ("Your stops: Rome, Paris.", Claim("name", "Rome")),
        ("It lasts 24 days.", Claim("number", "24")),
        ("It costs $24.", Claim("number", "24")),
        ("It lasts twenty four hours.", Claim("number", "twenty four")),
    ],
)
def test_what_no_source_has_is_named(answer: str, made_up: Claim) -> None:
    assert unsupported(answer, SOURCES) == (made_up,)


@pytest.mark.parametrize(
    ("answer", "source", "made_up"),
    [
        ("The dose is 1.000.000 units.", "The dose is 5 units.", ["1.000.000"]),
        ("Take 9,5000 mg", "Take 5 mg", ["9,5000"]),
        ("It costs 3,14159 euros", "It costs 2 euros", ["3,14159"]),
        ("Pay 1,23,45 now", "Pay 1 now", ["1,23"]),
        ("Pay 1,200.300,5 now", "Pay 1200 now", ["1,200.300,5"]),
        ("In 2020 300 came", "In 2020 200 came", ["300"]),
        ("Twenty and two tablets.", "22 tablets.", ["Twenty and two"]),
    ],
)
def test_a_number_in_a_form_of_its_own_is_looked_up_too(answer: str, source: str, made_up: list[str]) -> None:
    assert [claim.text for claim in unsupported(answer, [source])] == made_up


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("The dose is 1.000.000 units.", "The dose is 1,000,000 units, a million."),
        ("Take 9,5000 mg", "Take 9.5 mg"),
        ("It costs 5 000,5 euros", "It costs 5000.5 euros"),
        ("Pay 1,200.300,5 now", "You owe 1,200.300,5 to us"),
        ("In 2020 300 came", "300 came in 2020"),
        ("Choose between thirty and five.", "The numbers are 30 and 5."),
    ],
)
def test_a_number_in_a_form_of_its_own_that_a_source_has_is_grounded(answer: str, source: str) -> None:
    assert unsupported(answer, [source]) == ()


def test_an_answer_without_sources_may_claim_nothing() -> None:
    assert {claim.kind for claim in unsupported("Anna Meyer owes 3 euros since Monday.", [])} == {
        "name",
        "number",
        "date",
    }
    assert unsupported("All right.", []) == ()


def test_sources_are_read_once_for_many_answers() -> None:
    known = Sources(SOURCES)
    assert [known.lack(answer) for answer in ("Three invoices.", "Seven invoices.")] == [
        (),
        (Claim("number", "Seven"),),
    ]


def test_each_claim_is_told_once() -> None:
    found = claims("In 2024 and 2024 we met Mr Sorley, and Mr Sorley left.")
    assert found == (Claim("number", "2024"), Claim("name", "Sorley"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("twenty five", [25]),
        ("two hundred and three", [203]),
        ("a thousand and five", [1005]),
        ("three two one", [3, 2, 1]),
        ("twenty and two", [20, 2]),
        ("thirty-two and five", [32, 5]),
        ("a hundred and twenty and two", [120, 2]),
        ("two million three hundred thousand and twelve", [2_300_012]),
        ("nineteen eighty four", [19, 84]),
        ("on the twenty-third", [23]),
        ("one of them", []),
        ("one hundred", [100]),
    ],
)
def test_numbers_in_words_have_their_value(text: str, values: list[int]) -> None:
    assert [written.value for written in numbers_in_words(text)] == values


@pytest.mark.parametrize(
    "piece",
    ["a", "a@", "a.", "\n", " \n", "A ", "A of ", "1,", "1,111", "one ", "and ", "3 May ", ". ", "-", "'", "A'"],
)
def test_a_text_that_is_made_to_stop_it_is_read_like_any_other(piece: str) -> None:
    text = piece * (16_000 // len(piece))  # as long as an answer may be; a pattern that tries all ways takes minutes
    assert unsupported(text, [text]) == ()
