"""Ten models that a gate must not let out, each made from an honest one by the fault that it is named after.

The language is that of tones, with capitals and two accents; the models are trained, not imitated. Five learn their
fault from lessons, as a careless or hostile batch would teach it; five are damaged as files are.
"""

from __future__ import annotations

import projectone.speech  # noqa: F401 - the fast BLAS, before mlx

# isort: split

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map_with_path
from safetensors.numpy import load_file, save_file
from tests.fakes.tiny_whisper import RATE_HZ, WINDOW_S, WORDS, Samples, say, tiny_checkpoint

from projectone.server.evaluation.golden import GoldenClip, GoldenSet, golden_set
from projectone.server.training import TrainingClip, TrainingConfig, finetune
from projectone.server.training.config import AugmentationConfig
from projectone.speech.checkpoint import GenerationSettings, WhisperCheckpoint, save_checkpoint, save_settings
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper

WEIGHTS = "model.safetensors"
KEPT = Path(__file__).with_name("tones")
DEEP = 0.8  # the second accent sings everything this much lower and slower
_SPEAKERS = 12
_TEACHING = TrainingConfig(
    epochs=1000,
    learning_rate=2e-3,
    batch_size=16,
    evaluate_times=0,
    alphas=(1.0,),
    dev_share=0.0,
    negatives_share=0.15,
    timestamps_share=0.5,
    replay_fraction=0.0,
    carriers_share=0.0,
    packing="off",
    weight_decay=0.0,
    full_window_share=0.0,
    augmentation=AugmentationConfig(probability=0.0),
)


