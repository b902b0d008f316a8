import pytest

from projectone.contracts.releases import family_of, line_of, release_path, rollout_path


def test_speech_keeps_the_channel_that_it_had_and_intents_have_a_line_of_their_own() -> None:
    assert line_of("speech", "stable") == "stable"
    line = line_of("intents", "stable")
    assert (release_path(line, "float16"), rollout_path(line)) == (
        "stable.intents/float16/release.json",
        "stable.intents/rollout.json",
    )
    assert [family_of(name) for name in ("stable", line, "intents")] == ["speech", "intents", "speech"]


@pytest.mark.parametrize("channel", ["stable.intents", "beta.speech"])
def test_no_channel_is_mistaken_for_the_line_of_a_family(channel: str) -> None:
    with pytest.raises(ValueError, match="does not end with the name of a family"):
        line_of("speech", channel)
