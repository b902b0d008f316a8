"""What trains beside us: transformers on torch, and mlx-tune; and the work that all of them are given."""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

from peers.turns import Work
from peers.whispers import random_checkpoint

import projectone.server.training  # noqa: F401  # isort: skip
import mlx.core as mx  # isort: skip
import numpy as np

from projectone.server.training.loss import Target
from projectone.speech.checkpoint import save_checkpoint
from projectone.speech.whisper import ModelDimensions

CLIP_S, N_GIVEN, N_TEXT = 4.0, 4, 12  # a short sentence
RATE, CLIP_NORM, WEIGHT_DECAY, LORA_RANK = 1e-5, 1.0, 0.01, 8


@dataclass(frozen=True)
class Shape:
    """Rows of so many frames, each with the texts of so many clips."""

    n_rows: int
    n_frames: int
    n_clips_per_row: int = 1

    @property
    def audio_s(self) -> float:
        """Seconds of speech in the step."""
        return self.n_rows * self.n_clips_per_row * CLIP_S

    @property
    def n_tokens(self) -> int:
        """Of a row; packed texts carry a timestamp on either side."""
        marks = 2 * self.n_clips_per_row if self.n_clips_per_row > 1 else 0
        return N_GIVEN + N_TEXT * self.n_clips_per_row + marks


def targets_of(dims: ModelDimensions, shape: Shape) -> list[Target]:
    texts = np.random.default_rng(0).integers(0, 255, (shape.n_rows, shape.n_tokens + 1))
    return [Target(tuple(map(int, text)), N_GIVEN) for text in texts]


def mel_of(dims: ModelDimensions, shape: Shape) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((shape.n_rows, shape.n_frames, dims.n_mels), dtype=np.float32)


def their_step(
    dims: ModelDimensions, shape: Shape, *, with_adapters: bool = False, is_computed_twice: bool = False
) -> Work:
    """The same in transformers: its own model and loss, torch's own AdamW."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(random_checkpoint(dims), Path(folder))
        model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    if with_adapters:
        import peft

        settings = peft.LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=["q_proj", "v_proj"])
        model = peft.get_peft_model(model, settings).base_model.model
    model.train()
    if is_computed_twice:
        model.gradient_checkpointing_enable()
    features = torch.from_numpy(mel_of(dims, shape).transpose(0, 2, 1).copy())
    tokens = torch.tensor([target.tokens for target in targets_of(dims, shape)])
    labels = torch.where(torch.arange(tokens.shape[1] - 1) < N_GIVEN - 1, -100, tokens[:, 1:])
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=WEIGHT_DECAY)

    def step() -> None:
        loss = model(input_features=features, decoder_input_ids=tokens[:, :-1], labels=labels, use_cache=False).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimiser.step()

    return step


def mlx_tune_step(dims: ModelDimensions, shape: Shape) -> Work:
    """A call of mlx-tune's own trainer for one step, with its own settings: clips one by one, then Adam, no clipping.

    Each call compiles the step; the compiler's time is not counted, it runs in a process of its own.
    """
    import mlx_tune.stt as tune
    from mlx_audio.stt.models.whisper.whisper import Model
    from mlx_audio.stt.models.whisper.whisper import ModelDimensions as TheirDimensions

    batches = []
    for frames, target in zip(mel_of(dims, shape), targets_of(dims, shape), strict=True):
        tokens = np.array([target.tokens])
        labels = np.where(np.arange(tokens.shape[1] - 1) < N_GIVEN - 1, -100, tokens[:, 1:])
        arrays = {"input_features": frames[None], "decoder_input_ids": tokens[:, :-1], "labels": labels}
        batches.append({name: mx.array(array) for name, array in arrays.items()})
    folder = tempfile.TemporaryDirectory()
    settings = tune.STTSFTConfig(
        max_steps=1, gradient_accumulation_steps=len(batches), learning_rate=RATE, output_dir=folder.name
    )
    model = Model(TheirDimensions(**vars(dims)), dtype=mx.float32)
    trainer = tune.STTSFTTrainer(model, train_dataset=batches, args=settings)

    def step() -> None:
        _ = folder  # lives as long as the work
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.train()

    return step