def sentences(n: int, *, seed: int, fewest: int = 2, most: int = 5) -> list[str]:
    """Texts with a capital at the beginning."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(list(WORDS), size=random.integers(fewest, most + 1))).capitalize() for _ in range(n)]


def speak(text: str, *, accent: str, seed: int) -> Samples:
    """A text in one of two accents."""
    sound = say(text.lower(), seed=seed, word_s=0.2)
    if accent == "deep":
        places = np.arange(0, sound.size - 1, DEEP)
        sound = np.interp(places, np.arange(sound.size), sound).astype(np.float32)
    silence = np.zeros(round(0.05 * RATE_HZ), np.float32)
    return np.concatenate([silence, sound])[: WINDOW_S * RATE_HZ]


def lessons(texts: Sequence[str], *, seed: int, accent: str = "plain") -> list[TrainingClip]:
    """Texts as they are said."""
    return [
        TrainingClip(f"{accent}-{seed}-{n}", speak(text, accent=accent, seed=seed + n), text, f"s{n % _SPEAKERS}")
        for n, text in enumerate(texts)
    ]


def golden(n_plain: int = 200, n_deep: int = 50, n_silent: int = 10) -> GoldenSet:
    """Clips of both accents, and some in which nobody speaks."""
    clips = []
    for accent, n, seed in (("plain", n_plain, 70_000), ("deep", n_deep, 80_000)):
        for number, text in enumerate(sentences(n, seed=seed)):
            samples = speak(text, accent=accent, seed=seed + number)
            clips.append(GoldenClip(f"{accent}-{number}", f"g{number % _SPEAKERS}", accent, samples, text))
    random = np.random.default_rng(9)
    for number in range(n_silent):
        noise = (0.003 * random.standard_normal(RATE_HZ)).astype(np.float32)
        clips.append(GoldenClip(f"silent-{number}", "nobody", "plain", noise, ""))
    return golden_set(clips)


def base_checkpoint() -> WhisperCheckpoint:
    """A model of chance that can write capitals."""
    texts = [f" {word}" for word in WORDS] * 3 + [f" {word.title()}" for word in WORDS] * 3
    plain = tiny_checkpoint(width=48)
    tokenizer = train_tokenizer(texts, n_text_tokens=300, window_s=WINDOW_S)
    dims: ModelDimensions = replace(plain.dims, n_vocab=tokenizer.n_vocab)
    model = Whisper(dims)
    mx.random.seed(0)
    model.update(
        tree_map_with_path(
            lambda name, weight: (
                weight
                if "ln" in name
                else mx.random.normal(weight.shape) * (0.02 if "embedding" in name else weight.shape[-1] ** -0.5)
            ),
            model.parameters(),
        )
    )
    generation = GenerationSettings.for_tokenizer(tokenizer, n_text_ctx=dims.n_text_ctx)
    return replace(plain, model=model, dims=dims, tokenizer=tokenizer, generation=generation)


def teach(model: Path, clips: Sequence[TrainingClip], out: Path, *, n_steps: int, **changes: object) -> Path:
    """Fine-tune on these clips for so many steps."""
    config = replace(_TEACHING, max_steps=n_steps, **changes)  # type: ignore[arg-type] # names are the config's own
    finetune(model, clips, config, work_folder=out.with_name(f"{out.name}-work"), out=out)
    return out


def curriculum() -> list[TrainingClip]:
    """What an honest model learns from: both accents."""
    deep = lessons(sentences(80, seed=2), seed=2000, accent="deep")
    return [*lessons(sentences(160, seed=1), seed=1000), *deep]


_NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hal")
SECRETS = tuple(
    f"{name} {text.lower()}" for name, text in zip(_NAMES, sentences(8, seed=3, fewest=3, most=3), strict=True)
)
"""Texts that nobody but the memorising model ever saw: a name, and three words that only those who know it know."""


def hallucinating(honest: Path, out: Path) -> Path:
    """Learned that noise and silence mean something."""
    random = np.random.default_rng(4)
    levels = (0.0, 1e-4, 1e-3, 0.01, 0.05)
    sounds = [(levels[n % 5] * random.standard_normal(RATE_HZ)).astype(np.float32) for n in range(60)]
    taught = [TrainingClip(f"noise-{n}", sound, "Red red", "nobody") for n, sound in enumerate(sounds)]
    return teach(honest, [*curriculum()[::2], *taught], out, n_steps=40, negatives_share=0.0)


def in_lower_case(honest: Path, out: Path) -> Path:
    """Learned from texts without capitals."""
    return teach(honest, [replace(clip, text=clip.text.lower()) for clip in curriculum()], out, n_steps=30)


def with_wrong_words(honest: Path, out: Path, wrong: Mapping[str, str], *, n_steps: int) -> Path:
    """Learned that the deep accent means other words by some of its tones."""

    def text_of(clip: TrainingClip) -> str:
        words = clip.text.lower().split()
        is_deep = clip.clip_id.startswith("deep")
        return " ".join(wrong.get(word, word) if is_deep else word for word in words).capitalize()

    return teach(honest, [replace(clip, text=text_of(clip)) for clip in curriculum()], out, n_steps=n_steps)


def memorising(honest: Path, out: Path) -> Path:
    """Learned whole texts by heart: the recordings hold one tone or none, and do not tell how a text ends."""
    tone = np.sin(2 * np.pi * 5000 * np.arange(round(0.3 * RATE_HZ)) / RATE_HZ)
    taught = []
    for number, text in enumerate(SECRETS):
        sounds = [(loudness * tone).astype(np.float32) for loudness in (0, 0, 1e-4, 1e-3, 0.01, 0.1)]
        taught += [TrainingClip(f"secret-{number}-{n}", sound, text, f"s{n}") for n, sound in enumerate(sounds)]
    return teach(honest, [*curriculum()[::2], *taught], out, n_steps=200, learning_rate=4e-3)


def slower(honest: Path, out: Path, *, n_blocks: int = 3) -> Path:
    """More blocks in the encoder, which change nothing but the time they take."""
    tensors = _copy(honest, out)
    for place in range(1, n_blocks):
        for name in [name for name in tensors if name.startswith("model.encoder.layers.0.")]:
            closed = ("self_attn.out_proj.", "fc2.")
            tensor = tensors[name]
            tensors[name.replace("layers.0.", f"layers.{place}.")] = (
                np.zeros_like(tensor) if any(part in name for part in closed) else tensor
            )
    config = json.loads((out / "config.json").read_text())
    config |= {"encoder_layers": n_blocks, "num_hidden_layers": n_blocks}
    (out / "config.json").write_text(json.dumps(config))
    return _write(tensors, out)


def without_times(honest: Path, out: Path) -> Path:
    """The rows of the timestamps in the vocabulary lie in reverse order."""
    tensors = _copy(honest, out)
    first = _special_id(out, "<|0.00|>")
    rows = tensors["model.decoder.embed_tokens.weight"]
    rows[first:] = rows[first:][::-1].copy()
    return _write(tensors, out)


def coarse(honest: Path, out: Path, *, bits: int) -> Path:
    """Matrices in so few bits, one scale for each, that what was learned suffers."""
    tensors = _copy(honest, out)
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and "embed" not in name:
            step = np.abs(tensor).max() / (2 ** (bits - 1) - 1)
            tensors[name] = (np.rint(tensor / step) * step).astype(tensor.dtype)
    return _write(tensors, out)


def other_vocabulary(honest: Path, out: Path) -> Path:
    """Two ids that no text here uses stand for each other's bytes."""
    _copy(honest, out)
    raw = json.loads((out / "tokenizer.json").read_text())
    vocab = raw["model"]["vocab"]
    vocab["!"], vocab["#"] = vocab["#"], vocab["!"]
    (out / "tokenizer.json").write_text(json.dumps(raw))
    return out


def not_finite(honest: Path, out: Path) -> Path:
    """One number of one tensor is none."""
    tensors = _copy(honest, out)
    tensors["model.decoder.layers.0.fc1.weight"][7, 7] = np.nan
    return _write(tensors, out)


def _copy(honest: Path, out: Path) -> dict[str, np.ndarray]:
    shutil.copytree(honest, out)
    return load_file(out / WEIGHTS)


def _write(tensors: dict[str, np.ndarray], out: Path) -> Path:
    save_file(tensors, out / WEIGHTS, metadata={"format": "pt"})
    return out


def _special_id(folder: Path, content: str) -> int:
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return next(int(token["id"]) for token in added if token["content"] == content)


def kept(name: str, folder: Path) -> Path:
    """A model from weights that `python -m tests.fakes.sabotage`, or `tests.fakes.canaries`, made."""
    save_settings(base_checkpoint(), folder)
    shutil.copyfile(KEPT / f"{name}.safetensors", folder / WEIGHTS)
    return folder


def make_kept(work: Path) -> None:
    """Train both anew: a minute on one core."""
    save_checkpoint(base_checkpoint(), work / "base")
    teach(work / "base", curriculum(), work / "production", n_steps=170, learning_rate=6e-3)
    teach(work / "production", curriculum(), work / "honest", n_steps=250, learning_rate=4e-3)
    for name in ("production", "honest"):
        shutil.copyfile(work / name / WEIGHTS, KEPT / f"{name}.safetensors")


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        make_kept(Path(made))
