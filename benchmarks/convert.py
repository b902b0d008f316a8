"""What a conversion gives and costs: every form in which devices get a model, of the starter and of published sizes.

For each form: CPU seconds with all checks, the zip that devices download, and how far its numbers are from the model's,
in decibels of the largest number over the root mean square error (encoder and decoder, twelve forced tokens). Core ML's
packages are read back from their files and run by our interpreter, in float16: Core ML itself runs on no Linux, and did
not run. `contract`: every input and output by name, shape and type, as WhisperKit 1.x expects it. `agree`: the most
likely next token, where the model decides by more than the error. With --data, words wrong on those clips, with the
numbers that a device computes with; and of ten of them, how many tokens the packages write as the model in them does.

    python benchmarks/convert.py [--quick] [--json] [--starter] [--data MANIFEST]

--starter: no other model. --quick: that one in three forms.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers.whispers import SIZES, random_checkpoint

import mlx.core as mx  # isort: skip
import numpy as np

from projectone.errors import ConversionError
from projectone.server.conversion.package import write_package
from projectone.server.conversion.tiers import TIERS, computed_with, require_coremltools, variant_of, write_tier
from projectone.server.corpus.manifests import read_manifest
from projectone.server.evaluation.golden import load_golden
from projectone.server.evaluation.scorer import score_model
from projectone.server.work.clips import open_decoder
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint
from projectone.speech.forced import audio_features, forced_scores

STARTER = Path(__file__).resolve().parent.parent / "models" / "starter"
_N_HEARD = 10  # clips through the packages themselves
QUICK = ("int8", "int4", "coreml-int8")


def rows(models: dict[str, Path], forms: tuple[str, ...], data: Path | None) -> Iterator[dict[str, Any]]:
    """One for each model and form."""
    for name, model in models.items():
        checkpoint = load_checkpoint(model)
        for form in forms:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "folder"
                folder.mkdir()
                row = {"model": name, "form": form, **converted(checkpoint, model, form, folder)}
                package = write_package(folder, Path(temporary) / "package.zip")
                row |= {"zip_bytes": package.size_bytes, "zip_sha256": package.sha256}
                if data is not None and model == STARTER:
                    row |= heard(folder, form, data)
                yield row


def converted(checkpoint: WhisperCheckpoint, model: Path, form: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`, and say what that took and what came of it."""
    begun = time.process_time()
    if (variant := variant_of(form)) is not None:
        from projectone.server.conversion.coreml.folder import save_whisperkit

        report = save_whisperkit(checkpoint, folder, variant)
        return {
            "seconds": time.process_time() - begun,
            "contract": "kept" if not any(report.breaches.values()) else "broken",
            "weights": "all" if not report.missing and not report.foreign else "not all",
            "decibels": {stage: round(value, 1) for stage, value in report.decibels.items()},
            "agree": list(report.argmax),
        }
    write_tier(model, form, folder)
    seconds = time.process_time() - begun
    again = load_checkpoint(folder)
    mel = np.random.default_rng(0).normal(size=(2 * checkpoint.dims.n_audio_ctx, checkpoint.dims.n_mels))
    mel = mel.astype(np.float32) * 0.5
    features = audio_features(checkpoint, mel)
    tokens = np.random.default_rng(1).integers(0, checkpoint.dims.n_vocab, 12).astype(np.int32)
    expected, found = (forced_scores(one, tokens, features)[0] for one in (checkpoint, again))
    return {
        "seconds": seconds,
        "decibels": {
            "encoder": round(decibels(audio_features(again, mel), features), 1),
            "decoder": round(min(decibels(a, b) for a, b in zip(found, expected, strict=True)), 1),
        },
        "agree": [int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()), len(tokens)],
    }


def decibels(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """Largest square of `expected` over the mean squared error."""
    error = float(np.mean((found.astype(np.float64) - expected) ** 2))
    return float(10 * np.log10(np.max(expected.astype(np.float64) ** 2) / max(error, 1e-30)))


def heard(folder: Path, form: str, data: Path) -> dict[str, Any]:
    """Words wrong on the clips of a manifest, with the numbers that a device computes with."""
    with open_decoder() as decode:
        golden = load_golden(read_manifest(data), decode)
    row: dict[str, Any] = {}
    if form.startswith("coreml-"):
        from projectone.server.conversion.coreml.hearing import refuse_other_words

        row["alike"] = list(refuse_other_words(folder, [clip.samples for clip in golden.clips[:_N_HEARD]]))
    with computed_with(folder, form) as model:
        wer = score_model(model, golden).wer
    return row | {"wer": wer.value, "wer_low": wer.low, "wer_high": wer.high, "n_words": wer.n_units}


def table(found: list[dict[str, Any]]) -> str:
    """The rows as a table for docs/coreml.md."""
    lines = [
        "| model | form | CPU s | zip, MB | encoder / decoder, dB | agree | contract | words wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        words = f"{row['wer']:.1%} ({row['wer_low']:.1%} to {row['wer_high']:.1%})" if "wer" in row else ""
        if "alike" in row:
            words += f"; {row['alike'][0]} of {row['alike'][1]} tokens alike"
        both = " / ".join(f"{row['decibels'][stage]:.1f}" for stage in ("encoder", "decoder"))
        lines.append(
            f"| {row['model']} | `{row['form']}` | {row['seconds']:.1f} | {row['zip_bytes'] / 1e6:.1f} | {both} | "
            f"{row['agree'][0]} of {row['agree'][1]} | {row.get('contract', '')} | {words} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Convert, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--starter", action="store_true")
    parser.add_argument("--data", type=Path, help="a manifest of recordings with their words")
    arguments = parser.parse_args()
    mx.random.seed(0)
    forms = QUICK if arguments.quick else TIERS[1:]
    try:
        require_coremltools()
    except ConversionError as error:
        print(f"left out: {error}", file=sys.stderr)
        forms = tuple(form for form in forms if not form.startswith("coreml-"))
    with tempfile.TemporaryDirectory() as temporary:
        models = {"starter": STARTER}
        for size in () if arguments.quick or arguments.starter else ("tiny", "base"):
            models[f"{size}, random"] = Path(temporary) / size
            save_checkpoint(random_checkpoint(SIZES[size]), models[f"{size}, random"])
        found = []
        for row in rows(models, forms, arguments.data):
            found.append(row)
            if not arguments.json:
                print(table([row]).splitlines()[-1], flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if arguments.json:
        print(json.dumps({"rows": found, "peak_bytes": peak, "coreml_executed": False}))
    else:
        print(f"\n{table(found)}\n\nlargest memory {peak / 1e9:.1f} GB; Core ML itself did not run")


if __name__ == "__main__":
    main()
