"""`DeviceClient`: everything an app does with speech, corrections and models, in one place."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from projectone.contracts.consent import ConsentReceipt, ConsentScope
from projectone.contracts.erasures import ErasureReceipt
from projectone.contracts.uses import SignedUses
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.accounts import ConsentAccount, DeviceStatus
from projectone.device.clips import read_clip, read_given_clip
from projectone.device.consent import ConsentMethod
from projectone.device.corrections import Granted
from projectone.device.cues import Cues
from projectone.device.health.windows import Window
from projectone.device.heard import Heard, OnProgress
from projectone.device.offers import Kept
from projectone.device.recordings import Recording
from projectone.device.rooms import DeviceRooms, LearnedFrom
from projectone.device.seen import Seen
from projectone.device.sent import SentPoint, Undone
from projectone.device.transcriber import Samples
from projectone.device.updater import UpdateReport
from projectone.device.updater.download import ByteProgress
from projectone.device.uploader import SyncProgress, SyncReport
from projectone.errors import SignatureError

_SILENCE = 8_000


class DeviceClient:
    """Transcribes here, keeps corrections, sends what was allowed, and brings better models. Close it when done.

    Made by `projectone.device.wiring.open_client`. It may be used by several threads.
    """

    def __init__(self, rooms: DeviceRooms) -> None:
        self._rooms = rooms
        self.vocabulary = rooms.vocabulary
        self.donating = rooms.donating
        self.assist = rooms.assist
        self.harmless = rooms.harmless
        self.memory = rooms.memory
        self.replies = rooms.replies
        self.answers = rooms.answers
        self.live = rooms.live
        self.quality = rooms.quality
        self.given = rooms.given
        self.adoptions = rooms.adoptions
        self.adoption = rooms.adoptions[DEFAULT_FAMILY]
        self.library = rooms.library
        self.cues = Cues(rooms.home / "cues")

    def __enter__(self) -> DeviceClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of model, connections and rows."""
        for adoption in self.adoptions.values():
            adoption.stop()
        self._rooms.live.close()
        self._rooms.transcriber.close()
        self.assist.close()
        self._rooms.guard.close()
        self.memory.close()
        self.answers.close()
        self._rooms.transport.close()
        self._rooms.database.close()

    def transcribe(self, wav: bytes | Path, *, on_progress: OnProgress | None = None) -> Recording:
        """Keep a recording and what the installed model hears in it. Nothing leaves the device.

        Args:
            wav: A PCM WAV file, or its bytes.
            on_progress: Told of long sound how many seconds of how many are done. What it raises ends the work, and
                nothing of it is kept.

        Raises:
            DataError: if it is no sound that can be used.
            ArtifactError: if no model is installed.
        """
        clip = read_given_clip(wav)
        return self._rooms.keep(clip, self._rooms.clock(), on_progress)

    def transcribe_only(self, samples: Samples) -> Heard:
        """What the installed model hears in 16 kHz mono samples; nothing is kept.

        Raises:
            ArtifactError: if no model is installed.
        """
        return self._rooms.transcriber.transcribe(samples)

    def prepare(self) -> None:
        """Load the model before it is needed, so that the first words come at once. It is not counted as a use.

        Raises:
            ArtifactError: if no model is installed.
        """
        self._rooms.transcriber.transcribe(np.zeros(_SILENCE, dtype=np.float32), is_partial=True)

    def retranscribe(self, recording_id: str) -> str:
        """What the model installed now hears in an earlier recording. The recording's row stays as it is.

        Raises:
            DataError: if there is no such recording.
        """
        wav = self._rooms.recordings.audio(self._rooms.recordings.find(recording_id).audio_sha256)
        return self.transcribe_only(read_clip(wav).samples).text

    def recording(self, recording_id: str) -> Recording:
        """One recording.

        Args:
            recording_id: The id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such recording.
        """
        return self._rooms.recordings.find(recording_id)

    def recordings(self, limit: int = 50) -> list[Recording]:
        """The last recordings, newest first."""
        return self._rooms.recordings.newest(limit)

    def correct(self, recording_id: str, text: str, *, others_present: bool = False, seen: Seen | None = None) -> Kept:
        """Keep what was really said; it is sent at the next `sync` if the user has agreed to that.

        Args:
            recording_id: The id, a beginning of it that fits one only, or ``"last"``.
            text: What was said; empty if nothing was. That is kept here, and never sent.
            others_present: Whether somebody else can be heard in it, who was not asked.
            seen: What whoever writes this had before them; not asked if not given.

        Raises:
            DataError: if there is no such recording, it was corrected otherwise meanwhile, or the text is none that a
                person could have said.
        """
        kept = self._rooms.corrections.correct(recording_id, text, others_present=others_present, seen=seen)
        if not kept.is_again:
            self._rooms.lines[DEFAULT_FAMILY].windows.count_correction()
            recording = self._rooms.recordings.find(recording_id)
            self.adoption.count_correction(recording.model_version)
            self.quality.count_correction(recording.text, kept.text, model_version=recording.model_version)
            self.memory.corrected(recording, kept.text, str(kept.sample_id))
        return kept

    def sent(self, limit: int = 50, *, skip: int = 0) -> list[SentPoint]:
        """What left this device, or may have, the last first, from the one after `skip` on."""
        return self._rooms.sent.newest(limit, skip=skip)

    def undo(self, named: str) -> Undone:
        """Take one correction or donation back; if it may have left, the server is told at the next `sync` to erase it.

        Args:
            named: Its id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such thing.
        """
        undone = self._rooms.reserve.run(lambda: self._rooms.sent.undo(named))
        self._rooms.sent.forget_sound(undone)
        return undone

    def undo_recording(self, recording_id: str, *, seen: Seen | None = None) -> list[Undone]:
        """Take every correction of a recording back, as `undo` does for one: also earlier ones that were sent.

        Args:
            recording_id: The id, a beginning of it that fits one only, or ``"last"``.
            seen: What whoever wants this had before them; not asked if not given.

        Raises:
            DataError: if there is no such recording, or it was corrected otherwise meanwhile.
        """
        recording = self.recording(recording_id)
        return self._rooms.reserve.run(lambda: self._rooms.sent.undo_recording(recording.recording_id, seen=seen))

    def delete_recording(self, recording_id: str) -> list[Undone]:
        """Forget a recording for good, sound and words. Gives what is taken back from the server by that.

        Args:
            recording_id: The id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such recording.
        """
        recording = self.recording(recording_id)
        return self._rooms.reserve.run(lambda: self._rooms.sent.delete_recording(recording))

    def forget_asked(self, named: str | None = None) -> int:
        """Forget one thing that was asked, or all and what was said to be harmless; gives how many.

        Raises:
            DataError: if there is no such thing.
        """
        n_forgotten = self.assist.forget(named)
        return n_forgotten + (self.harmless.forget_all() if named is None else 0)

    def undo_all(self) -> list[Undone]:
        """Take back everything that was sent, as `undo` does for one."""
        undone = self._rooms.reserve.run(self._rooms.sent.undo_all)
        for item in undone:
            self._rooms.sent.forget_sound(item)
        return undone

    def uses(self, named: str) -> tuple[SignedUses, LearnedFrom]:
        """Ask the server which models learned from a correction or donation; gives its answer, and what that shows.

        Args:
            named: Its id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such thing here.
            RefusedError: if the server has none.
            SignatureError: if a signature or a proof does not hold, or the answer is about something else.
            TransportError: if the server could not be reached.
        """
        sample_id = self._rooms.recordings.find_point(named).sample_id
        signed = self._rooms.uploader.fetch_uses(sample_id)
        found = self.read_uses(signed)
        if found[0].sample_id != sample_id:
            raise SignatureError(f"uses of a sample: expected those of {sample_id}, got {found[0].sample_id}")
        return signed, found

    def read_uses(self, signed: SignedUses) -> LearnedFrom:
        """What such an answer shows, checked with the release key alone; nothing is sent.

        Raises:
            SettingsError: if no release key is configured.
            SignatureError: if a signature or a proof does not hold.
        """
        return self._rooms.read_uses(signed)

    def grant(
        self, scope: ConsentScope, method: ConsentMethod, *, is_for_earlier: bool = False, is_adult: bool = True
    ) -> Granted:
        """Note that the user agreed to `CONSENT_TEXTS[scope]`, which they were shown.

        Args:
            scope: The purpose.
            method: How they were asked.
            is_for_earlier: Also send what was corrected before. Without it, that stays on the device.
            is_adult: What they said of themself: the words ask for it. What minors give is not trained on.
        """
        return self._rooms.corrections.grant(scope, method, is_for_earlier=is_for_earlier, is_adult=is_adult)

    def withdraw(self, scope: ConsentScope) -> ConsentReceipt | None:
        """Take a consent back: nothing more leaves, and the server is told to erase what it has at the next `sync`."""
        receipt = self._rooms.reserve.run(lambda: self._rooms.corrections.withdraw(scope))
        if scope == "quality":
            self.quality.forget()
        if scope == "hosted_answers":
            self.answers.forget()
        return receipt

    def consents(self) -> dict[ConsentScope, ConsentReceipt | None]:
        """Every purpose, with the consent in force."""
        return self._rooms.consent.in_force()

    def consent_accounts(self) -> list[ConsentAccount]:
        """Every consent this device ever noted, the last one first, with what was given under it."""
        rooms = self._rooms
        return [
            ConsentAccount(
                receipt, rooms.outbox.states_under(receipt.receipt_id), rooms.consent.is_adult(receipt.receipt_id)
            )
            for receipt in rooms.consent.history()
        ]

    def erasures(self, *, is_again: bool = False) -> list[ErasureReceipt]:
        """What the server signed about each withdrawal, the last one first, each checked against the release key.

        Args:
            is_again: Ask the server again before: it may have replaced a release since. Without it, nothing is sent.

        Raises:
            SettingsError: if no release key is configured, or no server where one is asked.
            SignatureError: if one of them was not signed by a key we trust, or is about something else.
            TransportError: if the server could not be reached.
        """
        rooms = self._rooms
        if is_again:
            for receipt_id in rooms.consent.erasures():
                rooms.uploader.fetch_erasure(receipt_id)
        receipts = {receipt_id: rooms.read_erasure(signed) for receipt_id, signed in rooms.consent.erasures().items()}
        for receipt_id, receipt in receipts.items():
            if receipt.receipt_id != receipt_id:
                raise SignatureError(
                    f"erasure receipt: expected one for {receipt_id}, got one for {receipt.receipt_id}"
                )
        return list(receipts.values())

    def n_earlier(self, scope: ConsentScope) -> int:
        """How many data points were made before the user agreed, and so stay here."""
        return len(self._rooms.corrections.never_offered(scope))

    def sync(self, on_progress: SyncProgress | None = None, *, only_due: bool = False) -> SyncReport:
        """Send what waits.

        Args:
            on_progress: Called after each thing that was handled.
            only_due: Leave what failed a short while ago; for timers.

        Raises:
            LeaseError: if another process is sending.
            SettingsError: if something waits and no server is set.
        """
        report = self._rooms.uploader.sync(only_due=only_due, on_progress=on_progress)
        for line in self._rooms.lines.values():
            line.reporter.report()
        self.quality.report()
        if report.problem is None and (report.sent or report.notices):  # who sends nothing is not heard of
            self._rooms.history.look()
        return report

    def update(
        self,
        on_progress: ByteProgress | None = None,
        *,
        is_again: bool = False,
        is_early: bool = False,
        family: Family = DEFAULT_FAMILY,
    ) -> UpdateReport:
        """Bring the newest model into use, if there is one that is ours and works here, and it is this device's turn.

        Args:
            on_progress: Called with the bytes that are here and those there will be.
            is_again: Also take a release that failed here, or that the user went back from.
            is_early: Take it before this device's turn.
            family: What the model is for.

        Raises:
            ArtifactError: if the release must not be installed (one of its subclasses says why).
            LeaseError: if another process is updating.
            TransportError: if the server could not be reached; the next call goes on from here.
        """
        report = self.adoptions[family].update(is_again=is_again, is_early=is_early, on_progress=on_progress)
        self.quality.report()
        return report

    def report_health(self, *, is_on: bool) -> None:
        """Say from now on how the model in use does: counts alone. Or say it no more, and forget what was counted."""
        self._rooms.lines[DEFAULT_FAMILY].windows.switch(is_on=is_on)

    def health(self) -> list[Window]:
        """What is counted just now, and will be said."""
        return [window for line in self._rooms.lines.values() for window in line.windows.open()]

    def roll_back(self, family: Family = DEFAULT_FAMILY) -> str:
        """Use the model before from now on; gives its version.

        Raises:
            ArtifactError: if there is none to go back to.
        """
        return self.adoptions[family].roll_back()

    def status(self) -> DeviceStatus:
        """Where this device stands."""
        rooms = self._rooms
        speech, intents = rooms.lines["speech"], rooms.lines["intents"].installed.state()
        state = speech.installed.state()
        counts = rooms.recordings.counts()
        outbox = rooms.outbox.counts()
        return DeviceStatus(
            device_id=rooms.keys.device_id,
            home=rooms.home,
            server=rooms.transport.server,
            channel=rooms.channel,
            model_version=state.current.version if state.current else None,
            model_seq=state.current.seq if state.current else None,
            previous_version=state.previous.version if state.previous else None,
            set_aside=state.set_aside,
            intents_version=intents.current.version if intents.current else None,
            seen=speech.cohorts.seen(),
            is_reporting=speech.windows.is_on,
            consents={
                scope: receipt.granted_at if receipt else None for scope, receipt in rooms.consent.in_force().items()
            },
            recordings=counts["recordings"],
            corrections=counts["corrections"],
            donations=counts["donations"],
            intents=counts["intents"],
            uploaded=counts["uploaded"],
            waiting=outbox["waiting"] + outbox["sending"],
            refusals=tuple((str(entry_id), reason, detail) for entry_id, reason, detail in rooms.outbox.refusals()),
            history=rooms.history.account(),
        )
