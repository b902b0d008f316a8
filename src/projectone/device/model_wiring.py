"""Joins what the models of a device need: a trial on the user's own recordings, and room in memory for two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from projectone.device import conditions
from projectone.device.acceptance import Acceptance, OwnRecording, TrialRows
from projectone.device.adoption import Adoption, Bring
from projectone.device.health import Cohorts, Reporter
from projectone.device.health.after import ModelUses
from projectone.device.in_use import MayGoOn
from projectone.device.installed import Installed, Slot
from projectone.device.outbox import Outbox
from projectone.device.recordings import Clip, FineTuningDataPoint, Recordings
from projectone.device.releases import SignedReleases
from projectone.device.settings import DeviceSettings
from projectone.device.transcriber import ModelTrial, Transcriber
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.device.updater import TakeTurn, Updater, UpdateReport
from projectone.device.updater.download import ByteProgress
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
            for point in reversed([point for point in recordings.points() if point.kind != "intent"][-_NEWEST:])
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


def updater(
    installed: Installed,
    trust: Trust,
    transport: Transport,
    transcriber: Transcriber,
    take_turn: TakeTurn,
    settings: DeviceSettings,
    clock: Callable[[], datetime],
) -> Updater:
    """What looks for a newer model and brings it."""
    return Updater(
        installed,
        SignedReleases(settings.home / "releases", settings.release_root, trust, transport, clock=clock),
        transport,
        settings.home / "staging",
        channel=settings.channel,
        try_new_model=transcriber.try_new_model,
        take_turn=take_turn,
        budget_bytes=settings.model_budget_bytes,
    )


def bring(updater: Updater, transcriber: Transcriber, reporter: Reporter, uses: ModelUses) -> Bring:
    """Looks for a newer model, brings it, and says how that went, if the user wants it said."""

    def bring_newest(
        *,
        is_again: bool = False,
        is_early: bool = False,
        may_try: MayGoOn = lambda: True,
        on_progress: ByteProgress | None = None,
    ) -> UpdateReport:
        report = updater.update(is_again=is_again, is_early=is_early, may_try=may_try, on_progress=on_progress)
        transcriber.reload()  # another process may have brought it before
        if report.status == "updated" and report.to_version is not None:
            uses.begin(report.to_version)
        reporter.report()
        return report

    return bring_newest


def adoption(
    database: Database,
    installed: Installed,
    transcriber: Transcriber,
    rows: TrialRows,
    uses: ModelUses,
    bring_newest: Bring,
    cohorts: Cohorts,
    settings: DeviceSettings,
    clock: Callable[[], datetime],
) -> Adoption:
    """The models of this device over time."""
    return Adoption(
        database,
        installed,
        rows=rows,
        uses=uses,
        bring=bring_newest,
        reload=transcriber.reload,
        is_in_gap=lambda: transcriber.is_in_gap,
        seen=cohorts.seen,
        look=conditions.look,
        hours=conditions.Hours(*settings.update_hours),
        budget_bytes=settings.model_budget_bytes,
        clock=clock,
    )
