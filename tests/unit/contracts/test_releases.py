import json

import pytest
from tests.fakes.releases import a_manifest

from projectone.contracts.releases import (
    ReleaseManifest,
    ReleaseNotes,
    family_of,
    line_of,
    release_path,
    rollout_path,
)


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


def test_a_manifest_without_notes_has_the_bytes_that_it_had_before_there_were_any() -> None:
    written = a_manifest().to_bytes()
    assert "notes" not in json.loads(written)
    assert ReleaseManifest.from_bytes(written).to_bytes() == written
    told = a_manifest().model_copy(update={"notes": ReleaseNotes(n_words=100, n_wrong=5)})
    assert json.loads(told.to_bytes())["notes"]["n_wrong"] == 5
    assert ReleaseManifest.from_bytes(told.to_bytes()) == told
