"""What a model writes for the clips of a batch when it is left to chance: many hypotheses at once, from one cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from projectone.server.training.examples import Example
from projectone.server.training.sequence_loss import Floats, Hypothesis
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.generation import never_written
from projectone.speech.normalize import normalize_text
from projectone.speech.prefix import decoder_prefix
from projectone.speech.wer import word_errors

_MORE_TOKENS = 8


@dataclass(frozen=True)
class Reference:
    """What is said in one window.

    Attributes:
        text: Normalised.
        tokens: As the model should write it, end-of-text left out.
        language: Of the text, and so of what is compared with it.
    """

    text: str
    tokens: tuple[int, ...]
    language: str = "en"

    @classmethod
    def of(cls, examples: Sequence[Example], *, language: str) -> Reference:
        """Of the clips that share a window, in order."""
        text = normalize_text(" ".join(example.clip.text for example in examples), language=language)
        return cls(text, tuple(token for example in examples for token in example.text), language)

    @property
    def n_words(self) -> int:
        """How many words that is."""
        return len(self.text.split())


class Sampler:
    """Draws hypotheses from a model, plain ones: without timestamps and prompts, as devices ask for them.

    Unlike in use, an empty text may be drawn: that it is right where nobody speaks, and wrong elsewhere, is to be
    learned too.

    Args:
        checkpoint: The model, with whatever weights it has at the time.
        language: Of the texts; None for English-only models.
        n_hypotheses: For every clip.
        temperature: Above 0.
    """

    def __init__(
        self, checkpoint: WhisperCheckpoint, *, language: str | None, n_hypotheses: int, temperature: float
    ) -> None:
        tokenizer = checkpoint.tokenizer
        self._checkpoint, self._language = checkpoint, language
        self._n, self._temperature = n_hypotheses, temperature
        self.prefix = decoder_prefix(tokenizer, language=language, timestamps=False)
        never = [i for i in checkpoint.generation.suppress_tokens if i < checkpoint.dims.n_vocab]
        self.forbidden: Floats = np.zeros(checkpoint.dims.n_vocab, np.float32)
        self.forbidden[[*never, *never_written(tokenizer)]] = 1

    def draw(self, features: mx.array, references: Sequence[Reference], *, seed: int) -> list[Hypothesis]:
        """`n_hypotheses` for every clip, clip by clip, equal ones among them.

        Args:
            features: (clips, positions, state) of the encoder.
            references: Of the clips.
            seed: The same seed, weights and clips give the same hypotheses.
        """
        room = self._checkpoint.dims.n_text_ctx - len(self.prefix) + 1
        # What is twice as long as the truth is wrong already; the rest of it need not be heard.
        limit = min(room, 2 * max(len(reference.tokens) for reference in references) + _MORE_TOKENS)
        options = DecodingOptions(
            language=self._language or "en",
            temperature=self._temperature,
            max_new_tokens=limit,
            suppress_blank=False,
            seed=seed,
        )
        heard = decode_features(self._checkpoint, mx.repeat(features, self._n, axis=0), options)
        eot = self._checkpoint.tokenizer.eot
        drawn: list[Hypothesis] = []
        for row, result in enumerate(heard):
            # Exactly as many tokens as there is room for: it never came to its end.
            tokens = result.tokens if len(result.tokens) == limit else (*result.tokens, eot)
            reference = references[row // self._n]
            text = normalize_text(result.text, language=reference.language)
            drawn.append(
                Hypothesis(
                    clip=row // self._n,
                    tokens=tokens,
                    errors=word_errors(reference.text, text).errors,
                    n_words=len(text.split()),
                    logprob=result.avg_logprob * (len(result.tokens) + 1),
                )
            )
        return drawn

    def with_references(self, drawn: Sequence[Hypothesis], references: Sequence[Reference]) -> list[Hypothesis]:
        """The drawn hypotheses, each once, and the true texts: an n-best list in which something is always right."""
        eot = self._checkpoint.tokenizer.eot
        true = [
            Hypothesis(clip=clip, tokens=(*reference.tokens, eot), errors=0, n_words=reference.n_words)
            for clip, reference in enumerate(references)
        ]
        found = {(hypothesis.clip, hypothesis.tokens): hypothesis for hypothesis in [*true, *drawn]}
        return sorted(found.values(), key=lambda hypothesis: hypothesis.clip)
