"""What an update costs a device: bytes and seconds from the weights it has to the ones it gets.

Ours (an adapter's factors, or the difference of weights) beside what people use: the whole file under zstd, zstd with
the old file as its dictionary (`zstd --patch-from`), blocks of 64 KiB that the old file has already (casync, Xet), and
bsdiff. The last two are the programs themselves, and are left out with a word where they are not installed.

Changes of weights in whisper-tiny's shapes and spread:

    adapter     rank 8 on queries and values of every attention, fused as the trainer does
    finetune    all weights, as much as the demo's real fine-tune moves them (2e-3), rounded by the trainer's own code
    unrounded   the same before it is rounded
    thousandth  all weights by a thousandth of themselves
    decoder     the decoder's alone, by a thousandth

    python benchmarks/update.py [--quick] [--json] [--only CHANGE ...] [--base MODEL --new MODEL]

--quick: a tenth of the weights. --only: these changes; bsdiff takes minutes for each. --base and --new: folders of
two real models instead, such as the demo's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import projectone.server.training  # noqa: F401  # isort: skip - the BLAS before mlx
import mlx.core as mx
import numpy as np
import zstandard
from safetensors.numpy import save

from projectone.server.training.config import TrainingConfig
from projectone.server.training.rounding import round_changes
from projectone.speech.adapter_update import write_adapter_update
from projectone.speech.exact_merge import Factors, fuse
from projectone.speech.names import hf_shapes
from projectone.speech.weight_delta import write_delta
from projectone.speech.whisper import ModelDimensions
from projectone.storage.files import digest_of

TINY = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
QUICK = ModelDimensions(80, 1500, 128, 2, 4, 20000, 448, 128, 2, 4)
CHANGES = ("adapter", "finetune", "unrounded", "thousandth", "decoder")
_CHUNK = 64 * 1024
_SPREAD = 0.02
_FINE_TUNE = 2.1e-3  # rms of the change that the demo's training makes
_SCALE = 2.0
# What a device does, in a process of its own: CPU seconds from the start of Python on, and the peak of its memory. Not
# `ru_maxrss` where it can be helped: that is as high as its parent's on Linux.
_APPLIED = {
    "adapter": "from projectone.speech.adapter_update import apply_adapter_update as apply\n",
    "delta": "from projectone.speech.weight_delta import apply_delta as apply\n",
}
_SPENT = """
import json, pathlib, resource, sys
apply(*map(pathlib.Path, sys.argv[1:]))
spent = resource.getrusage(resource.RUSAGE_SELF)
peak_mb = spent.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak_mb = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1e3
print(json.dumps({"cpu_s": spent.ru_utime + spent.ru_stime, "peak_mb": peak_mb}))
"""
Half = np.ndarray[Any, np.dtype[np.float16]]
Tensors = dict[str, Half]


@dataclass
class Change:
    """A new model, and what the trainer knows of how it came about."""

    tensors: Tensors
    factors: Mapping[str, Factors] | None = None


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the weights")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--only", choices=CHANGES, nargs="+", default=CHANGES, metavar="CHANGE", help="of the changes")
    parser.add_argument("--base", type=Path, help="folder of a real model")
    parser.add_argument("--new", type=Path, help="folder of what was made of it")
    arguments = parser.parse_args(argv)
    dims = QUICK if arguments.quick else TINY
    with tempfile.TemporaryDirectory() as folder:
        if arguments.base and arguments.new:
            rows = measure_pair(Path(folder), arguments.base, arguments.new)
        else:
            rows = measure(Path(folder), dims, arguments.only, rank=2 if arguments.quick else 8)
    if not arguments.json:
        print(table_of(rows))
    print(json.dumps(summary_of(rows, dims)))


def summary_of(rows: Sequence[dict[str, Any]], dims: ModelDimensions) -> dict[str, Any]:
    """The line for machines."""
    own = {row["change"]: row for row in rows if row["way"] in ("adapter", "difference")}
    names = {"adapter": "adapter", "finetune": "delta_full_finetune"}
    peers = [row["share"] for row in rows if row["change"] == "finetune" and row["way"] != "difference"]
    return {
        "name": "update",
        "shares": {names.get(change, f"delta_{change}"): row["share"] for change, row in own.items()},
        "ratios": {"smallest_peer": round(min(peers) / own["finetune"]["share"], 2)} if peers else {},
        "bit_exact": all(row["is_exact"] for row in rows),
        "apply_s": {change: row["apply_s"] for change, row in own.items()},
        "apply_peak_mb": {change: row["apply_peak_mb"] for change, row in own.items()},
        "rows": rows,
        "conditions": {
            "weights": sum(int(np.prod(shape)) for shape in hf_shapes(dims).values()),
            "full_download": "the weights in float16, to which all shares refer",
            "update_share": TrainingConfig().update_share,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "left_out": [f"{name} is not installed" for name in ("bsdiff", "zstd") if shutil.which(name) is None],
        },
    }


def measure(folder: Path, dims: ModelDimensions, wanted: Sequence[str], *, rank: int) -> list[dict[str, Any]]:
    """Every way over every change that is wanted; shares are of the whole file, seconds are CPU seconds."""
    random = np.random.default_rng(0)
    base = {
        name: (random.standard_normal(shape, np.float32) * _SPREAD).astype(np.float16)
        for name, shape in sorted(hf_shapes(dims).items())
    }
    old = _saved(folder / "old.safetensors", base)
    rows = []
    for name, change in changes(base, rank):
        if name not in wanted:
            continue
        new = _saved(folder / "new.safetensors", change.tensors)
        rows += measure_ways(folder, name, old, new, change.factors)
    return rows


def measure_pair(folder: Path, base: Path, new: Path) -> list[dict[str, Any]]:
    """Every way between two real models."""
    return measure_ways(folder, "finetune", base / "model.safetensors", new / "model.safetensors", None)


def measure_ways(
    folder: Path, name: str, old: Path, new: Path, factors: Mapping[str, Factors] | None
) -> list[dict[str, Any]]:
    """Every way over one change."""
    rows = []
    for way, run in ways(folder, old, new, factors).items():
        row = run()
        row["share"] = round(row.pop("n_bytes") / new.stat().st_size, 5)
        rows.append({"change": name, "way": way, **row})
        print(f"{name}, {way}: {row['share']:.2%}", file=sys.stderr, flush=True)
    return rows


def changes(base: Tensors, rank: int) -> Iterator[tuple[str, Change]]:
    """The new models, one after another."""
    random = np.random.default_rng(1)
    factors = {
        name: Factors(
            (random.standard_normal((rank, half.shape[1])) * 0.02).astype(np.float16),
            (random.standard_normal((half.shape[0], rank)) * 0.02).astype(np.float16),
        )
        for name, half in base.items()
        if name.endswith(("q_proj.weight", "v_proj.weight"))
    }
    fused = {name: fuse(base[name], pair, _SCALE) for name, pair in factors.items()}
    yield "adapter", Change(base | fused, factors)
    wide = {name: half.astype(np.float32) for name, half in base.items()}
    noise = {name: random.standard_normal(half.shape, np.float32) for name, half in base.items()}
    tuned = {name: wide[name] + np.float32(_FINE_TUNE) * noise[name] for name in base}
    made = round_changes(_in_mlx(wide), _in_mlx(tuned), TrainingConfig().update_share)
    assert made is not None, "such a change has to be rounded"
    yield "finetune", Change({name: np.array(tensor).astype(np.float16) for name, tensor in made.tensors.items()})
    yield "unrounded", Change({name: tensor.astype(np.float16) for name, tensor in tuned.items()})
    moved = {name: (wide[name] * (1 + np.float32(1e-3) * noise[name])).astype(np.float16) for name in base}
    yield "thousandth", Change(moved)
    yield "decoder", Change({name: moved[name] if ".decoder." in name else half for name, half in base.items()})


def ways(
    folder: Path, old: Path, new: Path, factors: Mapping[str, Factors] | None
) -> dict[str, Callable[[], dict[str, Any]]]:
    """What can be done with two files: each gives bytes, seconds, and whether the new file came out."""
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    if factors is not None:
        found["adapter"] = lambda: own_adapter(folder, old, new, factors)
    else:
        found["difference"] = lambda: own_difference(folder, old, new)
    found["whole file, zstd -3"] = lambda: with_zstd(new)
    found["64 KiB blocks"] = lambda: with_blocks(old, new)
    if shutil.which("zstd"):
        found["zstd -19 --patch-from"] = lambda: with_programs(
            new,
            folder,
            ["zstd", "-q", "-f", "-19", "--long=31", f"--patch-from={old}", str(new), "-o", "PATCH"],
            ["zstd", "-q", "-f", "-d", "--long=31", f"--patch-from={old}", "PATCH", "-o", "OUT"],
        )
    if shutil.which("bsdiff"):
        found["bsdiff"] = lambda: with_programs(
            new, folder, ["bsdiff", str(old), str(new), "PATCH"], ["bspatch", str(old), "OUT", "PATCH"]
        )
    return found


def own_adapter(folder: Path, old: Path, new: Path, factors: Mapping[str, Factors]) -> dict[str, Any]:
    """The factors alone."""
    update = folder / "update"
    make_s = _seconds(lambda: write_adapter_update(old, new, factors, _SCALE, update))
    return {"n_bytes": update.stat().st_size, "make_s": make_s, **_applied("adapter", old, update, new)}


def own_difference(folder: Path, old: Path, new: Path) -> dict[str, Any]:
    """The difference of weights, in steps where there are any."""
    update = folder / "update"
    make_s = _seconds(lambda: write_delta(old, new, update))
    return {"n_bytes": update.stat().st_size, "make_s": make_s, **_applied("delta", old, update, new)}


def with_zstd(new: Path) -> dict[str, Any]:
    """The whole file, packed."""
    content, packed, unpacked = new.read_bytes(), list[bytes](), list[bytes]()
    make_s = _seconds(lambda: packed.append(zstandard.ZstdCompressor(level=3).compress(content)))
    apply_s = _seconds(lambda: unpacked.append(zstandard.ZstdDecompressor().decompress(packed[0])))
    return {"n_bytes": len(packed[0]), "make_s": make_s, "apply_s": apply_s, "is_exact": unpacked[0] == content}


def with_blocks(old: Path, new: Path) -> dict[str, Any]:
    """Blocks of the new file that the old one does not have, as they are; cut at fixed places, which favours them."""

    def blocks(path: Path) -> list[bytes]:
        content = path.read_bytes()
        return [content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK)]

    held = {hashlib.sha256(block).digest(): block for block in blocks(old)}
    sent: list[bytes] = []
    make_s = _seconds(lambda: sent.extend(b for b in blocks(new) if hashlib.sha256(b).digest() not in held))
    known = held | {hashlib.sha256(block).digest(): block for block in sent}
    rebuilt = b"".join(known[hashlib.sha256(block).digest()] for block in blocks(new))
    n_bytes = sum(map(len, sent)) + 32 * len(blocks(new))
    return {"n_bytes": n_bytes, "make_s": make_s, "apply_s": None, "is_exact": rebuilt == new.read_bytes()}


def with_programs(new: Path, folder: Path, make: Sequence[str], apply: Sequence[str]) -> dict[str, Any]:
    """Programs of others: PATCH and OUT stand for files."""
    patch, out = folder / "patch", folder / "out"
    places = {"PATCH": str(patch), "OUT": str(out)}
    spent_s = []
    for command in (make, apply):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([places.get(word, word) for word in command], check=True, capture_output=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s.append(round(ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime, 3))
    is_exact = digest_of(out) == digest_of(new)
    return {"n_bytes": patch.stat().st_size, "make_s": spent_s[0], "apply_s": spent_s[1], "is_exact": is_exact}


def table_of(rows: Sequence[dict[str, Any]]) -> str:
    """For people."""
    lines = [
        "| change | way | bytes, % of the file | make, CPU s | apply, CPU s | peak, MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        apply_s = "" if row["apply_s"] is None else f"{row['apply_s']:.2f}"
        peak = f"{row['apply_peak_mb']:.0f}" if "apply_peak_mb" in row else ""
        share = f"{100 * row['share']:.2f}"
        lines.append(f"| {row['change']} | {row['way']} | {share} | {row['make_s']:.1f} | {apply_s} | {peak} |")
    return "\n".join(lines)


def _applied(kind: str, old: Path, update: Path, new: Path) -> dict[str, Any]:
    out = update.with_name("rebuilt")
    command = [sys.executable, "-c", _APPLIED[kind] + _SPENT, str(old), str(update), str(out)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    is_exact = digest_of(out) == digest_of(new)
    return {"apply_s": round(said["cpu_s"], 3), "apply_peak_mb": round(said["peak_mb"], 1), "is_exact": is_exact}


def _saved(path: Path, tensors: Tensors) -> Path:
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    return path


def _in_mlx(tensors: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> dict[str, mx.array]:
    return {name: mx.array(array) for name, array in tensors.items()}


def _seconds(run: Callable[[], object]) -> float:
    begun = time.process_time()
    run()
    return round(time.process_time() - begun, 3)


if __name__ == "__main__":
    main()
