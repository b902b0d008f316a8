"""A model that hears many clips under many lists of terms: the sound is encoded once, and decoded for each list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import mlx.core as mx

from peers.spelling import Utterance
from projectone.speech.audio import log_mel_spectrogram
from projectone.speech.biasing import BiasOptions, TermBias, prompt_of
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.encoding import embed_windows
from projectone.speech.term_guard import write_terms

OPTIONS = DecodingOptions(language="en")
"""Greedy, without a list."""

PROMPT_TOKENS = 48


class Ears:
    """A model that has heard every clip once: what a list changes is decided after that."""

    def __init__(self, checkpoint: WhisperCheckpoint) -> None:
        self.checkpoint = checkpoint
        self._features: dict[Utterance, mx.array] = {}
        self._plain: dict[Utterance, str] = {}

    def texts(self, clips: Sequence[Utterance], options: DecodingOptions = OPTIONS) -> list[str]:
        """What is written of each clip, greedily."""
        if options is not OPTIONS:
            return self._decode(clips, options)
        missing = [clip for clip in clips if clip not in self._plain]
        self._plain.update(zip(missing, self._decode(missing, options), strict=True))
        return [self._plain[clip] for clip in clips]

    def features(self, clips: Sequence[Utterance]) -> mx.array:
        """(clips, positions, state)."""
        n_samples, n_mels = self.checkpoint.features.n_samples, self.checkpoint.dims.n_mels
        for clip in clips:
            if clip not in self._features:
                sound = clip.samples[:n_samples]
                mel = log_mel_spectrogram(sound, n_mels, padding=n_samples - sound.size)
                self._features[clip] = embed_windows(self.checkpoint.model, mel[None])
        return mx.concatenate([self._features[clip] for clip in clips])

    def bias(self, terms: Sequence[str], options: BiasOptions | None = None) -> DecodingOptions:
        """Lean towards terms."""
        return replace(OPTIONS, bias=TermBias(terms, self.checkpoint.tokenizer, options), is_bias_watched=True)

    def prompt(self, terms: Sequence[str]) -> DecodingOptions:
        """The same list as Whisper itself would be given it: as a text that came before. It holds a few terms only."""
        text = prompt_of(terms, self.checkpoint.tokenizer, n_most=PROMPT_TOKENS)
        return replace(OPTIONS, previous_text=tuple(self.checkpoint.tokenizer.encode(f" {text}")))

    def _decode(self, clips: Sequence[Utterance], options: DecodingOptions) -> list[str]:
        texts = []
        for first in range(0, len(clips), 16):
            features = self.features(clips[first : first + 16])
            results = decode_features(self.checkpoint, features, options)
            texts += [result.text for result in write_terms(self.checkpoint, features, results, options)]
        return texts
