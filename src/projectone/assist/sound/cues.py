"""The sounds of the app: five short pieces, each for one thing that happened.

What begins rises, what ends falls, what went wrong stays low and soft. None is longer than two seconds, and none is an
alarm.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from projectone.assist.sound.composing import compose
from projectone.assist.sound.spec import Contour, SoundSpec
from projectone.assist.sound.synth import RATE_HZ, render
from projectone.waveform.wav import encode_wav

CueName = Literal["recording-started", "recording-stopped", "sent", "model-updated", "mistake"]
_PEAK: Final = 0.18
_TAIL_S: Final = 0.4
# Counted up when `compose` or `render` change, so that what was kept of them is made anew.
_VERSION: Final = 1


@dataclass(frozen=True)
class Cue:
    """A sound of the app.

    Attributes:
        meaning: What happened, for people.
        spec: The piece.
    """

    meaning: str
    spec: SoundSpec

    @property
    def fingerprint(self) -> str:
        """Changes when the sound does."""
        return hashlib.sha256(f"{_VERSION} {_PEAK} {_TAIL_S} {self.spec!r}".encode()).hexdigest()[:16]


def _cue(meaning: str, *, valence: float, arousal: float, tempo_bpm: float, n_beats: int, contour: Contour) -> Cue:
    """A note on every beat, in the same key as all the others, so that no two of them clash."""
    spec = SoundSpec(
        valence=valence,
        arousal=arousal,
        tempo_bpm=tempo_bpm,
        key="D",
        density=1,
        n_beats=n_beats,
        is_loop=False,
        contour=contour,
        voices=("melody",),
    )
    return Cue(meaning, spec)


# The first one is the shortest: a recording begins when it is over.
CUES: Final[dict[CueName, Cue]] = {
    "recording-started": _cue(
        "a recording begins", valence=0.6, arousal=0.1, tempo_bpm=200, n_beats=2, contour="rising"
    ),
    "recording-stopped": _cue(
        "a recording has ended", valence=0.6, arousal=-0.3, tempo_bpm=160, n_beats=2, contour="falling"
    ),
    "sent": _cue("what you allowed was sent", valence=0.8, arousal=0.0, tempo_bpm=170, n_beats=3, contour="rising"),
    "model-updated": _cue(
        "a new model is in use", valence=0.5, arousal=-0.2, tempo_bpm=170, n_beats=4, contour="rising"
    ),
    "mistake": _cue("something was not done", valence=-0.5, arousal=-0.9, tempo_bpm=120, n_beats=2, contour="falling"),
}


def cue_wav(name: CueName) -> bytes:
    """A cue as a WAV file: mono, PCM16, gently loud."""
    return encode_wav(render(compose(CUES[name].spec), peak=_PEAK, tail_s=_TAIL_S), RATE_HZ)
