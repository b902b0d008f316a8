"""A piece of sound, what was heard in it, and what a person says of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.contracts.corrections import SampleKind
from projectone.device.heard import Signals, Word


@dataclass(frozen=True)
class Clip:
    """One piece of sound in its canonical form.

    Attributes:
        wav: 16 kHz mono PCM16 WAV, the bytes that are kept and sent.
        samples: The same sound, float32 in [-1, 1].
        duration_s: Its length.
    """

    wav: bytes
    samples: npt.NDArray[np.float32]
    duration_s: float


@dataclass(frozen=True)
class Recording:
    """Something the user said, and what the model heard.

    Attributes:
        words: When each word was said, and how sure the model was. Empty for recordings older than this.
        signals: What the model said of the whole.
    """

    recording_id: str
    text: str
    model_version: str
    duration_s: float
    audio_sha256: str
    recorded_at: datetime
    corrected_text: str | None = None
    words: tuple[Word, ...] = ()
    signals: Signals | None = None

    def facts(self) -> dict[str, Any]:
        """For programs: the terminal and the pages say the same."""
        return {
            "recording_id": self.recording_id,
            "text": self.text,
            "corrected_text": self.corrected_text,
            "model_version": self.model_version,
            "duration_s": round(self.duration_s, 3),
            "recorded_at": self.recorded_at.isoformat(),
        }


@dataclass(frozen=True)
class FineTuningDataPoint:
    """A recording and the text that a person says it holds, kept on the device; `uploaded` once the server has it.

    Of a corrected intent `utterance` is what was said, `text` and `heard` are what it means to the person and to the
    classifier (`contracts.assist.as_target`), and `audio_sha256` is the digest of the utterance: there is no sound.
    """

    sample_id: uuid.UUID
    recording_id: str | None
    kind: SampleKind
    audio_sha256: str
    duration_s: float
    text: str
    heard: str | None
    heard_by: str | None
    script_id: str | None
    created_at: datetime
    uploaded: bool = False
    others_present: bool | None = None
    utterance: str | None = None
    ask_id: str | None = None

    @property
    def shown(self) -> str:
        """For people: the words, or a text and what was meant; empty where they were deleted here."""
        if self.kind != "intent":
            return self.text
        return f"{self.utterance} -> {self.text}" if self.utterance else ""
