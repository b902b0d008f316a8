"""People with devices: each has a home of its own and does everything through `DeviceClient`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from projectone.contracts.scores import UtteranceScore
from projectone.demo.materials import Person, Spoken
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.settings import DeviceSettings
from projectone.device.updater import UpdateReport
from projectone.device.uploader import SyncReport
from projectone.device.wiring import open_client
from projectone.errors import DataError
from projectone.server.evaluation.golden import GoldenClip
from projectone.server.evaluation.scorer import score_utterance
from projectone.speech.normalize import normalize_text

OnProgress = Callable[[], None]


@dataclass(frozen=True)
class Server:
    """What `projectone-server init` tells the owner of a device."""

    url: str
    enrolment_code: str
    release_key: str
    release_root: bytes


@dataclass
class Participant:
    """One user at one device.

    Attributes:
        n_recorded: Recordings that the user listened to again, to correct them.
        n_corrected: Those of them whose transcript was wrong.
        rejected: Why the device would not take a recording, for each.
        kept_back: Recording ids of what is never uploaded, with what is said in each.
        audio_sha256s: Digests of everything recorded here.
        ids: Random names that stand for this person: contributor, device, recordings, samples.
        before: Transcripts of what is never uploaded, by the first model; `after` by the one in use now.
    """

    person: Person
    client: DeviceClient
    n_recorded: int = 0
    n_corrected: int = 0
    n_sent: int = 0
    rejected: list[str] = field(default_factory=list)
    kept_back: list[tuple[str, Spoken]] = field(default_factory=list)
    audio_sha256s: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    before: list[UtteranceScore] = field(default_factory=list)
    after: list[UtteranceScore] = field(default_factory=list)

    @classmethod
    def open(cls, person: Person, home: Path, server: Server) -> Self:
        """A device with a fresh home that knows the server."""
        settings = DeviceSettings(
            home=home,
            server=server.url,
            enrolment_code=server.enrolment_code,
            release_keys=(server.release_key,),
            release_root=server.release_root,
        )
        client = open_client(settings)
        identity = json.loads((home / "keys" / "device.json").read_bytes())
        return cls(person, client, ids=[identity["contributor_id"], identity["device_id"]])

    def record(self, on_progress: OnProgress = lambda: None) -> None:
        """Record everything; the device transcribes it, and the user puts right what they listen to again."""
        for spoken in self.person.kept_back:
            heard = self._transcribe(spoken)
            if heard is not None:
                self.kept_back.append((heard[0], spoken))
                self.before.append(_score(spoken, heard[1]))
            on_progress()
        for spoken in self.person.to_correct:
            heard = self._transcribe(spoken)
            if heard is not None:
                self.n_recorded += 1
                self.n_corrected += normalize_text(heard[1]) != normalize_text(spoken.text)
                self.ids.append(str(self.client.correct(heard[0], spoken.text).sample_id))
            on_progress()

    def grant(self) -> None:
        """Agree that corrections are learned from, and that clips may judge models."""
        self.client.grant("corrections", "demo", is_for_earlier=True)
        self.client.grant("evaluation", "demo")

    def sync(self) -> SyncReport:
        """Send what may be sent."""
        report = self.client.sync()
        self.n_sent += report.sent
        return report

    def listen_again(self, on_progress: OnProgress = lambda: None) -> None:
        """Transcribe what was never uploaded with the model that is in use now."""
        self.after = []
        for recording_id, spoken in self.kept_back:
            self.after.append(_score(spoken, self.client.retranscribe(recording_id)))
            on_progress()

    def update_under_load(self) -> tuple[UpdateReport, int]:
        """Bring the newest model while the user goes on talking; gives the report and how often they were answered.

        What a transcription raises meanwhile is raised here: a swap must not drop a request.
        """
        if not self.kept_back:
            return self.client.update(), 0
        samples = read_clip(self.kept_back[0][1].wav).samples
        is_over = threading.Event()
        failures: list[BaseException] = []
        n_answered = 0

        def talk() -> None:
            nonlocal n_answered
            try:
                while True:
                    self.client.transcribe_only(samples)
                    n_answered += 1
                    if is_over.wait(0.01):
                        return
            except BaseException as error:  # handed to the caller's thread
                failures.append(error)

        talking = threading.Thread(target=talk, name=f"talking-{self.person.name}")
        talking.start()
        try:
            report = self.client.update()
        finally:
            is_over.set()
            talking.join()
        if failures:
            raise failures[0]
        return report, n_answered

    def _transcribe(self, spoken: Spoken) -> tuple[str, str] | None:
        try:
            recording = self.client.transcribe(spoken.wav)
        except DataError as error:
            self.rejected.append(error.reason)
            return None
        self.audio_sha256s.append(recording.audio_sha256)
        self.ids.append(recording.recording_id)
        return recording.recording_id, recording.text


def _score(spoken: Spoken, heard: str) -> UtteranceScore:
    # Counted as the trainer counts, so that the numbers compare; the count needs no sound.
    no_sound = np.zeros(0, np.float32)
    return score_utterance(GoldenClip(spoken.clip_id, spoken.speaker, spoken.slice, no_sound, spoken.text), heard)
