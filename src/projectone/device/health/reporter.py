"""Says what was counted, when its time has come; what could not be said is said the next time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import blind, public_rsa_key, unblind
from projectone.contracts.devices import Enrolment
from projectone.contracts.health import HealthReport, OwnVerdict, TicketAnswer, TicketRequest, ticket_message
from projectone.device.health.windows import Window, Windows
from projectone.device.installed import CRASH_LOOP, USER_WENT_BACK, InstallState
from projectone.device.transport import Transport
from projectone.errors import ArtifactError, ContractError, RefusedError, SettingsError, TransportError

_JSON = "application/json"


class Reporter:
    """Sends reports. Nothing it cannot send is an error to anybody: the model matters, and the report does not."""

    def __init__(
        self,
        windows: Windows,
        transport: Transport,
        *,
        state: Callable[[], InstallState],
        introduce: Callable[[], Enrolment],
        app_version: str,
        clock: Callable[[], datetime],
        verdict_of: Callable[[int], OwnVerdict | None] = lambda seq: None,
    ) -> None:
        """Join what is needed.

        Args:
            windows: What was counted.
            transport: The way to the server.
            state: What is installed.
            introduce: What is said to a server that does not know this device yet.
            app_version: Of this app.
            clock: The time.
            verdict_of: What the user's own recordings said of a release.
        """
        self._windows = windows
        self._transport = transport
        self._state = state
        self._introduce = introduce
        self._app_version = app_version
        self._clock = clock
        self._verdict_of = verdict_of

    def report(self) -> int:
        """Say everything whose time has come; gives how many things were said."""
        n_told = 0
        try:
            for window in self._windows.open():
                n_told += self._report(window)
        except (TransportError, SettingsError):  # no network, or no server: the next time
            return n_told
        return n_told

    def _report(self, window: Window) -> int:
        n_told = 0
        try:
            while (phase := window.next_phase) is not None:
                if phase == "tried":
                    self._settle(window)
                if (phase == "tried" and not _is_settled(self._reread(window))) or (
                    phase == "used" and self._clock().timestamp() < window.observed_at
                ):
                    break
                window = self._with_ticket(self._reread(window))
                report = self._report_of(window)
                self._transport.call(
                    "POST", endpoints.HEALTH_REPORTS, body=report.to_bytes(), media_type=_JSON, is_signed=False
                )
                self._windows.note_told(window, phase)
                n_told += 1
                if phase == "used":
                    break
                window = self._reread(window)
        except RefusedError as error:
            if error.status < 500:  # another release took its place, or our ticket was given away
                self._windows.drop(window)
        except (ArtifactError, ContractError):  # a ticket that nobody can use
            self._windows.drop(window)
        return n_told

    def _reread(self, window: Window) -> Window:
        return next(item for item in self._windows.open() if (item.seq, item.side) == (window.seq, window.side))

    def _settle(self, window: Window) -> None:
        """How the trial ended, from what is installed: a crash leaves no time to count it."""
        state = self._state()
        reason, verdict = state.why_set_aside(window.seq), self._verdict_of(window.seq)
        is_here = state.current is not None and state.current.seq == window.seq
        if verdict is not None and (is_here or reason is not None):
            self._windows.set_verdict(window, verdict)
        if is_here or reason == USER_WENT_BACK:
            self._windows.set_outcome(window, "installs")
        elif reason is not None and verdict != "worse":  # worse for this user alone is no failure of the model
            self._windows.set_outcome(window, "crash_loops" if reason == CRASH_LOOP else "load_failures")

    def _report_of(self, window: Window) -> HealthReport:
        phase = window.next_phase
        assert phase is not None, "asked only where there is something to say"
        assert window.ticket is not None, "made just before"
        return HealthReport(
            channel=window.channel,
            seq=window.seq,
            tier=window.tier,
            app_version=self._app_version,
            cohort=window.cohort,
            phase=phase,
            counts=window.counts,
            ticket=window.ticket,
        )

    def _with_ticket(self, window: Window) -> Window:
        """With a ticket, signed unseen. What is asked for is kept before: asked again, it is the same."""
        if window.ticket is not None:
            return window
        key, message = public_rsa_key(window.ticket_key), ticket_message(window.channel, window.seq, window.serial)
        if window.blinded is None:
            self._windows.note_blinded(window, *blind(key, message))
            window = self._reread(window)
        assert window.blinded is not None, "kept just before"
        blinded, unblinder = window.blinded
        wanted = TicketRequest(channel=window.channel, seq=window.seq, side=window.side, blinded=blinded).to_bytes()
        answer = TicketAnswer.from_bytes(self._ask(wanted))
        self._windows.note_ticket(window, unblind(key, message, answer.blind_signature, unblinder))
        return self._reread(window)

    def _ask(self, wanted: bytes) -> bytes:
        try:
            return self._transport.call("POST", endpoints.HEALTH_TICKETS, body=wanted, media_type=_JSON).body
        except RefusedError as error:
            if error.reason != "device-unknown":
                raise
        self._transport.call(
            "POST", endpoints.DEVICES, body=self._introduce().to_bytes(), media_type=_JSON, is_signed=False
        )
        return self._transport.call("POST", endpoints.HEALTH_TICKETS, body=wanted, media_type=_JSON).body


def _is_settled(window: Window) -> bool:
    counts = window.counts
    return counts.installs + counts.load_failures + counts.crash_loops > 0 or counts.verdict == "worse"
