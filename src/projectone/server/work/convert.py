"""`projectone-server convert`: a model folder in the layout that another program opens."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.compiling import compile_folder
from projectone.server.conversion.coreml.contract import DECODER, MANIFEST
from projectone.server.conversion.package import write_package
from projectone.server.conversion.tiers import require_coremltools
from projectone.server.corpus.manifests import read_manifest
from projectone.server.settings import ServerSettings
from projectone.server.work.clips import open_decoder
from projectone.server.work.references import resolve_model
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint, save_packed
from projectone.speech.ctranslate2 import Bits, save_ctranslate2
from projectone.speech.mlx_whisper import has_published_vocabulary, save_mlx_whisper
from projectone.speech.quantize import Packing
from projectone.speech.realignment import MOST_CLIPS, realigned
from projectone.storage.files import building_directory

SUMMARY = (
    "Write a model in the layout of transformers (and of this project), of mlx-whisper, CTranslate2 or WhisperKit."
)
EXAMPLES = """  projectone-server convert --model out/tuned --to mlx-whisper --out out/tuned-mlx
  projectone-server convert --model starter --to packed --bits 4 --out out/starter-4bit
  projectone-server convert --model starter --to ctranslate2 --bits 8 --out out/starter-ct2     # for faster-whisper
  projectone-server convert --model starter --to transformers --dtype float32 --out out/starter-f32
  projectone-server convert --model starter --to whisperkit --variant int8 --out out/starter-int8
  projectone-server convert --model out/starter-int8 --to transformers --out out/what-phones-compute-with
  projectone-server convert --model out/starter-int8 --to compiled --out out/starter-mlmodelc     # on a Mac
  projectone-server convert --model out/tuned --to whisperkit --align corpus/ --out out/phone  # with times of words"""
