"""What the body of a sample must be, and the form in which it is kept: a recording's sound, or a sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from projectone.contracts.assist import MAX_UTTERANCE_CHARACTERS, IntentCorrection
from projectone.contracts.audio import MAX_CLIP_BYTES, MIN_CLIP_S
from projectone.contracts.corrections import Correction, Sample
from projectone.contracts.texts import clean_transcript
from projectone.errors import DataError
from projectone.waveform.resample import MODEL_RATE_HZ, to_16k_mono
from projectone.waveform.wav import PCM16_HEADER_BYTES, copy_wav, encode_wav

Decode = Callable[[bytes], tuple[npt.NDArray[np.float32], int]]
"""Bytes of a WAV file to samples of shape (n,) or (n, n_channels), and frames per second."""

Known = Callable[[str], bool]
"""Whether a label is one of those that this server teaches."""

Given = Correction | IntentCorrection

# What a device says about its clip and what we measure may differ by rounding, not by more.
_DURATION_TOLERANCE_S = 0.05
# The largest clip that is let in takes 80 MB while it is decoded and resampled (measured).
_MAX_AT_ONCE = 4
_MAX_CHARACTER_BYTES = 4  # of UTF-8


class Payloads:
    """Judges bodies by the kind of their sample.

    Args:
        decode: From the sandbox.
        knows: Which labels may be taught; none unless it is given.
    """

    def __init__(self, decode: Decode, knows: Known = lambda label: False) -> None:
        self._decode = decode
        self._knows = knows
        self._room = threading.BoundedSemaphore(_MAX_AT_ONCE)

    def check(self, sample: Given, content: bytes, sha256: str) -> None:
        """Refuse a body that is not the one which its sample names.

        Raises:
            DataError: ``audio-too-large``, ``audio-digest``, ``audio-size``; ``text-too-long``, ``text-digest``.
        """
        if isinstance(sample, IntentCorrection):
            _check_sentence(sample, content, sha256)
        else:
            _check_recording(sample, content, sha256)

    def check_words(self, sample: Given) -> None:
        """Refuse words that break the policy, or teach what nobody knows here.

        Raises:
            DataError: ``text-*``, or ``label-unknown``.
        """
        _check_side_texts(sample)
        if isinstance(sample, IntentCorrection) and sample.label is not None and not self._knows(sample.label):
            raise DataError("label-unknown", "label: expected one of those that this server teaches; nothing was kept")

    def canonical(self, sample: Given, content: bytes) -> tuple[bytes, float]:
        """The payload as it is kept, and its measured length in seconds; a sentence has none.

        Of a recording only the re-encoded clip is kept, 16 kHz mono PCM. A sentence is kept as it passed the policy.

        Raises:
            DataError: if the sound cannot be used.
        """
        if isinstance(sample, IntentCorrection):
            return sample.payload, 0.0
        if (clip := copy_wav(content, MODEL_RATE_HZ)) is not None:  # as devices record: nothing to decode or to convert
            return clip, _check_length(sample, (len(clip) - PCM16_HEADER_BYTES) // 2, MODEL_RATE_HZ)
        with self._room:
            samples, rate = self._decode(content)
            duration_s = _check_length(sample, len(samples), rate)
            return encode_wav(to_16k_mono(samples, rate)), duration_s


def _check_recording(correction: Correction, content: bytes, actual: str) -> None:
    if len(content) > MAX_CLIP_BYTES:
        raise DataError("audio-too-large", f"audio: expected at most {MAX_CLIP_BYTES} bytes, got {len(content)}")
    if actual != correction.audio.sha256:
        raise DataError("audio-digest", f"audio: expected sha256 {correction.audio.sha256}, got {actual}")
    if len(content) != correction.audio.size_bytes:
        raise DataError("audio-size", f"audio: expected {correction.audio.size_bytes} bytes, got {len(content)}")


def _check_sentence(intent: IntentCorrection, content: bytes, actual: str) -> None:
    """The body is the sentence that the header names, byte for byte; no message holds a word of either."""
    most = MAX_UTTERANCE_CHARACTERS * _MAX_CHARACTER_BYTES
    if len(content) > most:
        raise DataError("text-too-long", f"sentence: expected at most {most} bytes, got {len(content)}")
    if actual != intent.payload_sha256:
        raise DataError("text-digest", "sentence: expected the body to be the text that the header names, in UTF-8")


def _check_side_texts(sample: Sample) -> None:
    """The side texts keep the transcript's policy, but may be empty: a model may have heard nothing."""
    for text in (sample.guess, sample.guess_by, sample.accent):
        if text is not None:
            try:
                clean_transcript(text)
            except DataError as error:
                if error.reason != "text-empty":
                    raise


def _check_length(correction: Correction, n_frames: int, rate: int) -> float:
    """The measured length in seconds: what the device says of it is held to it."""
    duration_s = n_frames / rate
    if duration_s < MIN_CLIP_S:
        raise DataError("too-short", f"audio: expected at least {MIN_CLIP_S} s, got {duration_s:.3f} s")
    stated = correction.audio
    if rate != stated.sample_rate_hz or abs(duration_s - stated.duration_s) > _DURATION_TOLERANCE_S:
        says = f"{stated.duration_s:.2f} s at {stated.sample_rate_hz} Hz"
        raise DataError("audio-mismatch", f"audio: expected {says}, as stated, got {duration_s:.2f} s at {rate} Hz")
    return duration_s
