"""One engine in a process of its own: how long from its start until it is ready, and until the first text.

    python benchmarks/peers/starts.py ENGINE FOLDER AUDIO.npy N_TOKENS N_RUNS STARTED_AT

STARTED_AT is the moment before the process was made, as `time.time()` gives it. Prints one line of JSON. The engine
gets a window of sound as an array and writes N_TOKENS tokens, greedily, without timestamps, second tries or a prompt.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[np.float32]]

Hear = Callable[[], object]


def ours(numerics: Literal["float32", "int8"], folder: Path, audio: Samples, n_tokens: int) -> Hear:
    from projectone.speech.int8 import load_for_inference
    from projectone.speech.transcribe import TranscribeOptions, transcribe

    checkpoint = load_for_inference(folder / "hugging-face", numerics, n_threads=1)
    options = TranscribeOptions(language="en", temperatures=(0.0,), max_new_tokens=n_tokens)
    return lambda: transcribe(checkpoint, audio, options=options)


def mlx_whisper(has_our_blas: bool, folder: Path, audio: Samples, n_tokens: int) -> Hear:
    if has_our_blas:
        import projectone.speech  # noqa: F401
    import mlx.core as mx
    from mlx_whisper.transcribe import ModelHolder, transcribe

    path = str(folder / "mlx")
    mx.eval(ModelHolder.get_model(path, mx.float32).parameters())
    eot = json.loads((folder / "ids.json").read_text())["eot"]
    options: dict[str, Any] = {"language": "en", "without_timestamps": True, "sample_len": n_tokens, "fp16": False}
    options |= {"temperature": 0.0, "suppress_tokens": str(eot), "condition_on_previous_text": False}
    return lambda: transcribe(audio, path_or_hf_repo=path, **options)


def faster_whisper(compute_type: str, folder: Path, audio: Samples, n_tokens: int) -> Hear:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder / compute_type), device="cpu", compute_type=compute_type, cpu_threads=1)
    eot = json.loads((folder / "ids.json").read_text())["eot"]
    options: dict[str, Any] = {"language": "en", "beam_size": 1, "temperature": 0.0, "without_timestamps": True}
    options |= {"suppress_tokens": [eot], "max_new_tokens": n_tokens, "condition_on_previous_text": False}
    return lambda: list(model.transcribe(audio, **options)[0])


ENGINES: dict[str, Callable[[Path, Samples, int], Hear]] = {
    "projectone": partial(ours, "float32"),
    "projectone int8": partial(ours, "int8"),
    "mlx-whisper": partial(mlx_whisper, False),
    "mlx-whisper, our BLAS": partial(mlx_whisper, True),
    "faster-whisper float32": partial(faster_whisper, "float32"),
    "faster-whisper int8": partial(faster_whisper, "int8"),
}


def peak_bytes() -> int:
    """The most memory that this program had. Linux counts for `getrusage` what the parent had, too."""
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def main() -> None:
    engine, folder, audio_file, n_tokens, n_runs, started_at = sys.argv[1:]
    import numpy as np

    audio = np.load(audio_file)
    try:
        hear = ENGINES[engine](Path(folder), audio, int(n_tokens))
    except ImportError as error:
        print(json.dumps({"missing": error.name}))
        return
    ready_s, ready_cpu_s = time.time() - float(started_at), time.process_time()
    hear()
    first_s, first_cpu_s = time.time() - float(started_at), time.process_time()
    again = []
    for _ in range(int(n_runs)):
        began = time.process_time()
        hear()
        again.append(time.process_time() - began)
    measured = {"ready_s": ready_s, "first_s": first_s, "ready_cpu_s": ready_cpu_s, "first_cpu_s": first_cpu_s}
    print(json.dumps({**measured, "again_cpu_s": min(again, default=None), "peak_mb": peak_bytes() / 1e6}))


if __name__ == "__main__":
    main()
