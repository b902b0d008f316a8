"""Accept a sample: everything checked, the canonical clip on the disk, then the row, then the receipt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import numpy as np
import numpy.typing as npt

from projectone.contracts.audio import MAX_CLIP_BYTES, MIN_CLIP_S
from projectone.contracts.base import sha256_hex
from projectone.contracts.corrections import Correction
from projectone.contracts.texts import clean_transcript
from projectone.contracts.uploads import UploadReceipt
from projectone.errors import ConsentError, DataError, KeyRenewedError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.vault import Place
from projectone.storage.blobs import BlobStore
from projectone.waveform.resample import MODEL_RATE_HZ, to_16k_mono
from projectone.waveform.wav import PCM16_HEADER_BYTES, copy_wav, encode_wav

Decode = Callable[[bytes], tuple[npt.NDArray[np.float32], int]]
"""Bytes of a WAV file to samples of shape (n,) or (n, n_channels), and frames per second."""

# What a device says about its clip and what we measure may differ by rounding, not by more.
_DURATION_TOLERANCE_S = 0.05
# The largest clip that is let in takes 80 MB while it is decoded and resampled (measured).
_MAX_AT_ONCE = 4


class Intake:
    """The one door through which a sample comes in.

    Args:
        catalog: Where its row goes.
        blobs: Where its clip goes.
        decode: From the sandbox.
        clock: Now, with its zone.
    """

    def __init__(self, catalog: Catalog, blobs: BlobStore, decode: Decode, clock: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._decode = decode
        self._clock = clock
        self._room = threading.BoundedSemaphore(_MAX_AT_ONCE)

    def accept(
        self, correction: Correction, content: bytes, device_id: str, *, sha256: str | None = None
    ) -> tuple[UploadReceipt, bool]:
        """The receipt of a sample, and whether it is new. When this returns, clip and row are on the disk.

        Only the re-encoded clip is kept, 16 kHz mono PCM, sealed with the key of the consent: nothing of the file that
        was sent survives, and the same clip twice is two blobs that nobody can tell to be the same.

        Args:
            correction: What is said of the clip.
            content: The file as it came.
            device_id: Who sent it.
            sha256: Digest of `content`, if the caller has just computed it.

        Raises:
            DataError: the audio or a text cannot be used, or the id is taken (`sample-conflict`) or gone (`erased`).
            ConsentError: if no consent of this person covers the sample at the moment of the commit.
            StorageError: if it could not be kept; nothing was acknowledged.
        """
        _check_bytes(correction, content, sha256 or sha256_hex(content))
        if (known := self._catalog.receipt_of(correction)) is not None:
            return known, False
        _check_texts(correction)
        clip, duration_s = self._canonical(correction, content)
        # Before a key is made for it: nobody fills the store of keys with consents that do not exist.
        self._catalog.require_consent(correction)
        try:
            return self._keep(correction, clip, duration_s, device_id)
        except KeyRenewedError:  # the last sample of this consent went just now, and its key with it
            return self._keep(correction, clip, duration_s, device_id)

    def _keep(
        self, correction: Correction, clip: bytes, duration_s: float, device_id: str
    ) -> tuple[UploadReceipt, bool]:
        vault, receipt_id = self._catalog.vault, correction.consent_receipt_id
        place = Place(correction.sample_id, correction.contributor_id, receipt_id)
        key = vault.sealing_key(receipt_id)
        sealed = vault.seal_clip(place, clip)
        clip_sha256 = self._blobs.put([sealed])

        def keep_clip() -> None:
            vault.require_key(receipt_id, key)
            if not self._blobs.has(clip_sha256):
                self._blobs.put([sealed])

        try:
            receipt, is_new = self._catalog.add(
                correction,
                clip_sha256=clip_sha256,
                duration_s=duration_s,
                device_id=device_id,
                now=self._clock(),
                keep_clip=keep_clip,
            )
        except (ConsentError, DataError, KeyRenewedError):
            self._blobs.delete(clip_sha256)
            raise
        if not is_new:  # the same sample came twice at once, and the other one's clip is the one that counts
            self._blobs.delete(clip_sha256)
        return receipt, is_new

    def _canonical(self, correction: Correction, content: bytes) -> tuple[bytes, float]:
        """The clip as it is kept, and its measured length in seconds."""
        if (clip := copy_wav(content, MODEL_RATE_HZ)) is not None:  # as devices record: nothing to decode or to convert
            return clip, _check_length(correction, (len(clip) - PCM16_HEADER_BYTES) // 2, MODEL_RATE_HZ)
        with self._room:
            samples, rate = self._decode(content)
            duration_s = _check_length(correction, len(samples), rate)
            return encode_wav(to_16k_mono(samples, rate)), duration_s


def _check_bytes(correction: Correction, content: bytes, actual: str) -> None:
    if len(content) > MAX_CLIP_BYTES:
        raise DataError("audio-too-large", f"audio: expected at most {MAX_CLIP_BYTES} bytes, got {len(content)}")
    if actual != correction.audio.sha256:
        raise DataError("audio-digest", f"audio: expected sha256 {correction.audio.sha256}, got {actual}")
    if len(content) != correction.audio.size_bytes:
        raise DataError("audio-size", f"audio: expected {correction.audio.size_bytes} bytes, got {len(content)}")


def _check_texts(correction: Correction) -> None:
    """The side texts keep the transcript's policy, but may be empty: a model may have heard nothing."""
    for text in (correction.heard, correction.heard_by, correction.accent):
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
