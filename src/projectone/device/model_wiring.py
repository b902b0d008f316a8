"""Joins what the models of a device need: a trial on the user's own recordings, and room in memory for two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from projectone.device.acceptance import Acceptance, OwnRecording, TrialRows
from projectone.device.installed import Installed, Slot
from projectone.device.outbox import Outbox
from projectone.device.recordings import Clip, FineTuningDataPoint, Recordings
from projectone.device.transcriber import MayGoOn, ModelTrial
from projectone.storage.database import Database

_NEWEST = 200
_SPOKEN = 3
_SPOKEN_S = 15.0


def acceptance(
    database: Database,
    recordings: Recordings,
    outbox: Outbox,
    language: str,
    read_clip: Callable[[bytes], Clip],
    clock: Callable[[], datetime],
) -> Acceptance:
    """Trials of new models on what the user corrected and read aloud."""

    def words(text: str) -> tuple[str, ...]:
        # Imported here: `status` or `sync` need none of it.
        from projectone.speech.normalize import normalize_text

        return tuple(normalize_text(text, language=language).split())

    def errors(said: Sequence[str], heard: Sequence[str]) -> int:
        from projectone.speech.wer import count_errors

        return count_errors(said, heard).errors

    def own(made_at: datetime) -> list[OwnRecording]:
        return [
            OwnRecording(
                point.audio_sha256, point.duration_s, words(point.text), _may_be_learned(point, made_at, outbox)
            )
            for point in reversed(recordings.points()[-_NEWEST:])
        ]

    def spoken() -> list[str]:
        found = (item for item in recordings.newest(20) if item.duration_s <= _SPOKEN_S and item.text.strip())
        return [item.audio_sha256 for item, _ in zip(found, range(_SPOKEN), strict=False)]

    return Acceptance(
        own,
        lambda audio_sha256: read_clip(recordings.audio(audio_sha256)).samples,
        words=words,
        errors=errors,
        rows=TrialRows(database),
        clock=clock,
        spoken=spoken,
    )


def trials(installed: Installed, acceptance: Acceptance) -> Callable[[Slot, MayGoOn], ModelTrial]:
    """What the transcriber begins a trial with."""

    def begin(slot: Slot, may_go_on: MayGoOn) -> ModelTrial:
        made_at = installed.manifest_of(slot).created_at
        return acceptance.begin(seq=slot.seq, version=slot.version, made_at=made_at, may_go_on=may_go_on)

    return begin


def _may_be_learned(point: FineTuningDataPoint, made_at: datetime, outbox: Outbox) -> bool:
    """Whether the server may have had it when a model was made: what stayed here, or came later, it had not."""
    if point.created_at > made_at:
        return False
    return point.uploaded or outbox.state_of(point.sample_id) in ("sending", "sent", "withdrawn")
