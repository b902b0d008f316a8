"""Joins what the classifier of intents needs on a device: the same rooms as the speech model, in a second line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from projectone.contracts.assist import label_of
from projectone.device.acceptance import OwnSentence, SentenceAcceptance
from projectone.device.adoption import ModelLine
from projectone.device.assistant import AskedRows, Assistant, Meanings, load_intents
from projectone.device.assistant.assistant import IntentTrial
from projectone.device.in_use import MayGoOn
from projectone.device.installed import Installed, Slot
from projectone.device.memory import has_room_for
from projectone.device.model_wiring import may_be_learned
from projectone.device.offers import Offers
from projectone.device.outbox import Outbox
from projectone.device.quality import Understanding
from projectone.device.recordings import Recordings
from projectone.storage.database import Database

if TYPE_CHECKING:
    from projectone.assist.protocols import Judgement

# What a second is to a recording, this is to a sentence: whoever asks waits so long and no longer.
_SENTENCE_S = 0.1
_NEWEST = 500
_ANSWERED = 10


def installed_intents(home: Path) -> Installed:
    """The classifiers in a home, brought back to order after any interruption.

    Raises:
        StorageError: if the disk refused.
    """
    installed = Installed(home / "intents", noun="classifier")
    installed.recover()
    return installed


def assistant(
    database: Database,
    line: ModelLine,
    recordings: Recordings,
    outbox: Outbox,
    offers: Offers,
    understanding: Understanding,
    clock: Callable[[], datetime],
) -> Assistant:
    """What says what a text means."""
    asked = AskedRows(database)
    meanings = Meanings(database, asked, recordings, outbox, offers, clock=clock)

    def on_judged(version: str, took_s: float, judgement: Judgement) -> None:
        is_none = judgement.label is None
        line.windows.count_heard(_SENTENCE_S, took_s, is_none)
        line.uses.count_heard(version, is_empty=is_none)
        understanding.judged(version, took_s, judgement)

    def on_meant(version: str, understood: str | None, meant: str | None) -> None:
        if understood != meant:
            line.windows.count_correction()
            line.uses.count_correction(version)
        understanding.meant(version, understood, meant)

    return Assistant(
        line.installed,
        load_intents,
        asked,
        meanings,
        recordings,
        clock=clock,
        begin_trial=_trials(line, asked, recordings, outbox, clock),
        has_room=has_room_for,
        watch=line.uses,
        on_judged=on_judged,
        on_meant=on_meant,
    )


def _trials(
    line: ModelLine, asked: AskedRows, recordings: Recordings, outbox: Outbox, clock: Callable[[], datetime]
) -> Callable[[Slot, MayGoOn], IntentTrial]:
    """Trials of new classifiers on what the user said they meant."""

    def own(made_at: datetime) -> list[OwnSentence]:
        points = [point for point in recordings.points("intent") if point.utterance]
        return [
            OwnSentence(point.utterance or "", label_of(point.text), may_be_learned(point, made_at, outbox))
            for point in reversed(points[-_NEWEST:])
        ]

    def answered() -> list[str]:
        return list(dict.fromkeys(item.text for item in asked.newest(_NEWEST) if item.label is not None))[:_ANSWERED]

    acceptance = SentenceAcceptance(own, answered=answered, rows=line.rows, clock=clock)

    def begin(slot: Slot, may_go_on: MayGoOn) -> IntentTrial:
        made_at = line.installed.manifest_of(slot).created_at
        return acceptance.begin(seq=slot.seq, version=slot.version, made_at=made_at, may_go_on=may_go_on)

    return begin
