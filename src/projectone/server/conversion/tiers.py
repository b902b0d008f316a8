"""The forms in which devices get a model: what each kind of device can hold, and what it computes with.

`float16` is the model as it was trained and judged, and part of every release. The others are made from it: matrices
packed in eight or four bits for MLX, and Core ML's packages for WhisperKit.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from projectone.contracts.releases import DEFAULT_TIER
from projectone.errors import ConversionError
from projectone.server.conversion.coreml.compression import Variant
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint, save_packed
from projectone.speech.quantize import Packing

_PACKINGS = {"int8": Packing(8), "int4": Packing(4)}
_CORE_ML = "coreml-"
_VARIANTS: tuple[Variant, ...] = ("float16", "int8", "palette6", "palette4")
TIERS = (DEFAULT_TIER, *_PACKINGS, *(f"{_CORE_ML}{variant}" for variant in _VARIANTS))
"""Every tier that can be made, the default one first."""


def write_tier(model: Path, tier: str, folder: Path) -> None:
    """Fill an empty `folder` with a model in the form of one tier.

    Raises:
        ConversionError: if the form needs a library that is missing, or what was written is not this model.
        ArtifactError: if the model cannot be read.
    """
    if tier in _PACKINGS:
        save_packed(load_checkpoint(model), folder, _PACKINGS[tier])
        return
    variant = variant_of(tier)
    if variant is None:
        raise ConversionError(f"tier: expected one of {', '.join(TIERS[1:])}, got {tier!r}")
    require_coremltools()
    from projectone.server.conversion.coreml.folder import save_whisperkit

    save_whisperkit(load_checkpoint(model), folder, variant)


def variant_of(tier: str) -> Variant | None:
    """In which numbers Core ML's packages of this tier are; None for a tier of another form."""
    return next((variant for variant in _VARIANTS if tier == f"{_CORE_ML}{variant}"), None)


@contextlib.contextmanager
def computed_with(folder: Path, tier: str) -> Iterator[Path]:
    """A model folder with exactly the numbers that a device of this tier computes with.

    Packed matrices are read as they are. Core ML's packages are read back from their files, number by number, for
    nothing here can run them.

    Raises:
        ConversionError: if a package does not hold a model.
    """
    if not tier.startswith(_CORE_ML):
        yield folder
        return
    require_coremltools()
    from projectone.server.conversion.coreml.unpacking import load_whisperkit

    with tempfile.TemporaryDirectory() as temporary:
        # Nothing is rounded: Core ML unpacks its weights to float16.
        save_checkpoint(load_whisperkit(folder), Path(temporary))
        yield Path(temporary)


def refuse_other_words(folder: Path, tier: str, clips: Sequence[npt.NDArray[np.float32]]) -> None:
    """Run real sound through Core ML's packages, in float16, and refuse what does not write what their model writes.

    Other tiers need no such question: they are scored by the very code that their devices run.

    Raises:
        ConversionError: if too many tokens differ, or a result leaves float16.
    """
    if tier.startswith(_CORE_ML):
        require_coremltools()
        from projectone.server.conversion.coreml import hearing

        hearing.refuse_other_words(folder, clips)


def require_coremltools() -> None:
    """Refuse helpfully where Core ML's library is missing; it takes seconds to load, and nobody else needs it.

    Raises:
        ConversionError: saying what to install.
    """
    try:
        import projectone.server.conversion.coreml.library  # noqa: F401
    except ImportError as error:
        raise ConversionError(
            "WhisperKit's packages need coremltools: pip install 'projectone[coreml]' (any system will do)"
        ) from error
