"""The script that people write to clean a folder of speech: soundfile, librosa, a voice-activity detector, one loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
FRAME = 480  # 30 ms, the longest that WebRTC's detector takes


def plain_script() -> Callable[[Sequence[Path]], list[str | None]]:
    """Paths of WAV files to the reason against each, or None."""
    import librosa
    import soundfile
    import webrtcvad

    detector = webrtcvad.Vad(2)

    def judge(path: Path) -> str | None:
        info = soundfile.info(path)
        if not 8_000 <= info.samplerate <= 48_000 or info.duration > 60:
            return "header"
        samples, _ = librosa.load(path, sr=RATE_HZ, mono=True)
        if not np.isfinite(samples).all() or len(samples) < RATE_HZ // 10:
            return "too-short"
        levels = librosa.amplitude_to_db(librosa.feature.rms(y=samples, frame_length=400, hop_length=160)[0])
        if abs(samples.mean()) > 0.2:
            return "dc-offset"
        if np.abs(samples).max() < 10 ** (-55 / 20):
            return "silence"
        if np.mean(np.abs(samples) > 0.99) > 0.25:
            return "clipping"
        if np.percentile(levels, 90) - np.percentile(levels, 10) < 3:
            return "no-speech"
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
        frames = [pcm[start : start + FRAME].tobytes() for start in range(0, len(pcm) - FRAME + 1, FRAME)]
        voiced = sum(detector.is_speech(frame, RATE_HZ) for frame in frames)
        return "no-speech" if voiced == 0 else None

    return lambda paths: [judge(path) for path in paths]
