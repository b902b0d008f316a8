"""A graph as an `.mlpackage` whose bytes depend on the graph alone.

coremltools writes hash tables in any order, random identifiers and the day. All of that is taken out, so that the same
model gives the same package on every machine, and a fine-tune changes `weight.bin` and nothing else: what updates by
difference live on.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.library import TARGET, Program, coremltools

_INSIDE = Path("Data") / "com.apple.CoreML"
MODEL = _INSIDE / "model.mlmodel"
WEIGHTS = _INSIDE / "weights" / "weight.bin"
MANIFEST = Path("Manifest.json")
# Two files and who wrote them; the identifiers only need to differ from one another.
_ITEMS = {
    "00000000-0000-4000-8000-000000000001": {
        "author": "com.apple.CoreML",
        "description": "CoreML Model Specification",
        "name": "model.mlmodel",
        "path": "com.apple.CoreML/model.mlmodel",
    },
    "00000000-0000-4000-8000-000000000002": {
        "author": "com.apple.CoreML",
        "description": "CoreML Model Weights",
        "name": "weights",
        "path": "com.apple.CoreML/weights",
    },
}


def convert(graph: Program) -> Program:
    """A Core ML model of a graph, with the precision that the graph itself states."""
    with (
        contextlib.redirect_stderr(io.StringIO()),  # its progress bars
        # It leaves a folder for the collector to remove.
        warnings.catch_warnings(action="ignore", category=ResourceWarning),
    ):
        return coremltools.convert(
            graph,
            convert_to="mlprogram",
            minimum_deployment_target=TARGET,
            compute_precision=coremltools.precision.FLOAT32,  # adds no casts: the graph has its own
            # No optimiser: what is written is what was drawn, and what `interpreter` reads.
            pass_pipeline=coremltools.PassPipeline.EMPTY,
            skip_model_load=True,
        )


def save_package(model: Program, path: Path) -> None:
    """Write `model` to `path`, which must not exist, in its canonical form.

    Raises:
        ConversionError: if coremltools wrote other files than a package has.
    """
    model.save(str(path))
    found = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    if found != sorted((MODEL, WEIGHTS, MANIFEST)):
        raise ConversionError(f"{path.name}: expected model, weights and manifest, got {[str(name) for name in found]}")
    specification = coremltools.utils.load_spec(str(path))
    specification.description.metadata.Clear()
    (path / MODEL).write_bytes(specification.SerializeToString(deterministic=True))
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": _ITEMS,
        "rootModelIdentifier": next(iter(_ITEMS)),
    }
    (path / MANIFEST).write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")
    for file in path.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
