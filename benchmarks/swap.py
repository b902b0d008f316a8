"""Models swapped under people who transcribe: no answer lost or mixed, every old engine closed, and who waits how long.

    python -m benchmarks.swap [--swaps 40] [--threads 4] [--json]

Real engines of two tiny random models, which hear other things in the same sounds. Each answer is compared with what
its model hears alone. Then the starter model, if it is here: how long who asks first waits after a swap, where the new
engine had decoded something before it was put in place, where it had only been loaded, and where it is loaded then;
the three in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tests.fakes.release_server import make_release
from tests.fakes.tiny_whisper import Samples, say, tiny_checkpoint

from projectone.device.engine import SpeechEngine, load_engine
from projectone.device.heard import TEXT_ONLY, EngineHeard, Hints
from projectone.device.installed import Installed
from projectone.device.transcriber import Transcriber
from projectone.speech.checkpoint import WhisperCheckpoint, save_checkpoint

STARTER = Path(__file__).parents[1] / "models" / "starter"
N_CLIPS = 4


class CountedEngine:
    """An engine that is counted while it is open."""

    n_open = 0
    n_made = 0
    _lock = threading.Lock()

    def __init__(self, folder: Path) -> None:
        self._engine = load(folder)
        self._count(1)

    def transcribe(self, samples: Samples, hints: Hints = TEXT_ONLY) -> EngineHeard:
        """As the engine."""
        return self._engine.transcribe(samples, hints)

    def close(self) -> None:
        """As the engine, and counted."""
        self._engine.close()
        self._count(-1)

    @classmethod
    def _count(cls, change: int) -> None:
        with cls._lock:
            cls.n_open += change
            cls.n_made += max(0, change)


@dataclass(frozen=True)
class Swapped:
    """What swaps under load did.

    Attributes:
        n_mixed: Answers that are not what their model hears alone.
        n_left_open: Engines that were not closed when nobody used them any more, beside the one in use.
    """

    n_swaps: int
    n_threads: int
    n_answers: int
    n_failed: int
    n_mixed: int
    n_left_open: int
    answers_by_model: dict[str, int]


def load(folder: Path) -> SpeechEngine:
    """An engine as the device makes it."""
    return load_engine(folder, language="en", numerics="float32")


def sure_checkpoint(seed: int) -> WhisperCheckpoint:
    """A tiny random model that is sure of what it writes; one that is not draws, and any two draw the same."""
    checkpoint = tiny_checkpoint(seed=seed)
    embedding = checkpoint.model.decoder.token_embedding
    embedding.weight = embedding.weight * 20
    return checkpoint


def two_installed(folder: Path, seeds: tuple[int, int] = (1, 2)) -> Installed:
    """Two tiny models, installed one after the other; the second is in use."""
    installed = Installed(folder / "models")
    for seq, seed in enumerate(seeds, start=1):
        model = folder / f"tiny-{seed}"
        save_checkpoint(sure_checkpoint(seed), model)
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        release = make_release(files, seq=seq, version=f"1.{seq}.0")
        package = folder / "package.zip"
        package.write_bytes(release.package)
        installed.begin_trial(installed.add(package, release.manifest))
        installed.settle_trial(lambda path: "fine")
    return installed


def swap_under_load(folder: Path, *, n_swaps: int, n_threads: int) -> Swapped:
    """Swap to and fro while others transcribe all the time; every thread hears both models before it ends."""
    installed = two_installed(folder)
    clips = [say("red green", seed=number) for number in range(N_CLIPS)]
    state = installed.state()
    alone = {}
    for slot in (state.current, state.previous):
        assert slot is not None, "two were installed"
        engine = load(installed.path_of(slot))
        alone[slot.version] = [engine.transcribe(clip, TEXT_ONLY).text for clip in clips]
        engine.close()
    if len(set(map(tuple, alone.values()))) < 2:
        raise ValueError(f"models: expected two that hear other things, both hear {alone}")
    CountedEngine.n_open = CountedEngine.n_made = 0
    transcriber = Transcriber(installed, CountedEngine)
    answers: Counter[str] = Counter()
    heard: list[set[str]] = [set() for _ in range(n_threads)]
    failed: list[str] = []
    mixed: list[str] = []
    is_over = threading.Event()

    def work(number: int) -> None:
        turn = number
        while not is_over.is_set():
            turn += 1
            try:
                answer = transcriber.transcribe(clips[turn % N_CLIPS])
            except Exception as error:
                failed.append(repr(error))
                return
            heard[number].add(answer.model_version)
            answers[answer.model_version] += 1
            if answer.text != alone[answer.model_version][turn % N_CLIPS]:
                mixed.append(answer.text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    swaps = 0
    while swaps < n_swaps or not (failed or all(len(versions) == 2 for versions in heard)):
        installed.roll_back()
        transcriber.reload()
        swaps += 1
    is_over.set()
    for thread in threads:
        thread.join()
    n_left_open = CountedEngine.n_open - 1
    transcriber.close()
    return Swapped(
        swaps,
        n_threads,
        sum(answers.values()),
        len(failed),
        len(mixed),
        n_left_open + CountedEngine.n_open,
        dict(answers),
    )


def first_answer_s(samples: Samples, readiness: str) -> float:
    """How long who asks first waits for the starter model, which was ``warm``, ``loaded`` or ``not loaded`` before."""
    engine = None if readiness == "not loaded" else load(STARTER)
    if engine is not None and readiness == "warm":
        engine.transcribe(np.zeros(16_000, dtype=np.float32), TEXT_ONLY)
    began = time.perf_counter()
    engine = engine or load(STARTER)
    engine.transcribe(samples, TEXT_ONLY)
    seconds = time.perf_counter() - began
    engine.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="only the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        swapped = swap_under_load(Path(folder), n_swaps=arguments.swaps, n_threads=arguments.threads)
    facts: dict[str, object] = {"swapped": asdict(swapped)}
    if not arguments.json:
        print(
            f"{swapped.n_swaps} swaps under {swapped.n_threads} threads: {swapped.n_answers} answers, "
            f"{swapped.n_failed} failed, {swapped.n_mixed} mixed, {swapped.n_left_open} engines left open"
        )
    if STARTER.is_dir():
        samples = say("red green blue", seed=0)
        waits: dict[str, list[float]] = {"warm": [], "loaded": [], "not loaded": []}
        for _ in range(8):
            for readiness, seconds in waits.items():
                seconds.append(first_answer_s(samples, readiness))
        for readiness, seconds in waits.items():
            facts[f"first_answer_{readiness.replace(' ', '_')}_s"] = statistics.median(seconds)
            if not arguments.json:
                print(
                    f"first answer, engine {readiness}: {statistics.median(seconds):.3f} s (median of {len(seconds)})"
                )
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
