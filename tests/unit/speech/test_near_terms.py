from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from projectone.speech.near_terms import Near, NearTerms, letters_of

word = st.text("abc", min_size=1, max_size=4)


def distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for letter in one:
        above, row = row, [row[0] + 1]
        for at, against in enumerate(other):
            row.append(min(above[at + 1] + 1, row[at] + 1, above[at] + (letter != against)))
    return row[-1]


@given(st.lists(word, min_size=1, max_size=6), st.text("abc", min_size=4, max_size=7))
def test_the_nearest_words_are_those_with_the_fewest_edits(words: list[str], term: str) -> None:
    spans = [(a, b) for a in range(len(words)) for b in range(a + 1, len(words) + 1)]
    edits = {span: distance("".join(words[span[0] : span[1]]), term) for span in spans}
    for near in NearTerms([term]).find(words, 1):
        assert near.n_edits == min(edits.values()) == edits[near.start, near.end]
        assert 0 < near.n_edits <= 0.4 * len(term)


def test_a_name_is_found_in_the_words_that_it_was_misheard_as() -> None:
    terms = NearTerms(["Pittsburgh", "Namrata", "m a r k"])
    assert terms.find(["I", "live", "in", "pits", "burg", "now"], 1) == [Near("Pittsburgh", 3, 5, 2)]
    assert terms.find(["it", "is", "n", "a", "r", "k"], 1) == [Near("m a r k", 2, 6, 1)]


def test_a_name_that_is_there_already_is_not_near_to_itself() -> None:
    assert NearTerms(["m a r k"]).find(["m", "a", "r", "k"], 4) == []
    assert NearTerms(["Namrata"]).find(["NAMRATA,"], 4) == []


def test_short_terms_and_strange_texts_are_near_to_nothing() -> None:
    assert NearTerms(["Al", "B12"]).find(["all", "b13"], 4) == []
    terms = NearTerms(["Namrata"])
    assert terms.find([], 4) == terms.find(["?", "!"], 4) == terms.find(["won", "too"], 4) == []


def test_punctuation_among_the_words_is_left_outside() -> None:
    (near,) = NearTerms(["Namrata"]).find(["-", "namrada", "-"], 4)
    assert (near.start, near.end) == (1, 2)


def test_the_nearest_come_first_and_only_so_many() -> None:
    terms = [f"namrat{letter}" for letter in "bcdefgh"]
    found = NearTerms([*terms, "namradax"]).find(["namrata"], 3)
    assert [near.n_edits for near in found] == [1, 1, 1]


def test_blanks_and_case_do_not_count() -> None:
    assert letters_of("M c-Kees, Port 7") == "mckeesport7"
