"""How well a text fits a clip, in the ears of a model: evidence for a person, never a filter.

What a model finds unlikely is exactly what it could learn, and what a wrong text looks like, too. The figure that tells
more is the difference to what it had heard itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.server.training.examples import ExampleBuilder, TrainingClip, padded_mel, stack_mels
from projectone.server.training.loss import collate_targets
from projectone.speech import ops
from projectone.speech.checkpoint import WhisperCheckpoint

Samples = npt.NDArray[np.float32]


class TextScorer:
    """Scores texts against clips with one model.

    Args:
        checkpoint: The model.
        language: Of the texts.
    """

    def __init__(self, checkpoint: WhisperCheckpoint, *, language: str = "en") -> None:
        self._checkpoint = checkpoint
        self._builder = ExampleBuilder(checkpoint, language=language)

    def agreement(self, samples: Samples, said: str, heard: str) -> dict[str, float]:
        """How likely a correction is beside what was heard; without figures for what the model has no room for.

        Args:
            samples: 16 kHz mono, shape (n,).
            said: The corrected text.
            heard: What a model had made of the clip.

        Returns:
            ``said_nats`` and ``heard_nats`` per token, and ``surprise_nats``: how much less likely the correction is.
        """
        said_nats, heard_nats = self.nats(samples, [said, heard])
        found = {"said_nats": said_nats, "heard_nats": heard_nats}
        if said_nats is not None and heard_nats is not None:
            found["surprise_nats"] = said_nats - heard_nats
        return {name: round(value, 4) for name, value in found.items() if value is not None}

    def nats(self, samples: Samples, texts: Sequence[str]) -> list[float | None]:
        """Nats per token, the end included, that the model needs for each text of one clip; the encoder runs once.

        Args:
            samples: 16 kHz mono, shape (n,).
            texts: What the clip is said to hold.

        Returns:
            Less is likelier; None for a text, or a clip, that the model has no room for.
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
        hidden, _, _ = model.decoder.hidden_states(mx.array(tokens), heard)
        logits = model.decoder.token_embedding.as_linear(hidden[mx.array(rows), mx.array(columns)])
        nats = np.array(ops.cross_entropy(logits.astype(mx.float32), mx.array(wanted)))
        scored: list[float | None] = [None] * len(texts)
        for row, example in enumerate(examples):
            scored[int(example.clip.clip_id)] = float(nats[rows == row].mean())
        return scored
