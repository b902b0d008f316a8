"""The scripts that people write to clean a folder of speech: soundfile, librosa, a voice-activity detector, one loop.

The plain one asks what most of them ask: header, length, level, clipping, offset, whether the detector hears anybody.
The other one finds every kind of figure that validation here finds for each sample, as far as librosa has it in one
call: the digest of the file, noise by the flatness of its spectrum, the share of speech, the ratio of speech to noise,
characters a second. Neither looks for a pitch (`librosa.yin` alone takes five times as long as all the rest) or for
personal data in the text, as ours does. Files are read as they lie in the store: 16 kHz, so that nobody resamples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
FRAME = 480  # 30 ms, the longest that WebRTC's detector takes

Samples = npt.NDArray[np.float32]
Script = Callable[[Sequence[Path]], list[str | None]]


def plain_script() -> Script:
    """Paths of WAV files to the reason against each, or None."""
    load, why_bad, is_voiced = _load(), _level_check(), _detector()

    def judge(path: Path) -> str | None:
        samples = load(path)
        if samples is None:
            return "header"
        return why_bad(samples) or (None if any(is_voiced(samples)) else "no-speech")

    return lambda paths: [judge(path) for path in paths]


def thorough_script(text: str) -> Script:
    """Paths of WAV files, each named by its digest, to the reason against each, or None; all of them say `text`."""
    import librosa

    load, why_bad, is_voiced = _load(), _level_check(), _detector()

    def judge(path: Path) -> str | None:
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
            return "damaged"
        samples = load(path)
        if samples is None:
            return "header"
        if (reason := why_bad(samples)) is not None:
            return reason
        voiced = np.array(is_voiced(samples))
        frames = samples[: len(voiced) * FRAME].reshape(-1, FRAME)
        powers = np.mean(frames**2, axis=1) + 1e-12
        snr_db = 10 * np.log10(powers[voiced].mean() / powers[~voiced].mean()) if 0 < voiced.mean() < 1 else 60.0
        flatness = librosa.feature.spectral_flatness(y=samples)[0].mean()
        if voiced.mean() < 0.1 or flatness > 0.5 or snr_db < 0:
            return "no-speech"
        return "text-rate" if len(text) / (len(samples) / RATE_HZ) > 35 else None

    return lambda paths: [judge(path) for path in paths]


def _load() -> Callable[[Path], Samples | None]:
    import librosa
    import soundfile

    def load(path: Path) -> Samples | None:
        info = soundfile.info(path)
        if not 8_000 <= info.samplerate <= 48_000 or info.duration > 60:
            return None
        samples: Samples = librosa.load(path, sr=RATE_HZ, mono=True)[0]
        return samples

    return load


def _level_check() -> Callable[[Samples], str | None]:
    import librosa

    def why_bad(samples: Samples) -> str | None:
        if not np.isfinite(samples).all() or len(samples) < RATE_HZ // 10:
            return "too-short"
        levels = librosa.amplitude_to_db(librosa.feature.rms(y=samples, frame_length=400, hop_length=160)[0])
        if abs(samples.mean()) > 0.2:
            return "dc-offset"
        if np.abs(samples).max() < 10 ** (-55 / 20):
            return "silence"
        if np.mean(np.abs(samples) > 0.99) > 0.25:
            return "clipping"
        return "no-speech" if np.percentile(levels, 90) - np.percentile(levels, 10) < 3 else None

    return why_bad


def _detector() -> Callable[[Samples], list[bool]]:
    import webrtcvad

    detector = webrtcvad.Vad(2)

    def is_voiced(samples: Samples) -> list[bool]:
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
        frames = [pcm[start : start + FRAME].tobytes() for start in range(0, len(pcm) - FRAME + 1, FRAME)]
        return [detector.is_speech(frame, RATE_HZ) for frame in frames]

    return is_voiced
