"""Joins what the models of a device need: a trial on the user's own recordings, and room in memory for two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from projectone import __version__
from projectone.contracts.devices import Enrolment
from projectone.contracts.releases import DEFAULT_TIER, ReleaseManifest, line_of
from projectone.contracts.rollouts import Turn
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device import conditions
from projectone.device.acceptance import Acceptance, OwnRecording, TrialRows
from projectone.device.adoption import Adoption, Bring, ModelLine
from projectone.device.health import Cohorts, Reporter, Windows
from projectone.device.health.after import ModelUses
from projectone.device.in_use import MayGoOn
from projectone.device.installed import Installed, Outcome, Slot
from projectone.device.outbox import Outbox
from projectone.device.recordings import Clip, FineTuningDataPoint, Recordings
from projectone.device.releases import SignedReleases
from projectone.device.settings import DeviceSettings
from projectone.device.transcriber import ModelTrial
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.device.updater import SeeTurn, TakeTurn, Updater, UpdateReport
from projectone.device.updater.download import ByteProgress
from projectone.storage.database import Database

_NEWEST = 200
_SPOKEN = 3
_SPOKEN_S = 15.0


def acceptance(
    rows: TrialRows,
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
                point.audio_sha256, point.duration_s, words(point.text), may_be_learned(point, made_at, outbox)
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
        rows=rows,
        clock=clock,
        spoken=spoken,
    )


def trials(installed: Installed, acceptance: Acceptance) -> Callable[[Slot, MayGoOn], ModelTrial]:
    """What the transcriber begins a trial with."""

    def begin(slot: Slot, may_go_on: MayGoOn) -> ModelTrial:
        made_at = installed.manifest_of(slot).created_at
        return acceptance.begin(seq=slot.seq, version=slot.version, made_at=made_at, may_go_on=may_go_on)

    return begin


def may_be_learned(point: FineTuningDataPoint, made_at: datetime, outbox: Outbox) -> bool:
    """Whether the server may have had it when a model was made: what stayed here, or came later, it had not."""
    if point.created_at > made_at:
        return False
    return point.uploaded or outbox.state_of(point.sample_id) in ("sending", "sent", "withdrawn")


class Worker(Protocol):
    """Answers with the models of a family: the transcriber, the assistant."""

    @property
    def is_in_gap(self) -> bool:
        """Whether nobody gets an answer just now."""
        ...

    def try_new_model(self, may_go_on: MayGoOn) -> Outcome[object] | None:
        """Try the model on trial, and use it from now on."""
        ...

    def reload(self) -> None:
        """Use the model that is current now."""
        ...


def line(
    family: Family,
    installed: Installed,
    database: Database,
    transport: Transport,
    introduce: Callable[[], Enrolment],
    clock: Callable[[], datetime],
) -> ModelLine:
    """The rooms of one family of models, over the models that are here."""
    rows, windows = TrialRows(database, family), Windows(database, family=family)
    reporter = Reporter(
        windows,
        transport,
        state=installed.state,
        verdict_of=rows.told_of,
        introduce=introduce,
        app_version=__version__,
        clock=clock,
    )
    uses = ModelUses(database, installed, clock, family=family)
    return ModelLine(family, installed, windows, Cohorts(database, family), uses, rows, reporter)


def adoption(
    line: ModelLine,
    worker: Worker,
    others: Sequence[Installed],
    database: Database,
    transport: Transport,
    settings: DeviceSettings,
    clock: Callable[[], datetime],
    *,
    also_ask: Callable[[], object] | None = None,
) -> Adoption:
    """The models of one family over time: looked for, brought, tried, gone back from.

    Args:
        line: The family's rooms.
        worker: What answers with its models.
        others: The models of other families: all share what the user allows on the disk.
        database: Of this device.
        transport: The way to the server.
        settings: What the user chose.
        clock: The time.
        also_ask: What else the server is asked for whenever it is asked for a model.
    """
    updater = _updater(line, worker, others, transport, settings, clock)
    return Adoption(
        database,
        line.installed,
        rows=line.rows,
        uses=line.uses,
        bring=_bring(updater, worker, line, also_ask),
        look_for=updater.look,
        reload=worker.reload,
        is_in_gap=lambda: worker.is_in_gap,
        seen=line.cohorts.seen,
        look=conditions.look,
        hours=conditions.Hours(*settings.update_hours),
        budget_bytes=settings.model_budget_bytes,
        clock=clock,
        family=line.family,
    )


def _updater(
    line: ModelLine,
    worker: Worker,
    others: Sequence[Installed],
    transport: Transport,
    settings: DeviceSettings,
    clock: Callable[[], datetime],
) -> Updater:
    is_speech = line.family == DEFAULT_FAMILY
    trust = Trust(
        settings.release_keys,
        channel=line_of(line.family, settings.channel),
        runtime=__version__,
        tier=settings.tier if is_speech else DEFAULT_TIER,  # a classifier has one form
    )
    return Updater(
        line.installed,
        # One memory of what the server signed, whatever it is about: it never goes back for any family.
        SignedReleases(settings.home / "releases", settings.release_root, trust, transport, clock=clock),
        transport,
        settings.home / ("staging" if is_speech else f"staging-{line.family}"),
        channel=settings.channel,
        try_new_model=worker.try_new_model,
        take_turn=_turns(line, clock),
        see_turn=_seen_turns(line, clock),
        budget_bytes=settings.model_budget_bytes,
        family=line.family,
        beside=lambda: sum(installed.used_bytes() for installed in others),
    )


def _turns(line: ModelLine, clock: Callable[[], datetime]) -> TakeTurn:
    """Whose turn a release is here, and what is said of it."""

    def take_turn(manifest: ReleaseManifest, share: bytes | None, is_early: bool) -> Turn:
        turn = line.cohorts.turn(manifest, share, clock(), is_asking_early=is_early)
        if turn.cohort is not None:
            line.windows.begin(manifest, turn.cohort, clock().timestamp())
            line.reporter.report()  # before anything is touched: a device that is not heard of again had begun
        return turn

    return take_turn


def _seen_turns(line: ModelLine, clock: Callable[[], datetime]) -> SeeTurn:
    """Whose turn a release is, for whoever only looks: nothing begins, and nothing is said."""

    def see_turn(manifest: ReleaseManifest, share: bytes | None, is_early: bool) -> tuple[Turn, datetime | None]:
        turn = line.cohorts.turn(manifest, share, clock(), is_asking_early=is_early)
        return turn, line.cohorts.earliest(manifest)

    return see_turn


def _bring(updater: Updater, worker: Worker, line: ModelLine, also_ask: Callable[[], object] | None) -> Bring:
    """Looks for a newer model, brings it, and says how that went, if the user wants it said."""

    def bring_newest(
        *,
        is_again: bool = False,
        is_early: bool = False,
        may_try: MayGoOn = lambda: True,
        on_progress: ByteProgress | None = None,
    ) -> UpdateReport:
        report = updater.update(is_again=is_again, is_early=is_early, may_try=may_try, on_progress=on_progress)
        worker.reload()  # another process may have brought it before
        if report.status == "updated" and report.to_version is not None:
            line.uses.begin(report.to_version)
        line.reporter.report()
        if also_ask is not None:
            also_ask()
        return report

    return bring_newest
