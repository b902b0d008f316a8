"""The folder that WhisperKit opens: three packages, the tokenizer, and a manifest that says what was and was not tried.

Built whole or not at all, and only if every question of `verification` is answered well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.compression import Variant, compressed
from projectone.server.conversion.coreml.contract import MANIFEST, WHISPERKIT, contracts_of, limits_of
from projectone.server.conversion.coreml.graphs import graphs_of
from projectone.server.conversion.coreml.saving import convert, save_package
from projectone.server.conversion.coreml.verification import Report, verify
from projectone.server.conversion.coreml.weights import packaged_weights
from projectone.speech.checkpoint import WhisperCheckpoint, save_settings
from projectone.storage.files import digest_of, write_atomically

SYSTEMS = {"iOS": "16", "macOS": "13", "watchOS": "10"}


def save_whisperkit(
    checkpoint: WhisperCheckpoint, folder: Path, variant: Variant, *, on_step: Callable[[str], None] = lambda _: None
) -> Report:
    """Fill `folder`, which is empty, with what WhisperKit needs to run this model without a network.

    Args:
        checkpoint: The model.
        folder: A fresh one; give it to `building_directory` so that a refusal leaves nothing behind.
        variant: How its weights are kept.
        on_step: Told what is being done.

    Raises:
        ConversionError: if what was written is not this model, or not what WhisperKit expects.
    """
    heads, n_layers = checkpoint.generation.alignment_heads, checkpoint.dims.n_text_layer
    if odd := [pair for pair in heads if pair[0] >= n_layers or pair[1] >= checkpoint.dims.n_text_head]:
        raise ConversionError(
            f"alignment heads {odd}: the decoder has {n_layers} blocks of {checkpoint.dims.n_text_head} heads; correct "
            "alignment_heads in generation_config.json, or remove it to go without times of words"
        )
    contracts = contracts_of(checkpoint.dims, has_alignment=bool(heads))
    weights = compressed(packaged_weights(checkpoint), variant)
    for name, graph in graphs_of(checkpoint.dims, weights, contracts, heads).items():
        on_step(f"writing {name}")
        save_package(convert(graph()), folder / f"{name}.mlpackage")
    on_step("comparing the packages with the model")
    report = verify(folder, checkpoint, weights, contracts)
    if faults := report.faults(is_exact=variant == "float16"):
        raise ConversionError("whisperkit: the packages are not this model: " + "; ".join(faults[:5]))
    save_settings(checkpoint, folder)
    manifest = json.dumps(_manifest(checkpoint, folder, variant, report), indent=2, sort_keys=True)
    write_atomically(folder / MANIFEST, f"{manifest}\n".encode())
    return report


def _manifest(checkpoint: WhisperCheckpoint, folder: Path, variant: Variant, report: Report) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    generation = checkpoint.generation
    return {
        "schema_version": 1,
        "variant": variant,
        "source_digest": checkpoint.folder_digest,
        "needs": {"WhisperKit": WHISPERKIT, **SYSTEMS},
        "limits": limits_of(checkpoint.dims),
        # WhisperKit never reads generation_config.json: the app gives these as DecodingOptions.
        "decoding": {
            "suppressTokens": sorted({*generation.suppress_tokens, *generation.begin_suppress_tokens}),
            "wordTimestamps": bool(generation.alignment_heads),
        },
        **report.to_json(),
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": digest_of(path), "size_bytes": path.stat().st_size}
            for path in files
        },
    }
