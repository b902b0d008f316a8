"""`client.quality`: what is counted here, exactly what would be sent of it, and the switch.

Nothing is counted without consent: it is asked for before a row exists, and again before bytes leave. What will be sent
is drawn and kept as bytes when its week is over, so that it can be looked at first; a ticket is signed over those bytes
without being seen, and they are sent alone, hours later.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import blind, public_rsa_key, unblind
from projectone.contracts.health import TicketAnswer
from projectone.contracts.quality import (
    QualityReport,
    QualityTicketRequest,
    QualityWeek,
    draw_answer,
    quality_ticket_message,
    week_of,
    weeks_before,
)
from projectone.contracts.questions import ASKED_FAMILIES, HISTOGRAMS_OF, Histogram, edges_version
from projectone.contracts.releases import DEFAULT_TIER, line_of
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.consent import ConsentLedger, ConsentMethod
from projectone.device.heard import Heard
from projectone.device.quality.counts import Counts, Draft, WeekCounts
from projectone.device.quality.measures import Bins, measure, measure_correction, measure_reading
from projectone.device.transport import Transport
from projectone.errors import ArtifactError, ConsentError, ContractError, RefusedError, SettingsError, TransportError

if TYPE_CHECKING:
    from projectone.assist.safety import SafetyJudgement

_JSON: Final = "application/json"
SOONEST: Final = timedelta(hours=1)
LATEST: Final = timedelta(hours=36)
"""A report waits this long at least, and at most, for its moment: the request for its ticket bears our name."""

_EACH: Final[Mapping[Family, Histogram]] = {"speech": "duration", "intents": "outcome", "safety": "alarm"}
"""In which histogram everything is counted: which of two models was used more."""

WordDistance = Callable[[str, str], float]


@dataclass(frozen=True)
class Payload:
    """A report: the bytes, when they may leave, and when they did."""

    body: bytes
    due_at: datetime
    told_at: datetime | None

    @property
    def report(self) -> QualityReport:
        """What the bytes say."""
        return QualityReport.from_bytes(self.body)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who sends.

    Attributes:
        channel: Release channel.
        tier: Size of the speech models here.
        app_version: Of this app.
        contributor_id: In whose name consents are noted, here alone.
        introduce: Makes this device known to a server that does not know it.
        installed: The versions of the models on this device, by what they are for.
    """

    channel: str
    tier: str
    app_version: str
    contributor_id: str
    introduce: Callable[[], object]
    installed: Callable[[], Mapping[Family, str]] = dict


