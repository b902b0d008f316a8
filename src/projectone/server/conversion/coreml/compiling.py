"""Packages to compiled models, with Apple's compiler, where there is a Mac: WhisperKit itself never compiles.

Source: `xcrun coremlcompiler compile PACKAGE FOLDER` of Xcode; what it writes beside a model in `metadata.json`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.contract import (
    DECODER,
    ENCODER,
    MANIFEST,
    MEL,
    Dtype,
    ModelContract,
    TensorContract,
    breaches,
    contracts_of,
)
from projectone.speech.json_files import read_json
from projectone.speech.model_files import dimensions_from_config
from projectone.storage.files import digest_of, write_atomically

_TIMEOUT_S = 900.0
# Without the first nothing loads, without the second nobody could look inside.
_NEEDED = ("coremldata.bin", "metadata.json")
_DTYPES: dict[str, Dtype] = {"Float16": "float16", "Int32": "int32"}


def find_compiler() -> str:
    """Where `xcrun` lies, which knows the compiler.

    Raises:
        ConversionError: if there is none here, with what to do instead.
    """
    xcrun = shutil.which("xcrun")
    if xcrun is None or _run([xcrun, "--find", "coremlcompiler"]).returncode != 0:
        raise ConversionError(
            "coremlcompiler: not found; it comes with Xcode, on a Mac. Packages need none: an app can compile them "
            "on the phone (MLModel.compileModel), and .github/workflows/convert.yml compiles them on GitHub's"
        )
    return xcrun


def compile_folder(source: Path, folder: Path) -> None:
    """Fill an empty `folder` with a WhisperKit folder's files, each package replaced by its compiled form.

    Raises:
        ConversionError: if a file of `source` is not what its manifest says, the compiler is missing or fails, or what
            it wrote is not what WhisperKit expects.
    """
    manifest = _checked_manifest(source)
    xcrun = find_compiler()
    dims = dimensions_from_config(read_json(source / "config.json"))
    has_alignment = bool(read_json(source / "generation_config.json").get("alignment_heads"))
    for name in sorted(manifest["files"]):
        if "/" not in name:
            shutil.copyfile(source / name, folder / name)
    for model, contract in contracts_of(dims, has_alignment=has_alignment).items():
        _compile(xcrun, source / f"{model}.mlpackage", folder)
        _check(folder / f"{model}.mlmodelc", contract)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"sha256": digest_of(path), "size_bytes": path.stat().st_size}
        for path in files
    }
    manifest["compiled"] = {"compiler": _run([xcrun, "coremlcompiler", "version"]).stdout.strip()[:200]}
    write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode())


def _checked_manifest(source: Path) -> dict[str, Any]:
    if not (source / MANIFEST).is_file():
        wanted = "a folder that `convert --to whisperkit` wrote"
        raise ConversionError(f"{source.name!r}: expected {wanted}, found no {MANIFEST} in it")
    manifest = read_json(source / MANIFEST)
    for name, said in manifest["files"].items():
        path = source / name
        if not path.is_file() or digest_of(path) != said["sha256"]:
            raise ConversionError(f"{source.name!r}: {name!r} is not what {MANIFEST} says: convert the model again")
    found = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    if odd := sorted(found - {MANIFEST} - manifest["files"].keys()):
        raise ConversionError(f"{source.name!r}: {odd[0]!r} is not in {MANIFEST}: convert the model again")
    for model in (MEL, ENCODER, DECODER):
        if not any(name.startswith(f"{model}.mlpackage/") for name in manifest["files"]):
            raise ConversionError(f"{source.name!r}: expected {model}.mlpackage, which is not compiled yet")
    return manifest


def _compile(xcrun: str, package: Path, folder: Path) -> None:
    try:
        done = _run([xcrun, "coremlcompiler", "compile", str(package), str(folder)])
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"coremlcompiler: {package.name}: not done after {_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise ConversionError(f"coremlcompiler: {package.name}: status {done.returncode}: {said}")


def _check(compiled: Path, expected: ModelContract) -> None:
    """That the compiler took the package for what it is: every tensor by name, shape and type."""
    for name in _NEEDED:
        if not (compiled / name).is_file():
            raise ConversionError(f"coremlcompiler: {compiled.name}: it said that all is well, and wrote no {name}")
    try:
        (about,) = json.loads((compiled / "metadata.json").read_bytes())
        found = ModelContract(
            *(tuple(_tensor(entry) for entry in about[side]) for side in ("inputSchema", "outputSchema"))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(f"{compiled.name}: metadata.json cannot be read: {error}") from error
    if wrong := breaches(found, expected):
        raise ConversionError(f"{compiled.name}: not what WhisperKit expects: {'; '.join(wrong[:5])}")


def _tensor(entry: dict[str, Any]) -> TensorContract:
    shape = tuple(int(size) for size in re.findall(r"\d+", entry["shape"]))
    return TensorContract(entry["name"], shape, _DTYPES[entry["dataType"]])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
