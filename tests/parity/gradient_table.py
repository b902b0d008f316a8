"""How far the gradients of both engines are from those of transformers and peft, tensor by tensor: `make gradients`."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tests.parity.materials import drawn_adapters, mels_of, our_batch, small_checkpoint, targets_of
from tests.parity.theirs import in_their_layout, their_gradients, their_model, their_name

from projectone.server.training.config import LoraConfig, Method, TrainingConfig
from projectone.server.training.engines.methods import open_method
from projectone.server.training.engines.steps import MlxSteps, StepsOpener
from projectone.server.training.engines.transformers import TorchSteps
from projectone.speech.checkpoint import hf_name_of, load_checkpoint, save_checkpoint

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gradient-parity.md"
# Both sides sum thousands of float32 products in different orders, through every layer and back.
TOLERANCE = 2e-4
TEXTS = ["call the office at nine", "seven three"]
CONFIGS: dict[Method, TrainingConfig] = {
    "full": TrainingConfig(method="full"),
    "lora": TrainingConfig(method="lora", lora=LoraConfig(rank=4, alpha=8.0, targets="attention_mlp")),
}
_OPENERS: dict[str, StepsOpener] = {"mlx": MlxSteps, "transformers": TorchSteps}
_HEAD = """# Gradients beside those of transformers and peft

One training step at random weights (width 64, two encoder and three decoder blocks, whole windows of ten seconds),
float32, on a CPU: every tensor that is trained, in either engine, against a plain `WhisperForConditionalGeneration`
(with `get_peft_model` for adapters) and its own cross-entropy. The figure is the largest difference in a tensor as a
share of that tensor's largest gradient, of the worst tensor of a kind; `*` stands for the number of a block. All must
be below {tolerance}, and `make parity` checks that they are.

Made by `make gradients` with {versions}.
"""


@dataclass(frozen=True)
class Row:
    """Tensors of one kind.

    Attributes:
        kind: Their name, without the number of the block.
        n_tensors: How many there are.
        errors: Of the worst of them, by engine.
    """

    kind: str
    n_tensors: int
    errors: Mapping[str, float]


def rows_of(method: Method, folder: Path) -> list[Row]:
    """Every kind of tensor that a method trains; `folder` is for the model."""
    save_checkpoint(small_checkpoint(), folder / method, dtype="float32")
    errors = {engine: _errors(method, folder / method, opener) for engine, opener in _OPENERS.items()}
    kinds: dict[str, list[str]] = {}
    for name in errors["mlx"]:
        kinds.setdefault(re.sub(r"\.\d+\.", ".*.", name), []).append(name)
    return [
        Row(kind, len(names), {engine: max(found[name] for name in names) for engine, found in errors.items()})
        for kind, names in kinds.items()
    ]


def _errors(method: Method, folder: Path, opener: StepsOpener) -> dict[str, float]:
    """By name of the tensor."""
    checkpoint, config = load_checkpoint(folder), CONFIGS[method]
    targets = targets_of(checkpoint, TEXTS)
    mel = mels_of(checkpoint, len(targets))
    ours = open_method(checkpoint.model, folder, config)
    weights = drawn_adapters(ours.opening) if method == "lora" else ours.opening
    steps = opener(ours, checkpoint, folder, config)
    _, made = steps.loss_and_gradients(steps.taken_up(weights), our_batch(checkpoint, targets, mel), 0)
    reference = their_model(folder, weights, config.lora) if method == "lora" else their_model(folder)
    _, expected = their_gradients(reference, targets, mel)
    names = {name: their_name(name) if method == "lora" else hf_name_of(name) for name in made}
    if set(names.values()) != set(expected):
        raise AssertionError(f"other tensors are trained: {sorted(set(names.values()) ^ set(expected))[:3]}")
    gradients = steps.put_down(made)
    return {name: _error(in_their_layout(name, gradients[name]), expected[theirs]) for name, theirs in names.items()}


def _error(gradient: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(gradient - expected).max() / np.abs(expected).max())


def page(tables: Mapping[Method, list[Row]]) -> str:
    """The page in the documentation."""
    libraries = ("mlx", "torch", "transformers", "peft")
    lines = [_HEAD.format(tolerance=f"{TOLERANCE:g}", versions=", ".join(f"{n} {version(n)}" for n in libraries))]
    for method, rows in tables.items():
        title = "All weights" if method == "full" else "Adapters in every attention and both layers after it"
        lines += [f"## {title}", "", "| tensors | how many | engine mlx | engine transformers |", "|---|---|---|---|"]
        for row in rows:
            shown = " | ".join(f"{row.errors[engine]:.1e}" for engine in _OPENERS)
            lines.append(f"| `{row.kind}` | {row.n_tensors} | {shown} |")
        worst = " | ".join(f"{max(row.errors[engine] for row in rows):.1e}" for engine in _OPENERS)
        lines += [f"| **all, the worst** | {sum(row.n_tensors for row in rows)} | {worst} |", ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page({method: rows_of(method, Path(folder)) for method in CONFIGS}), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