class Quality:
    """Counts, shows, and sends one class a week."""

    def __init__(
        self,
        counts: Counts,
        consent: ConsentLedger,
        transport: Transport,
        sender: Sender,
        *,
        word_distance: Callable[[], WordDistance],
        clock: Callable[[], datetime],
        source: random.Random | None = None,
    ) -> None:
        self._counts = counts
        self._consent = consent
        self._transport = transport
        self._sender = sender
        self._word_distance = word_distance
        self._clock = clock
        self._random = source or random.SystemRandom()

    @property
    def is_on(self) -> bool:
        """Whether the user agreed to the present words. Not unless they said so."""
        try:
            self._consent.require("quality")
        except ConsentError:
            return False
        return True

    def switch(self, *, is_on: bool, method: ConsentMethod) -> None:
        """Agree to `CONSENT_TEXTS["quality"]`, which the user was shown; or take that back, and forget."""
        now = self._clock()
        if is_on:
            self._consent.grant("quality", contributor_id=self._sender.contributor_id, method=method, now=now)
        else:
            self._consent.withdraw("quality", now=now)
            self.forget()

    def forget(self) -> None:
        """Drop what was counted; called with every withdrawal."""
        self._counts.forget()

    def count_heard(self, heard: Heard, samples: npt.NDArray[np.float32]) -> None:
        """Count a transcription of 16 kHz mono samples."""
        self.count(lambda: measure(heard, samples), lambda: heard.model_version)

    def count_correction(self, heard: str, corrected: str, *, model_version: str) -> None:
        """Count how much of what a model heard was corrected."""
        self.count(lambda: measure_correction(heard, corrected, self._word_distance()), lambda: model_version)

    def count_read(self, version: str, took_s: float, judgement: SafetyJudgement) -> None:
        """Count a text that a safety classifier of this version read in so many seconds."""
        self.count(lambda: measure_reading(judgement.is_flagged, judgement.probability, took_s), lambda: version)

    def count(self, measured: Callable[[], Bins], version: Callable[[], str | None]) -> None:
        """Count what is measured under a model's version; without consent it is not even measured.

        Args:
            measured: The classes.
            version: Of the model; None where there is none to count under.
        """
        if self.is_on and (model_version := version()) is not None:
            self._counts.add(measured(), model_version=model_version, now=self._clock())

    def histograms(self) -> list[WeekCounts]:
        """What is counted here, the last week first. It never leaves as it is."""
        return self._counts.weeks()

    def payload(self) -> Payload | None:
        """The report on last week: exactly the bytes that leave. None where nothing was counted or it is switched off.

        It is drawn when it is first looked at, and is the same from then on.
        """
        draft = self._draft()
        return None if draft is None or draft.is_refused else Payload(draft.body, draft.due_at, draft.told_at)

    def told(self, limit: int = 104) -> list[Payload]:
        """What was sent, the last first."""
        return [Payload(draft.body, draft.due_at, draft.told_at) for draft in self._counts.told(limit)]

    def report(self) -> bool:
        """Send last week's report if its time has come; says whether it was sent. Nothing here is anybody's error."""
        draft = self._draft()
        if draft is None or draft.is_refused or draft.told_at is not None:
            return False
        try:
            return self._send(self._with_ticket(draft))
        except RefusedError as error:
            if error.status < 500:
                self._counts.note_refused(draft.week)
            return False
        except (TransportError, SettingsError, ConsentError):  # no network, no server, or just withdrawn
            return False
        except (ArtifactError, ContractError):  # a ticket that nobody can use
            self._counts.note_refused(draft.week)
            return False

    def _send(self, draft: Draft) -> bool:
        assert draft.signature is not None, "fetched just before"
        if self._clock() < draft.due_at:
            return False
        self._transport.call(
            "POST",
            endpoints.QUALITY_REPORTS,
            body=draft.body,
            media_type=_JSON,
            is_signed=False,
            extra_headers={endpoints.QUALITY_TICKET_HEADER: draft.signature},
            before_bytes_leave=lambda: self._consent.require("quality"),
        )
        self._counts.note_told(draft.week, self._clock())
        return True

    def _draft(self) -> Draft | None:
        """Last week's report, drawn now if it was not yet."""
        now = self._clock()
        last = weeks_before(week_of(now), 1)
        if not self.is_on:
            return None
        known = self._counts.draft_of(last)
        counted = [item for item in self._counts.weeks() if item.week == last]
        if known is not None or not counted:
            return known
        due_at = now + timedelta(seconds=self._random.uniform(SOONEST.total_seconds(), LATEST.total_seconds()))
        self._counts.keep_draft(last, self._drawn(last, counted).to_bytes(), due_at)
        return self._counts.draft_of(last)

    def _drawn(self, week: str, counted: Sequence[WeekCounts]) -> QualityReport:
        """One family, one question, one answer. Families are those with a model here, whatever was done with it."""
        most_used = {
            family: max(items, key=lambda item: sum(item.counts[_EACH[item.family]]))
            for family in ASKED_FAMILIES
            if (items := [item for item in counted if item.family == family])
        }
        versions = {**self._sender.installed(), **{family: item.model_version for family, item in most_used.items()}}
        family = self._random.choice([name for name in ASKED_FAMILIES if name in versions])
        histogram = self._random.choice(HISTOGRAMS_OF[family])
        counts = most_used[family].counts[histogram] if family in most_used else ()
        return QualityReport(
            week=week,
            channel=line_of(family, self._sender.channel),
            model_version=versions[family],
            tier=self._sender.tier if family == DEFAULT_FAMILY else DEFAULT_TIER,
            app_version=self._sender.app_version,
            edges_version=edges_version(histogram),
            histogram=histogram,
            answer=draw_answer(counts, self._random),
            nonce=secrets.token_hex(32),
        )

    def _with_ticket(self, draft: Draft) -> Draft:
        """With a ticket, signed unseen. What is asked for is kept before: asked again, it is the same."""
        if draft.signature is not None:
            return draft
        if draft.blinded is None or draft.ticket_key is None:
            answer = self._transport.call("GET", endpoints.quality_week(draft.week), is_signed=False)
            key_text = QualityWeek.from_bytes(answer.body).ticket_key
            key = public_rsa_key(key_text)
            blinded, unblinder = blind(key, quality_ticket_message(draft.body))
            self._counts.note_blinded(draft.week, key_text, blinded, unblinder)
        else:
            key, (blinded, unblinder) = public_rsa_key(draft.ticket_key), draft.blinded
        wanted = QualityTicketRequest(week=draft.week, blinded=blinded).to_bytes()
        signed = TicketAnswer.from_bytes(self._ask(wanted)).blind_signature
        signature = unblind(key, quality_ticket_message(draft.body), signed, unblinder)
        self._counts.note_ticket(draft.week, signature)
        found = self._counts.draft_of(draft.week)
        assert found is not None, "kept just before"
        return found

    def _ask(self, wanted: bytes) -> bytes:
        def call() -> bytes:
            return self._transport.call(
                "POST",
                endpoints.QUALITY_TICKETS,
                body=wanted,
                media_type=_JSON,
                before_bytes_leave=lambda: self._consent.require("quality"),
            ).body

        try:
            return call()
        except RefusedError as error:
            if error.reason != "device-unknown":
                raise
        self._sender.introduce()
        return call()