TARGETS = ("transformers", "packed", "mlx-whisper", "ctranslate2", "whisperkit", "compiled")
_WINDOW_THERE_S: Final = 30
_PACKING = ("packed", "mlx-whisper", "ctranslate2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    parser.add_argument(
        "--model", required=True, help="folder (a WhisperKit one, too), `starter`, or owner/name[@revision] on the Hub"
    )
    parser.add_argument("--to", required=True, choices=TARGETS, help="the layout to write")
    parser.add_argument("--out", required=True, type=Path, help="a folder that does not exist yet")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="of the weights on disk")
    parser.add_argument(
        "--variant",
        choices=("float16", "int8", "palette6", "palette4"),
        default="float16",
        help="how the weights lie in WhisperKit's packages: fewer bits are smaller, and write more wrong words",
    )
    parser.add_argument(
        "--bits",
        type=int,
        choices=(8, 4),
        help="of each number of the matrices, packed as mlx does; `packed` is our own layout, for devices (8)",
    )
    parser.add_argument(
        "--align",
        type=Path,
        metavar="MANIFEST",
        help="recordings (a manifest.jsonl, or its folder) that say which attention heads follow the sound, where the"
        " model names none or was trained away from those it names; word times, WhisperKit's too, come from them",
    )
    parser.add_argument("--zip", type=Path, help="also all of it as one file, whose bytes depend on the model alone")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Read, check, write; the folder appears whole or not at all."""
    if arguments.to == "whisperkit" and arguments.dtype != "float16":
        raise ConversionError("--dtype float32: WhisperKit computes in float16; choose a --variant instead")
    if arguments.to != "whisperkit" and arguments.variant != "float16":
        raise ConversionError(f"--variant {arguments.variant}: only --to whisperkit has variants")
    if arguments.zip is not None and arguments.zip.exists():
        raise ConversionError(f"{arguments.zip.name!r} exists already; a published file is never rewritten")
    _refuse_bits(arguments.bits, arguments.to, arguments.dtype)
    if arguments.to == "compiled":
        with building_directory(arguments.out) as folder:
            compile_folder(Path(arguments.model), folder)
        return _report(arguments)
    checkpoint = _load(resolve_model(arguments.model, settings))
    if arguments.to == "mlx-whisper" and not has_published_vocabulary(checkpoint):
        # It would run there and write nonsense: mlx-whisper picks its own vocabulary by the number of tokens.
        raise ConversionError(
            f"{arguments.model!r} has a vocabulary of its own ({checkpoint.dims.n_vocab} tokens); mlx-whisper reads "
            "only those of the published models. Start from a published Whisper checkpoint to use it there"
        )
    if arguments.align is not None:
        checkpoint = _aligned(checkpoint, arguments.align)
    with building_directory(arguments.out) as folder:
        _writer(arguments)(checkpoint, folder)
    return _report(arguments, _limits(arguments.to, checkpoint))


def _refuse_bits(bits: int | None, target: str, dtype: str) -> None:
    if bits is None:
        return
    if target not in _PACKING or dtype != "float16":
        raise ConversionError(f"--bits {bits}: only --to packed, mlx-whisper and ctranslate2 pack, beside float16")
    if target == "ctranslate2" and bits != 8:
        raise ConversionError(f"--bits {bits}: CTranslate2 computes with 8 bits, or with the weights as they are")


def _limits(target: str, checkpoint: WhisperCheckpoint) -> list[str]:
    """What the other program cannot do with this model."""
    window_s = checkpoint.features.chunk_length_s
    if target != "ctranslate2" or window_s == _WINDOW_THERE_S:
        return []
    return [f"a window of {window_s} s: CTranslate2 runs it, faster-whisper opens {_WINDOW_THERE_S} s windows alone"]


def _report(arguments: argparse.Namespace, limits: Sequence[str] = ()) -> int:
    files = sorted(path for path in arguments.out.rglob("*") if path.is_file())
    written = {path.relative_to(arguments.out).as_posix(): path.stat().st_size for path in files}
    manifest = arguments.out / MANIFEST
    known = json.loads(manifest.read_text()) if manifest.is_file() else {}
    notes = {name: known[name] for name in ("limits", "verified", "coreml_executed", "decibels") if name in known}
    if limits:
        notes["limits"] = list(limits)
    if arguments.zip is not None:
        package = write_package(arguments.out, arguments.zip)
        notes["zip"] = {"sha256": package.sha256, "size_bytes": package.size_bytes}
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), "to": arguments.to, "files": written, **notes}))
        return 0
    tops = sorted({name.split("/")[0] for name in written})
    print(f"wrote {arguments.out} for {arguments.to}: {', '.join(tops)}", file=sys.stderr)
    for limit in notes.get("limits", ()):
        print(f"  note: {limit}", file=sys.stderr)
    if "decibels" in notes:
        decibels = ", ".join(f"{stage} {value} dB" for stage, value in notes["decibels"].items())
        print(f"  compared with the model: {decibels}; not run by Core ML itself", file=sys.stderr)
    return 0


def _aligned(checkpoint: WhisperCheckpoint, manifest: Path) -> WhisperCheckpoint:
    rows = [row for row in read_manifest(manifest) if len(row.text.split()) > 1]
    with open_decoder() as decode:
        clips = [decode(row.audio) for row in rows[:: max(1, len(rows) // MOST_CLIPS)][:MOST_CLIPS]]
    try:
        return realigned(checkpoint, clips)
    except ValueError as error:
        raise ConversionError(f"--align: {error}; give recordings of several words that the model knows") from error


def _load(folder: Path) -> WhisperCheckpoint:
    if not (folder / f"{DECODER}.mlpackage").is_dir():
        return load_checkpoint(folder)
    require_coremltools()
    from projectone.server.conversion.coreml.unpacking import load_whisperkit

    return load_whisperkit(folder)


def _writer(arguments: argparse.Namespace) -> Callable[[WhisperCheckpoint, Path], object]:
    if arguments.to == "mlx-whisper":
        packing = None if arguments.bits is None else Packing(arguments.bits)
        return lambda checkpoint, folder: save_mlx_whisper(checkpoint, folder, dtype=arguments.dtype, packing=packing)
    if arguments.to == "ctranslate2":
        bits: Bits | None = 8 if arguments.bits else None
        return lambda checkpoint, folder: save_ctranslate2(checkpoint, folder, dtype=arguments.dtype, bits=bits)
    if arguments.to == "packed":
        return lambda checkpoint, folder: save_packed(checkpoint, folder, Packing(arguments.bits or 8))
    if arguments.to == "transformers":
        return lambda checkpoint, folder: save_checkpoint(checkpoint, folder, dtype=arguments.dtype)
    require_coremltools()
    from projectone.server.conversion.coreml.folder import save_whisperkit

    def on_step(said: str) -> None:
        if not arguments.json:
            print(f"  {said}", file=sys.stderr)

    return lambda checkpoint, folder: save_whisperkit(checkpoint, folder, arguments.variant, on_step=on_step)
