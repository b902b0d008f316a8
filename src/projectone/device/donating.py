"""`Donating`: a sentence to read aloud, whether the recording of it is good, keeping it, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from projectone.device.consent import ConsentLedger
from projectone.device.corrections import Corrections
from projectone.device.donation import Distance, Finding, check_sound, check_words
from projectone.device.offers import Kept
from projectone.device.recordings import Clip, Recordings
from projectone.device.scripts import Offer, Scripts
from projectone.device.sent import Sent, Undone
from projectone.device.transcriber import Transcriber
from projectone.errors import ArtifactError, SettingsError
from projectone.storage.reserve import Reserve

Distances = tuple[Distance, Distance]
"""Between two texts: by words, by characters."""


@dataclass(frozen=True)
class DonationCheck:
    """What is wrong with a donation, if anything; `heard` is None where no model could listen."""

    finding: Finding | None
    heard: str | None


class Donating:
    """What a person does who gives their voice. Used through `DeviceClient.donating`."""

    def __init__(
        self,
        scripts: Scripts,
        recordings: Recordings,
        consent: ConsentLedger,
        corrections: Corrections,
        sent: Sent,
        transcriber: Transcriber,
        reserve: Reserve,
        *,
        read: Callable[[bytes | Path], Clip],
        distances: Callable[[], Distances],
    ) -> None:
        self._scripts = scripts
        self._recordings = recordings
        self._consent = consent
        self._corrections = corrections
        self._sent = sent
        self._transcriber = transcriber
        self._reserve = reserve
        self._read = read
        self._distances = distances

    def require_consent(self) -> None:
        """Ask the ledger before the person takes trouble for nothing.

        Raises:
            ConsentError: if the user has not agreed to the present words.
        """
        self._consent.require("voice_donation")

    def next_script(self, *, is_skipping: bool = False, is_asking: bool = True) -> Offer | None:
        """The sentence to read aloud now; None if all of them were read. Asks the server for new ones once a day.

        Args:
            is_skipping: Do not ask for the present one again.
            is_asking: Whether to ask the server at all.
        """
        if is_asking:
            self._scripts.refresh()
        if is_skipping:
            self._scripts.skip()
        return self._scripts.offer(self._recordings.read_scripts())

    def check(self, wav: bytes | Path, script_text: str) -> DonationCheck:
        """Whether a recording of a script is worth giving. Nothing is kept, nothing leaves.

        Raises:
            DataError: if it is no sound that can be read.
        """
        clip = self._read(wav)
        finding = check_sound(clip.samples, script_text)
        if finding is not None:
            return DonationCheck(finding, None)
        try:
            heard = self._transcriber.transcribe(clip.samples).text
            words, letters = self._distances()
        except (ArtifactError, SettingsError):  # no model here yet: then the sound alone is judged
            return DonationCheck(None, None)
        others = [script.text for script in self._scripts.sheet_or_none()]
        return DonationCheck(
            check_words(heard, script_text, others=others, word_distance=words, letter_distance=letters), heard
        )

    def give(
        self, wav: bytes | Path, script_text: str, script_id: str | None = None, *, others_present: bool = False
    ) -> Kept:
        """Keep a script that was read aloud; it is sent at the next `sync`.

        Args:
            wav: A PCM WAV file, or its bytes.
            script_text: What was read.
            script_id: The script's name, if it has one.
            others_present: Whether somebody else can be heard in it, who was not asked.

        Raises:
            ConsentError: if the user has not agreed to donate.
            DataError: if the sound or the text cannot be used.
        """
        clip = self._read(wav)
        return self._corrections.donate(clip, script_text, script_id=script_id, others_present=others_present)

    def undo(self) -> Undone | None:
        """Take the last donation back, as `DeviceClient.undo` does; None if there is none."""
        undone = self._reserve.run(self._sent.undo_donation)
        if undone is not None:
            self._sent.forget_sound(undone)
        return undone
