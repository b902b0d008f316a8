"""What an update costs a device: bytes and seconds from the weights it has to the ones it gets.

Ours (`speech/weight_delta`) beside what people use: the whole file under zstd, zstd with the old file as its
dictionary (`zstd --patch-from`), blocks of 64 KiB that the old file has already (casync, Xet), and bsdiff where it is
installed (minutes and half a gigabyte for a whole model, so with --quick only).

Three changes of weights in whisper-tiny's number and spread: every weight by about a thousandth of itself, every weight
by about 1e-4 (what Adam does in a few hundred steps), and the decoder's alone.

    python benchmarks/update.py [--quick] [--json]        (--quick: a tenth of the weights)
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from safetensors.numpy import save

from projectone.speech.weight_delta import apply_delta, write_delta
from projectone.storage.files import digest_of

N_WEIGHTS = 37_759_104  # whisper-tiny
N_ENCODER = 8_208_384
_CHUNK = 64 * 1024
_SPREAD = 0.02


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the weights")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    arguments = parser.parse_args(argv)
    n_weights = N_WEIGHTS // 10 if arguments.quick else N_WEIGHTS
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), n_weights, with_bsdiff=arguments.quick)
    if not arguments.json:
        print(table_of(rows))
    own = {row["change"]: row for row in rows if row["way"] == "difference"}
    best_peer = min(row["share"] for row in rows if row["change"] == "thousandth" and row["way"] != "difference")
    print(
        json.dumps(
            {
                "name": "update",
                "shares": {
                    "delta_full_finetune": own["thousandth"]["share"],
                    "delta_adam_like": own["adam"]["share"],
                    "delta_decoder": own["decoder"]["share"],
                },
                "ratios": {"smallest_peer": round(best_peer / own["thousandth"]["share"], 2)},
                "bit_exact": all(row["is_exact"] for row in rows),
                "apply_s": own["thousandth"]["apply_s"],
                "rows": rows,
                "conditions": {
                    "weights": n_weights,
                    "python": platform.python_version(),
                    "machine": platform.machine(),
                    "left_out": [] if importlib.util.find_spec("bsdiff4") else ["bsdiff4 is not installed"],
                },
            }
        )
    )


def measure(folder: Path, n_weights: int, *, with_bsdiff: bool) -> list[dict[str, Any]]:
    """Every way over every change; shares are of the whole file, seconds are CPU seconds of this process."""
    seed = np.random.default_rng(0)
    base = (seed.standard_normal(n_weights, np.float32) * _SPREAD).astype(np.float16)
    noise = seed.standard_normal(n_weights, np.float32)
    n_encoder = round(n_weights * N_ENCODER / N_WEIGHTS)
    decoder = noise * np.float32(1e-3)
    decoder[:n_encoder] = 0
    wide = base.astype(np.float32)
    changes = {
        "thousandth": wide * (1 + np.float32(1e-3) * noise),
        "adam": wide + np.float32(1e-4) * noise,
        "decoder": wide * (1 + decoder),
    }
    old = _saved(folder / "old.safetensors", base)
    rows = []
    for change, weights in changes.items():
        new = _saved(folder / "new.safetensors", weights.astype(np.float16))
        for way, run in ways(folder, old, new, with_bsdiff=with_bsdiff).items():
            row = run()
            row["share"] = round(row.pop("n_bytes") / new.stat().st_size, 4)
            rows.append({"change": change, "way": way, **row})
            print(f"{change}, {way}: {row['share']:.2%}", file=sys.stderr, flush=True)
    return rows


def ways(folder: Path, old: Path, new: Path, *, with_bsdiff: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    """What can be done with two files: each gives bytes, seconds, and whether the new file came out."""
    found: dict[str, Callable[[], dict[str, Any]]] = {
        "difference": lambda: own_difference(folder, old, new),
        "whole file, zstd -3": lambda: with_zstd(old, new, level=3, uses_old=False),
        "zstd -19 --patch-from": lambda: with_zstd(old, new, level=19, uses_old=True),
        "64 KiB blocks": lambda: with_blocks(old, new),
    }
    if with_bsdiff and importlib.util.find_spec("bsdiff4"):
        found["bsdiff"] = lambda: with_bsdiff4(old, new)
    return found


def own_difference(folder: Path, old: Path, new: Path) -> dict[str, Any]:
    delta, out = folder / "delta", folder / "out"
    make_s = _seconds(lambda: write_delta(old, new, delta))
    apply_s = _seconds(lambda: apply_delta(old, delta, out))
    is_exact = digest_of(out) == digest_of(new)
    return {"n_bytes": delta.stat().st_size, "make_s": make_s, "apply_s": apply_s, "is_exact": is_exact}


def with_zstd(old: Path, new: Path, *, level: int, uses_old: bool) -> dict[str, Any]:
    """What `zstd --patch-from` does: the old file as a prefix, and a window that reaches back to its beginning."""
    content, before = new.read_bytes(), old.read_bytes()
    given: dict[str, Any] = {"level": level}
    if uses_old:
        prefix = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        window = (len(before) + len(content)).bit_length()
        parameters = zstandard.ZstdCompressionParameters.from_level(level, window_log=window, enable_ldm=True)
        compressor = zstandard.ZstdCompressor(dict_data=prefix, compression_params=parameters)
        decompressor = zstandard.ZstdDecompressor(dict_data=prefix, max_window_size=2**window)
    else:
        compressor, decompressor = zstandard.ZstdCompressor(**given), zstandard.ZstdDecompressor()
    packed: list[bytes] = []
    unpacked: list[bytes] = []
    make_s = _seconds(lambda: packed.append(compressor.compress(content)))
    apply_s = _seconds(lambda: unpacked.append(decompressor.decompress(packed[0])))
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


def with_bsdiff4(old: Path, new: Path) -> dict[str, Any]:
    import bsdiff4

    before, content = old.read_bytes(), new.read_bytes()
    patch: list[bytes] = []
    out: list[bytes] = []
    make_s = _seconds(lambda: patch.append(bsdiff4.diff(before, content)))
    apply_s = _seconds(lambda: out.append(bsdiff4.patch(before, patch[0])))
    return {"n_bytes": len(patch[0]), "make_s": make_s, "apply_s": apply_s, "is_exact": out[0] == content}


def table_of(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| change | way | bytes, % of the file | make, CPU s | apply, CPU s |", "|---|---|---|---|---|"]
    for row in rows:
        apply_s = "" if row["apply_s"] is None else f"{row['apply_s']:.2f}"
        lines.append(f"| {row['change']} | {row['way']} | {100 * row['share']:.1f} | {row['make_s']:.1f} | {apply_s} |")
    return "\n".join(lines)


def _saved(path: Path, weights: np.ndarray[Any, Any]) -> Path:
    path.write_bytes(save({"weights": weights}, metadata={"format": "pt"}))
    return path


def _seconds(run: Callable[[], object]) -> float:
    begun = time.process_time()
    run()
    return round(time.process_time() - begun, 3)


if __name__ == "__main__":
    main()
