from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.evaluation.intents.hearings import HEARD, with_hearings

SAID = [
    "play some slow music for the evening",
    "what will the weather be tomorrow morning",
    "wake me up at seven please",
]


def test_what_has_an_intent_is_judged_as_heard_too_and_both_forms_are_one_speakers() -> None:
    texts = [GoldenText(f"t{n}", f"t{n}", "plain", text, "a") for n, text in enumerate(SAID * 4)]
    texts = [*texts, GoldenText("none", "none", "plain", "zebra", None)]
    made = with_hearings(texts)
    heard = [text for text in made if text.slice == HEARD]
    assert made[: len(texts)] == texts
    assert heard == [text for text in with_hearings(texts) if text.slice == HEARD]  # every model gets the same
    assert 3 <= len(heard) <= len(SAID) * 4
    written = {text.text_id: text for text in texts}
    for text in heard:
        before = written[text.speaker]
        assert (text.label, text.text_id) == (before.label, f"{before.text_id}-heard")
        assert text.text != before.text
