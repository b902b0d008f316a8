"""What is personal does not leave, and comes back with the answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest
from tests.fakes.chat_server import ChatServer, serving
from tests.fakes.generators import Piecewise, Scripted, asked, failing
from tests.fakes.personal_sentences import Sentence, Set, sentences

from projectone.assist.generation.hosted import HostedGenerator, HostedServer
from projectone.assist.generation.masking import Mask, MaskedGenerator
from projectone.assist.generation.protocol import Answer, GenerationError


def crossed(sentence: Sentence, text: str) -> list[str]:
    """The personal parts, and each of their longer words, that are still in a text."""
    lowered = text.casefold()
    parts = {*sentence.personal, *(word for part in sentence.personal for word in part.split() if len(word) > 3)}
    return [part for part in parts if part.casefold() in lowered and part.casefold() not in ("road", "the")]


@pytest.mark.parametrize("which", ["tuned", "held_out"])
def test_what_is_personal_is_hidden_and_comes_back(which: Set) -> None:
    missed = []
    for sentence in sentences(which, 300):
        mask = Mask(sentence.known)
        hidden = mask.hide(sentence.text)
        assert mask.restore(hidden) == sentence.text
        missed += [(sentence.text, parts)] if (parts := crossed(sentence, hidden)) else []
    assert missed == []


def test_what_cannot_be_found_is_known() -> None:
    # In small letters, without a cue, not known to the device: no form gives these away. docs/answers.md says so.
    for text in ("tell beatrix that i will be late", "the mayor of our village owes me money", "ich wohne bei tunde"):
        assert Mask().hide(text) == text
    assert Mask(["Beatrix"]).hide("tell beatrix that i will be late") == "tell [NAME_1] that i will be late"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mail me at ana dot kowalska at example dot org please", "mail [EMAIL_1] please"),
        ("mail ana underscore k at example dot co dot uk please", "mail [EMAIL_1] please"),
        ("my password is hunter2 and my flat k9", "my password is [NUMBER_1] and my flat [NUMBER_2]"),
        ("the plate is wx 7 4 k z here", "the plate is [NUMBER_1] here"),
        ("the plate is wx seven four k z here", "the plate is [NUMBER_1] here"),
        ("it is spelled i d a r", "it is spelled [NUMBER_1]"),
        ("badge 7b is lost", "badge [NUMBER_1] is lost"),
    ],
)
def test_spelled_and_mixed_signs_are_hidden_whole(text: str, hidden: str) -> None:
    mask = Mask()
    assert mask.hide(text) == hidden
    assert mask.restore(hidden) == text


@pytest.mark.parametrize("known", ["Jos\u00e9", "Jose\u0301"])
@pytest.mark.parametrize("written", ["jos\u00e9", "jose\u0301", "JOSE\u0301"])
def test_an_accent_of_its_own_hides_no_name_from_the_search(known: str, written: str) -> None:
    mask = Mask([known])
    assert mask.hide(f"call {written} tomorrow") == "call [NAME_1] tomorrow"
    assert mask.restore("[NAME_1]") == unicodedata.normalize("NFC", written)


def test_a_name_with_an_accent_of_its_own_is_hidden_whole() -> None:
    for text in ("tell Zoe\u0308 now", "my wife zoe\u0308 now"):
        mask = Mask()
        assert mask.hide(text).endswith(" [NAME_1] now")
        assert mask.restore("[NAME_1]").casefold() == "zo\u00eb"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("CALL BOB AND ALICE NOW", "CALL [NAME_1] AND [NAME_2] NOW"),
        ("MY NAME IS BOB SMITH AND MY WIFE IS ANNA", "MY NAME IS [NAME_1] AND MY [NAME_2] IS [NAME_3]"),
        ("REMIND ME TO CALL YOU TOMORROW", "REMIND ME TO CALL YOU TOMORROW"),
    ],
)
def test_in_capitals_alone_what_is_not_common_is_hidden(text: str, hidden: str) -> None:
    mask = Mask()
    assert mask.hide(text) == hidden
    assert mask.restore(hidden) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("my email is anna at gmail.com", "my email is [EMAIL_1]"),
        ("write to anna.kovac at gmail.com please", "write to [EMAIL_1] please"),
        ("my email is anna@ gmail.com", "my email is [EMAIL_1]"),
        ("my email is anna @gmail.com", "my email is [EMAIL_1]"),
        ("my email is anna @ mail.example.org now", "my email is [EMAIL_1] now"),
        ("my email is anna [at] gmail.com", "my email is [EMAIL_1]"),
        ("my email is anna(at)gmail(dot)com", "my email is [EMAIL_1]"),
        ("it is anna [dot] k [at] gmail [dot] com now", "it is [EMAIL_1] now"),
        ("it is anna underscore k at gmail.com now", "it is [EMAIL_1] now"),
        ("my address is anna AT gmail DOT com", "my address is [EMAIL_1]"),
        ("ask o'brien at\nexample.co.uk about it", "ask [EMAIL_1] about it"),
        ("my email is me at example.com", "my email is [EMAIL_1]"),
        ("find anna at gmail.com", "find [EMAIL_1]"),
        ("write to will at mail.example dot com", "write to [EMAIL_1]"),
    ],
)
def test_an_address_is_hidden_however_its_signs_are_written(text: str, hidden: str) -> None:
    mask = Mask()
    assert mask.hide(text) == hidden
    assert mask.restore(hidden) == text


@pytest.mark.parametrize("piece", ["a at ", "a dot ", "a@", "a.", "a at a.", "a [at] ", "(", "at a. "])
def test_a_text_that_is_made_to_stop_the_search_does_not(piece: str) -> None:
    text = piece * (8_000 // len(piece))  # a pattern that tries all ways takes minutes
    mask = Mask()
    assert mask.restore(mask.hide(text)) == text


def test_what_is_not_personal_stays() -> None:
    for text in (
        "how warm is it today",
        "Remind me to buy milk at 7",
        "What is the difference between a virus and a bacterium?",
        "may i ask how to march in step",
        "one or two of these things",
        "wake me at 7am or at 5 p m for a 2nd time",
        "a 5k run takes 25min and i do it twice",
        "meet me at the park at noon",
        "take one a day",
        "meet me at example.com",
        "look at example.com for it",
        "i ran it at 6.5 and him at 7.0",
    ):
        assert Mask().hide(text) == text


def test_the_same_words_have_the_same_mark_in_prompt_and_system() -> None:
    inner = Scripted("Dear [NAME_1], dear NAME_2.")
    masked = MaskedGenerator(inner, names=lambda: ["Ida", "Jo"])
    answer = masked.generate(asked("write to ida and jo soon", system="The user is jo, a friend of ida."))
    (sent,) = inner.requests
    assert sent.prompt == "write to [NAME_1] and [NAME_2] soon"
    assert sent.system.startswith("The user is [NAME_2], a friend of [NAME_1].\n")
    assert answer.text == "Dear ida, dear jo."


def test_facts_do_not_leave() -> None:
    inner = Scripted("yes")
    MaskedGenerator(inner).generate(asked("is that so", facts={"said": "my sister is Ida"}))
    assert inner.requests[0].facts == {}


def test_marks_that_a_person_wrote_come_back_as_they_were() -> None:
    inner = Scripted("You wrote [TEXT_1].")
    assert MaskedGenerator(inner).generate(asked("what does [NAME_1] mean here")).text == "You wrote [NAME_1]."


@pytest.mark.parametrize("prompt", ["Anna Schmidt", "call Anna", "4111 1111 1111 1111"])
def test_what_is_nothing_but_personal_is_not_sent(prompt: str) -> None:
    inner = Scripted("yes")
    with pytest.raises(GenerationError) as caught:
        MaskedGenerator(inner).generate(asked(prompt))
    assert (caught.value.reason, inner.requests) == ("masked-away", [])


def test_a_mark_that_nobody_gave_is_garbage() -> None:
    with pytest.raises(GenerationError) as caught:
        MaskedGenerator(Scripted("Dear [NAME_7]")).generate(asked("write a letter"))
    assert caught.value.reason == "garbage"


def test_a_stream_never_shows_half_a_mark() -> None:
    inner = Piecewise(["Dear [NA", "ME_1", "], how ", "are you?"], "")
    inner.generate = lambda request: Answer(  # type: ignore[method-assign]
        text="Dear [NAME_1], how are you?", by="x", model_version="1", seed=0
    )
    *pieces, answer = MaskedGenerator(inner, names=lambda: ["ida"]).stream(asked("greet ida for me"))
    assert pieces == ["Dear ", "ida, how ", "are ", "you?"]
    assert isinstance(answer, Answer) and answer.text == "".join(map(str, pieces))


def test_the_reason_of_the_other_one_is_passed_on() -> None:
    with pytest.raises(GenerationError) as caught:
        MaskedGenerator(Scripted(failing("429"))).generate(asked("how warm is it"))
    assert caught.value.reason == "429"


def bodies(server: ChatServer) -> str:
    """What was asked: the port in a head may be any number."""
    return b"".join(request.partition(b"\r\n\r\n")[2] for request in server.received).decode()


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with serving() as server:
        server.said = ""  # repeats what it was asked
        yield server


def test_nothing_personal_crosses_the_socket_and_the_answer_has_it_again(server: ChatServer) -> None:
    hosted = HostedGenerator(HostedServer(base_url=server.base_url, model="m"))
    for sentence in sentences("held_out", 60, seed=1):
        masked = MaskedGenerator(hosted, names=lambda sentence=sentence: sentence.known)  # type: ignore[misc]
        request = asked(sentence.text, deadline_s=60.0)
        assert masked.generate(request).text == sentence.text
        *_, answer = masked.stream(request)
        assert isinstance(answer, Answer) and answer.text == sentence.text
        assert crossed(sentence, bodies(server)) == []
        server.received.clear()
    hosted.close()


def test_without_the_mask_it_all_crosses(server: ChatServer) -> None:
    hosted = HostedGenerator(HostedServer(base_url=server.base_url, model="m"))
    for sentence in sentences("held_out", 12, seed=1):
        hosted.generate(asked(sentence.text, deadline_s=60.0))
        assert set(sentence.personal) <= set(crossed(sentence, bodies(server)))
    hosted.close()
