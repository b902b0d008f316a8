"""Clips in which nobody speaks, so that a model learns to write nothing there.

Fine-tuned models write words into silence more readily than the base did: every clip that they saw had words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from projectone.server.training.examples import Samples, TrainingClip
from projectone.speech.audio import SAMPLE_RATE

Sound = npt.NDArray[np.float64]

SPEAKER = "nobody"
_LENGTHS_S = (0.5, 8.0)
_QUIET_STRETCH_S = 0.3
# A stretch counts as the room, not as speech, if it is this far below the loud parts of the same clip.
_ROOM_BELOW_DB = 25.0
_CROSSFADE = 160
_MAKE, _FIND_ROOMS = 1, 2  # which stream of random numbers


def negative_clips(n: int, own: Sequence[Samples], *, window_s: float, seed: int) -> list[TrainingClip]:
    """`n` clips without speech: silence, noises, and the rooms in which the given clips were recorded.

    Args:
        n: How many.
        own: Clips with speech, whose quiet stretches are used: the same microphones, with nobody speaking.
        window_s: Of the model; nothing is longer.
        seed: Decides all of them.
    """
    random = np.random.default_rng([seed, _MAKE])
    rooms = _rooms(own, np.random.default_rng([seed, _FIND_ROOMS]))
    return [
        TrainingClip(f"negative-{index}", _negative(index, rooms, window_s, random), "", SPEAKER) for index in range(n)
    ]


def _negative(index: int, rooms: Sequence[Samples], window_s: float, random: np.random.Generator) -> Samples:
    shortest, longest = (min(limit, window_s) for limit in _LENGTHS_S)
    n_samples = round(np.exp(random.uniform(np.log(shortest), np.log(longest))) * SAMPLE_RATE)
    # Every second one is a room, if there are any: what devices will hear is most like it.
    if rooms and index % 2:
        return _prolonged(rooms[int(random.integers(len(rooms)))], n_samples, random)
    kind = int(random.integers(5))
    if kind == 0:
        return np.zeros(n_samples, np.float32)
    level = 10 ** (random.uniform(-80, -30) / 20)
    if kind == 1:
        sound = random.standard_normal(n_samples)
    elif kind == 2:
        sound = _rumble(n_samples, random)
    elif kind == 3:
        sound = _hum(n_samples, random) + 0.2 * random.standard_normal(n_samples)
    else:
        sound = _clicks(n_samples, random) + 0.05 * random.standard_normal(n_samples)
    return _at_level(sound, level)


def _at_level(sound: Sound, level: float) -> Samples:
    loudness = float(np.sqrt(np.mean(sound**2)))
    scaled: Samples = np.clip(sound * (level / max(1e-12, loudness)), -1.0, 1.0).astype(np.float32)
    return scaled


def _rumble(n_samples: int, random: np.random.Generator) -> Sound:
    """Noise that falls with frequency, by 3 or 6 dB per octave: fans, wind, traffic."""
    spectrum = np.fft.rfft(random.standard_normal(n_samples))
    frequencies = np.maximum(np.arange(spectrum.size), 20 * n_samples / SAMPLE_RATE)
    sound: Sound = np.fft.irfft(spectrum / frequencies ** random.choice([0.5, 1.0]), n_samples)
    return sound


def _hum(n_samples: int, random: np.random.Generator) -> Sound:
    """Mains: a low tone and its overtones."""
    times = np.arange(n_samples) / SAMPLE_RATE
    mains_hz = random.choice([50.0, 60.0])
    tones: list[Sound] = [
        random.random() / overtone * np.sin(2 * np.pi * mains_hz * overtone * times + random.uniform(0, 6.28))
        for overtone in range(1, 8)
    ]
    return sum(tones, np.full(n_samples, 1e-3))


def _clicks(n_samples: int, random: np.random.Generator) -> Sound:
    """Keys, a mouse, a tap on the table: short bursts that die away."""
    sound = np.zeros(n_samples)
    burst = np.exp(-np.arange(SAMPLE_RATE // 20) / (0.004 * SAMPLE_RATE))
    for _ in range(int(random.integers(1, 6))):
        start = int(random.integers(n_samples))
        kept = sound[start : start + burst.size]
        kept += random.uniform(0.2, 1.0) * burst[: kept.size] * random.standard_normal(kept.size)
    return sound


def _rooms(clips: Sequence[Samples], random: np.random.Generator) -> list[Samples]:
    """The quietest stretch of each of some clips, where it is quiet enough to hold no speech."""
    size = round(_QUIET_STRETCH_S * SAMPLE_RATE)
    hop = size // 4
    rooms: list[Samples] = []
    for index in random.permutation(len(clips))[:64]:
        clip = clips[index]
        if clip.size < 2 * size:
            continue
        energy = np.concatenate([[0.0], np.cumsum(clip.astype(np.float64) ** 2)])
        starts = np.arange(0, clip.size - size + 1, hop)
        power = (energy[starts + size] - energy[starts]) / size
        quietest = int(power.argmin())
        if 0 < power[quietest] < np.quantile(power, 0.9) * 10 ** (-_ROOM_BELOW_DB / 10):
            rooms.append(clip[starts[quietest] : starts[quietest] + size].copy())
    return rooms


def _prolonged(room: Samples, n_samples: int, random: np.random.Generator) -> Samples:
    """A short stretch made longer: pieces of it, forwards and backwards, faded into each other."""
    fade = np.sqrt(np.linspace(0, 1, _CROSSFADE, dtype=np.float32))
    sound = room.copy()
    while sound.size < n_samples:
        piece = room if random.random() < 0.5 else room[::-1]
        joint = sound[-_CROSSFADE:] * fade[::-1] + piece[:_CROSSFADE] * fade
        sound = np.concatenate([sound[:-_CROSSFADE], joint, piece[_CROSSFADE:]])
    return np.ascontiguousarray(sound[:n_samples], dtype=np.float32)
