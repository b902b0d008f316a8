"""The limits that a clip keeps, and how one is named."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Sha256

MODEL_SAMPLE_RATE_HZ = 16_000
MIN_SAMPLE_RATE_HZ = 8_000
MAX_SAMPLE_RATE_HZ = 48_000
MAX_CHANNELS = 2
MIN_CLIP_S = 0.1
MAX_CLIP_S = 60.0
# 60 s of 48 kHz stereo at 32 bits, and a header: nothing longer is read.
MAX_CLIP_BYTES = 60 * 48_000 * 2 * 4 + 4096


class AudioClip(Contract):
    """One recording, named by the digest of its bytes."""

    sha256: Sha256
    size_bytes: int = Field(gt=0, le=MAX_CLIP_BYTES)
    sample_rate_hz: int = Field(ge=MIN_SAMPLE_RATE_HZ, le=MAX_SAMPLE_RATE_HZ)
    duration_s: float = Field(gt=0, le=MAX_CLIP_S)
    media_type: Literal["audio/wav"] = "audio/wav"
