"""Names spelled aloud by people who were never heard in training: their letters, cut out of recordings and joined anew.

AN4's names are mostly spelled once each, by one person. To hear a name again, in other takes or from other people, the
letters of a person are cut at the times that the model gives the known text, and joined with short pauses. Every sound
is a real one; only the joins are made.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.server.corpus.manifests import ManifestRow
from projectone.speech.alignment_heads import alignment_heads_of
from projectone.speech.audio import SAMPLE_RATE, log_mel_spectrogram
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.encoding import embed_windows
from projectone.speech.words import WordFinder

Samples = npt.NDArray[np.float32]
Letters = dict[str, list[Samples]]
"""The takes of each letter by one person."""

_LONGEST_PAUSE_S = 0.05
_FADE = 80  # samples: 5 ms
_SHORTEST_S = 0.1


@dataclass(frozen=True, eq=False)
class Utterance:
    """Something said.

    Attributes:
        text: As it is written; a spelled name is `"m a r k"`.
        speaker: Who said it.
        samples: The sound.
        takes: Of a name that was put together: which take of each letter it is made of.
    """

    text: str
    speaker: str
    samples: Samples
    takes: tuple[int, ...] = ()


def letters_of(
    checkpoint: WhisperCheckpoint, rows: Sequence[ManifestRow], sounds: Sequence[Samples]
) -> dict[str, Letters]:
    """The single letters that each speaker says, in the order of the clips."""
    found: dict[str, Letters] = defaultdict(lambda: defaultdict(list))
    heads = alignment_heads_of(checkpoint)
    for row, sound in zip(rows, sounds, strict=True):
        tokens = checkpoint.tokenizer.encode(f" {row.text}")
        mel = log_mel_spectrogram(sound, checkpoint.dims.n_mels, padding=checkpoint.features.n_samples - sound.size)
        features = embed_windows(checkpoint.model, mel[None])
        options = DecodingOptions(heads=heads)
        result = decode_features(checkpoint, mx.array(features), options, forced=[tokens])[0]
        words = WordFinder(checkpoint, sound).of_window(
            result, features[0], start_frame=0, n_frames=mel.shape[0], timestamps=False
        )
        for word in words:
            start, end = word.start_s, word.end_s
            if len(word.text) == 1 and end - start >= _SHORTEST_S:
                found[row.speaker][word.text].append(sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
    return {speaker: dict(letters) for speaker, letters in found.items()}


def spell(
    text: str, speaker: str, letters: Mapping[str, Sequence[Samples]], *, seed: int, unlike: Utterance | None = None
) -> Utterance | None:
    """The name in one person's letters; None if one of them is missing.

    Args:
        text: Single letters with blanks between them.
        speaker: Whose letters.
        letters: Their takes.
        seed: Of the choice among takes and of the pauses.
        unlike: A recording by the same person whose takes are not used again where there is another one.
    """
    chance = random.Random(f"{seed} {speaker} {text}")
    sounds, takes = [], []
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    for place, letter in enumerate(text.split()):
        if letter not in letters:
            return None
        choices = list(range(len(letters[letter])))
        if unlike is not None and len(choices) > 1:
            choices.remove(unlike.takes[place])
        takes.append(chance.choice(choices))
        sound = letters[letter][takes[-1]].copy()
        sound[:_FADE] *= ramp
        sound[-_FADE:] *= ramp[::-1]
        sounds += [sound, np.zeros(chance.randint(0, round(_LONGEST_PAUSE_S * SAMPLE_RATE)), np.float32)]
    return Utterance(text, speaker, np.concatenate(sounds), tuple(takes))
