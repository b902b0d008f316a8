"""The three things the student is taught: next tokens, aligned word pieces, aligned phonemes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from starter.batches import Batch
from starter.examples import IGNORED
from starter.model import Student


@dataclass(frozen=True)
class Losses:
    """Mean losses of a batch, in nats: per token, word piece, phoneme, labelled step, and word listened to."""

    decoder: Tensor
    pieces: Tensor
    phonemes: Tensor
    labels: Tensor
    listening: Tensor


def _connectionist(scores: Tensor, n_steps: Tensor, labels: Tensor, n_labels: Tensor) -> Tensor:
    """Connectionist temporal classification, per label; examples without labels learn to stay blank."""
    log_probabilities = functional.log_softmax(scores.float(), dim=-1).transpose(0, 1)
    losses = functional.ctc_loss(
        log_probabilities, labels, n_steps, n_labels, blank=0, reduction="none", zero_infinity=True
    )
    return losses.sum() / n_labels.sum().clamp(min=1)


def losses_of(student: Student, batch: Batch, *, smoothing: float) -> Losses:
    """Run the student over a batch.

    Args:
        student: In training mode.
        batch: What the batch maker gave.
        smoothing: Label smoothing of the decoder's loss.
    """
    mel = torch.from_numpy(batch.mel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, middle = student.model.encoder(mel.bfloat16())
        logits = student.model.decoder(torch.from_numpy(batch.tokens), features)
        # Word pieces last long enough for every second step: half the work of the widest layer.
        n_even = features.shape[1] // 2 * 2
        piece_scores = student.piece_head(features[:, :n_even].unflatten(1, (-1, 2)).mean(2))
        phoneme_scores = student.phoneme_head(middle)
    targets = torch.from_numpy(batch.targets)
    decoder = functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=smoothing
    )
    # The padding is part of what the encoder sees, but words may only be placed where the sound is.
    n_steps = torch.from_numpy((batch.n_frames + 1) // 2).clamp(max=features.shape[1])
    n_pieces, n_phonemes = torch.from_numpy(batch.n_pieces), torch.from_numpy(batch.n_phonemes)
    n_slow = ((n_steps + 1) // 2).clamp(max=piece_scores.shape[1])
    pieces = _connectionist(piece_scores, n_slow, torch.from_numpy(batch.pieces) + 1, n_pieces)
    real = torch.from_numpy(np.flatnonzero(batch.n_phonemes))
    phonemes = torch.zeros(())
    if len(real):
        phonemes = _connectionist(
            phoneme_scores[real], n_steps[real], torch.from_numpy(batch.phonemes)[real], n_phonemes[real]
        )
    labels = torch.zeros(())
    if np.any(batch.labels != IGNORED):
        # Synthetic voices say when each phoneme sounds: with that nothing has to be aligned before anything is learnt.
        known = torch.from_numpy(batch.labels).flatten()
        labels = functional.cross_entropy(phoneme_scores.float().flatten(0, 1), known, ignore_index=IGNORED)
    listening = _listening(student, torch.from_numpy(batch.spans), features.shape[1])
    return Losses(decoder, pieces, phonemes, labels, listening)


def _listening(student: Student, spans: Tensor, n_steps: int) -> Tensor:
    """How little of the first head's attention lies on the word that comes next, as minus its logarithm."""
    is_known = spans[..., 0] >= 0
    if not bool(is_known.any()):
        return torch.zeros(())
    places = torch.arange(n_steps)
    chosen = spans[is_known]
    outside = (places < chosen[:, :1]) | (places > chosen[:, 1:])
    outside &= ~outside.all(dim=1, keepdim=True)
    losses = []
    for layer in student.model.decoder.layers:
        scores = layer.encoder_attn.guided[is_known].float()
        inside = scores.masked_fill(outside, -torch.inf).logsumexp(-1)
        losses.append((scores.logsumexp(-1) - inside).clamp(max=8.0).mean())
    return torch.stack(losses).mean()
