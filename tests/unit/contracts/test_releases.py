import json

import pytest
from tests.fakes.releases import a_manifest

from projectone.contracts.releases import (
    NotedRelease,
    ReleaseManifest,
    ReleaseNotes,
    family_of,
    line_of,
    release_path,
    rollout_path,
)
from projectone.errors import ContractError


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


# What a manifest had before releases said what is new in them. Those devices refuse every other field.
FIELDS_OF_BEFORE = {
    "schema_version", "channel", "tier", "seq", "version", "repo_id", "commit", "base_sha256", "weights_sha256",
    "package_sha256", "package_size_bytes", "files", "updates", "min_runtime", "min_seq", "rollout", "created_at",
    "expires_at",
}  # fmt: skip
NOTES = ReleaseNotes(after="1.0.0", n_samples=40, n_new_samples=12, n_words=100, n_wrong=5, n_wrong_before=9)


def test_a_device_of_before_reads_the_manifest_of_a_release_with_notes() -> None:
    release = NotedRelease.of(a_manifest(), NOTES)
    assert release.notes == NOTES
    assert set(json.loads(release.listed().to_bytes())) == FIELDS_OF_BEFORE
    assert release.listed() == a_manifest()
    with pytest.raises(ContractError, match="notes"):
        ReleaseManifest.from_bytes(release.to_bytes())


def test_what_is_kept_of_a_release_has_its_notes_and_without_any_the_bytes_of_the_manifest() -> None:
    plain, told = NotedRelease.of(a_manifest()), NotedRelease.of(a_manifest(), NOTES)
    assert plain.to_bytes() == a_manifest().to_bytes()
    assert NotedRelease.from_bytes(told.to_bytes()) == told
    assert NotedRelease.of(told) == told


@pytest.mark.parametrize(
    "changes",
    [
        {"after": "\x1b[2J1.0.0"},
        {"after": "1.0.0\n"},
        {"after": "\u202e1.0.0"},
        {"after": "1" * 100_000},
        {"after": None},
        {"n_wrong_before": None},
        {"n_new_samples": 41},
        {"n_wrong": 10**400},
        {"n_samples": 10**10},
        {"audio_s": 1e300},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_notes_that_cannot_be_meant_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ContractError, match="ReleaseNotes"):
        ReleaseNotes.from_bytes(json.dumps(NOTES.model_dump() | changes).encode())


def test_more_words_may_be_wrong_than_were_said() -> None:
    assert ReleaseNotes(n_words=100, n_wrong=500).n_wrong == 500  # words that nobody said count as wrong
