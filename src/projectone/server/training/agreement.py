"""How well a text fits a clip, in the ears of a model: evidence for a person, never a filter.

What a model finds unlikely is exactly what it could learn, and what a wrong text looks like, too. The figure that tells
more is the difference to what it had heard itself. What one token needs, and how long a stretch of sound it has to
stand for, tell of a single odd or missing word that the mean hides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.server.training.examples import ExampleBuilder, TrainingClip, padded_mel, stack_mels
from projectone.server.training.forced_alignment import POSITION_S, attention_of, stretches
from projectone.server.training.loss import collate_targets
from projectone.speech import ops
from projectone.speech.audio import HOP_LENGTH
from projectone.speech.checkpoint import WhisperCheckpoint

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """How a text fits a clip.

    Attributes:
        nats: Per token, the end included; less is likelier.
        worst_nats: Of the least likely token.
        longest_token_s: The longest stretch of sound that one token stands for.
    """

    nats: float
    worst_nats: float
    longest_token_s: float


class TextScorer:
    """Scores texts against clips with one model.

    Args:
        checkpoint: The model.
        language: Of the texts.
    """

    def __init__(self, checkpoint: WhisperCheckpoint, *, language: str = "en") -> None:
        self._checkpoint = checkpoint
        self._builder = ExampleBuilder(checkpoint, language=language)

    def agreement(self, samples: Samples, said: str, heard: str | None = None) -> dict[str, float]:
        """How likely a text is in a clip, and beside what was heard; no figures for what the model has no room for.

        Args:
            samples: 16 kHz mono, shape (n,).
            said: The text.
            heard: What a model had made of the clip, if the text corrects it.

        Returns:
            ``said_nats`` per token; ``worst_nats``, of its least likely token: one odd word does not drown in a right
            sentence; ``longest_token_s``, the longest stretch of sound that a single token has to stand for: what is
            said and not written. And ``heard_nats`` and ``surprise_nats``: how much less likely the text is than what
            was heard.
        """
        fits = self.fits(samples, [said] if heard is None else [said, heard])
        found: dict[str, float] = {}
        if (own := fits[0]) is not None:
            found = {"said_nats": own.nats, "worst_nats": own.worst_nats, "longest_token_s": own.longest_token_s}
        if heard is not None and (other := fits[1]) is not None:
            found["heard_nats"] = other.nats
            if own is not None:
                found["surprise_nats"] = own.nats - other.nats
        return {name: round(value, 4) for name, value in found.items()}

    def nats(self, samples: Samples, texts: Sequence[str]) -> list[float | None]:
        """Nats per token, the end included, that the model needs for each text of one clip; see `fits`."""
        return [None if fit is None else fit.nats for fit in self.fits(samples, texts)]

    def fits(self, samples: Samples, texts: Sequence[str]) -> list[Fit | None]:
        """How each text fits one clip; the encoder runs once.

        Args:
            samples: 16 kHz mono, shape (n,).
            texts: What the clip is said to hold.

        Returns:
            None for a text, or a clip, that the model has no room for.
        """
        clips = [TrainingClip(str(number), samples, text, "") for number, text in enumerate(texts)]
        examples, _ = self._builder.build(clips)
        if not examples:
            return [None] * len(texts)
        pad = self._checkpoint.tokenizer.eot
        tokens, rows, columns, wanted = collate_targets(list(map(self._builder.plain_target, examples)), pad=pad)
        model = self._checkpoint.model
        mel = padded_mel(samples, n_mels=self._checkpoint.dims.n_mels)
        n_frames = min(mel[0].shape[0], 2 * self._checkpoint.dims.n_audio_ctx)
        heard = model.embed_audio(mx.array(stack_mels([mel], n_frames)))
        heard = mx.broadcast_to(heard, (len(examples), *heard.shape[1:]))
        hidden, _, looks = model.decoder.hidden_states(mx.array(tokens), heard)
        logits = model.decoder.token_embedding.as_linear(hidden[mx.array(rows), mx.array(columns)])
        nats = np.array(ops.cross_entropy(logits.astype(mx.float32), mx.array(wanted)))
        n_positions = min(-(-samples.size // (2 * HOP_LENGTH)), heard.shape[1])
        scored: list[Fit | None] = [None] * len(texts)
        for row, example in enumerate(examples):
            own = nats[rows == row]
            places = [int(column) for column in columns[rows == row]][:-1]  # the end stands nowhere in the sound
            lengths = stretches(attention_of(looks, row, places, n_positions)) if places else np.zeros(1)
            longest_s = float(lengths.max()) * POSITION_S
            scored[int(example.clip.clip_id)] = Fit(float(own.mean()), float(own.max()), longest_s)
        return scored
