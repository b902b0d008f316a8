"""The options of `projectone-server train`, and the configuration of a training run that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from projectone.errors import SettingsError
from projectone.server.training import TrainingConfig
from projectone.server.training.config import LoraConfig, RolloutConfig
from projectone.server.work.references import PRODUCTION

EXIT_NO_TRAIN = 3

# Command-line options that are fields of `TrainingConfig`, with what they are.
_KNOBS: dict[str, tuple[type, str]] = {
    "epochs": (int, "passes over the clips"),
    "max_steps": (int, "stop after this many steps"),
    "learning_rate": (float, "highest learning rate; by the model's width if not given"),
    "batch_seconds": (float, "most seconds of audio in one step"),
    "batch_size": (int, "most clips in one step"),
    "dev_share": (float, "share of the clips held back to choose the checkpoint"),
    "checkpoint_every_steps": (int, "steps that a crash can cost"),
    "language": (str, "language of the texts"),
    "encoded_epochs": (int, "with --trainable decoder: epochs that the encoder is run for; later ones repeat them"),
    "negatives_share": (float, "share of clips without speech; by the model if not given"),
    "prompt_share": (float, "share of windows after a prompt of what was said before; by the model if not given"),
    "carriers_per_term": (int, "synthetic sentences for every word in `text` that is not in `heard`; needs [voices]"),
    "update_share": (float, "share of the model that its difference from the base may take (default 0.19); 1: any"),
    "seed": (int, "decides order, held-back clips and augmentation"),
}
_CHOICES = ("engine", "precision", "method", "trainable", "context", "packing", "sequence")
_LORA_KNOBS: dict[str, tuple[type, str]] = {
    "rank": (int, f"rank of the adapters (default {LoraConfig().rank})"),
    "alpha": (float, "alpha of the adapters, the rank times a power of two (default: twice the rank)"),
    "dropout": (float, "share of the adapters' inputs left out in a step (default 0)"),
}

_ROLLOUT_KNOBS: dict[str, tuple[type, str]] = {
    "n_hypotheses": (int, "drawn for every clip in every step"),
    "temperature": (float, "of the sampling"),
    "epochs": (int, "passes over the clips"),
    "max_steps": (int, "stop after this many steps"),
    "rate_share": (float, "highest learning rate, as a share of the first stage's"),
    "kl": (float, "with grpo: weight of the divergence from the weights it begins with"),
    "cross_entropy": (float, "weight of the first stage's loss beside the second's"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--base", help="folder, `starter`, `production`, or owner/name[@revision] on the Hub")
    base.add_argument(
        "--from-production",
        action="store_const",
        const=PRODUCTION,
        dest="base",
        help="go on from the model in production instead of a fixed base (docs/adr/0001 says what that costs)",
    )
    parser.add_argument("--data", required=True, type=Path, help="manifest.jsonl (or its folder): audio, text, speaker")
    parser.add_argument(
        "--out", required=True, type=Path, help="folder to make; the log goes to OUT.training beside it"
    )
    parser.add_argument("--split", help="only rows of --data with this `split`")
    parser.add_argument("--dev", type=Path, help="manifest to choose the checkpoint by; else a share is held back")
    parser.add_argument("--dev-split", help="only rows of --dev with this `split`")
    parser.add_argument("--replay", type=Path, help="manifest of general speech that is mixed in, against forgetting")
    defaults = TrainingConfig()
    for name, (kind, what) in _KNOBS.items():
        default = getattr(defaults, name)
        shown = "" if default is None else f" (default {default})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=what + shown)
    parser.add_argument(
        "--engine",
        choices=("mlx", "transformers"),
        help="library that takes the steps: mlx (default), or transformers and peft on torch, on CUDA where there is "
        "one; needs [torch]",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="with --engine transformers: numbers it multiplies in (default float32); bfloat16 for GPUs",
    )
    parser.add_argument(
        "--method", choices=("auto", "full", "lora"), help="all weights, or adapters; auto (default): by the size"
    )
    for name, (kind, what) in _LORA_KNOBS.items():
        parser.add_argument(f"--lora-{name}", type=kind, help=what)
    parser.add_argument(
        "--lora-targets", choices=("query_value", "attention", "attention_mlp"), help="layers (default query_value)"
    )
    parser.add_argument("--trainable", choices=("all", "decoder"), help="the whole model (default), or its decoder")
    parser.add_argument("--context", choices=("short", "full"), help="pad to the clips (default), or to whole windows")
    parser.add_argument(
        "--packing",
        choices=("auto", "on", "off"),
        help="several clips in one window; auto (default): with --context full",
    )
    parser.add_argument(
        "--sequence",
        choices=("off", "mwer", "grpo"),
        help="a second stage on what the model writes itself, kept only if nothing is lost by it (default off)",
    )
    for name, (kind, what) in _ROLLOUT_KNOBS.items():
        default = getattr(RolloutConfig(), name)
        shown = "" if default is None else f" (default {default})"
        parser.add_argument(f"--sequence-{name.replace('_', '-')}", type=kind, help=what + shown)
    parser.add_argument(
        "--only-if-useful",
        action="store_true",
        help=f"train nothing if the clips have nothing to teach the base (exit code {EXIT_NO_TRAIN}); else it is said",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="of this machine that share every step (default 1); a step stays as large as --batch-seconds and "
        "--batch-size say. For several machines start this command with mlx.launch (docs/architecture.md)",
    )
    parser.add_argument("--process", help=argparse.SUPPRESS)  # of `run_processes`
    parser.add_argument("--resume", action="store_true", help="go on with the run that OUT.training holds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def config_of(arguments: argparse.Namespace) -> TrainingConfig:
    """What the options say about the training itself.

    Raises:
        SettingsError: naming the option, if a value cannot be.
    """
    given = {name: getattr(arguments, name) for name in (*_KNOBS, *_CHOICES)}
    try:
        known = {name: value for name, value in given.items() if value is not None}
        return TrainingConfig(**known, lora=_lora(arguments), rollouts=_rollouts(arguments))
    except ValueError as error:
        name, colon, problem = str(error).partition(":")
        raise SettingsError(f"--{name.replace('_', '-')}{colon}{problem}") from error


def _lora(arguments: argparse.Namespace) -> LoraConfig:
    given = {name: getattr(arguments, f"lora_{name}") for name in (*_LORA_KNOBS, "targets")}
    known = {name: value for name, value in given.items() if value is not None}
    if known and arguments.method != "lora":
        raise SettingsError(f"--lora-{next(iter(known))}: only with --method lora")
    if "rank" in known:
        known.setdefault("alpha", 2.0 * known["rank"])
    try:
        return LoraConfig(**known)
    except ValueError as error:
        # What is wrong with their ratio does not begin with a name.
        problem = str(error).replace("lora: ", "alpha: ", 1).removeprefix("lora ")
        raise SettingsError(f"--lora-{problem}") from error


def _rollouts(arguments: argparse.Namespace) -> RolloutConfig:
    given = {name: getattr(arguments, f"sequence_{name}") for name in _ROLLOUT_KNOBS}
    known = {name: value for name, value in given.items() if value is not None}
    if known and arguments.sequence not in ("mwer", "grpo"):
        name = next(iter(known)).replace("_", "-")
        raise SettingsError(f"--sequence-{name}: only with --sequence mwer or grpo")
    try:
        return RolloutConfig(**known)
    except ValueError as error:
        raise SettingsError(f"--sequence-{str(error).replace('_', '-', 1)}") from error
