"""Trials of models on people's own recordings, with real speech: who keeps the starter model, and who takes another.

The people are the ten AN4 speakers and the FSDD speaker that the starter never heard, each with recordings of their
own. Offered is the starter itself with noise in every weight, from none to much: what a bad training, a bad conversion
or a damaged file does to a model, by degrees. Nothing is corrected by hand: the corpora say what was said.

    python -m benchmarks.own_recordings [--data DIR] [--noises 0,0.1,0.2,0.3] [--most 20]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import projectone.speech  # noqa: F401 - the BLAS before mlx

import mlx.core as mx  # isort: skip
import numpy as np
import numpy.typing as npt
from mlx.utils import tree_map

from projectone.device.acceptance import M010_TRIALS, TRIALS_BY_FAMILY, Acceptance, OwnRecording, TrialRows
from projectone.errors import ArtifactError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.work.clips import open_decoder
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint
from projectone.speech.normalize import normalize_text
from projectone.speech.transcribe import TranscribeOptions, transcribe
from projectone.speech.wer import count_errors
from projectone.storage.database import Database

ROOT = Path(__file__).resolve().parents[1]
UNHEARD = {
    "an4": ("fbbh", "mcen", "mgah", "mrcb", "fjam", "fplp", "mdxs", "mjjs2", "mmap", "mtje"),
    "fsdd": ("george",),
}

Samples = npt.NDArray[np.float32]
People = dict[str, list[tuple[OwnRecording, Samples]]]


def read_people(data: Path, most: int) -> People:
    """Each person's recordings, with what the corpus says is said."""
    people: People = defaultdict(list)
    with open_decoder() as decode:
        for corpus, names in UNHEARD.items():
            for row in read_manifest(data / corpus):
                if row.speaker in names and len(people[row.speaker]) < most:
                    samples = decode(row.audio)
                    words = tuple(normalize_text(row.text).split())
                    name = f"{row.speaker}-{len(people[row.speaker])}"
                    people[row.speaker].append((OwnRecording(name, samples.size / 16_000, words, False), samples))
    return people


def noisy(share: float) -> WhisperCheckpoint:
    """The starter, with noise in each weight of so much of that weight's spread."""
    checkpoint = load_checkpoint(ROOT / "models" / "starter")
    mx.random.seed(0)

    def shaken(weight: mx.array) -> mx.array:
        return weight + share * mx.std(weight) * mx.random.normal(weight.shape).astype(weight.dtype)

    checkpoint.model.update(tree_map(shaken, checkpoint.model.parameters()))
    return checkpoint


def hearing(checkpoint: WhisperCheckpoint) -> Callable[[Samples], str]:
    """What a model hears; the same sound is heard once."""
    heard: dict[bytes, str] = {}

    def hear(samples: Samples) -> str:
        key = samples.tobytes()
        if key not in heard:
            heard[key] = transcribe(checkpoint, samples, options=TranscribeOptions(language="en")).text
        return heard[key]

    return hear


def try_on(people: People, before: Callable[[Samples], str], after: Callable[[Samples], str]) -> Counter[str]:
    """The verdicts of all people, and all words with those that each model got wrong."""
    found: Counter[str] = Counter()
    for recordings in people.values():
        sounds = {item.audio_sha256: samples for item, samples in recordings}
        own = [item for item, _ in recordings]
        with tempfile.TemporaryDirectory() as folder:
            database = Database(Path(folder) / "rows.sqlite", (M010_TRIALS, TRIALS_BY_FAMILY))
            rows = TrialRows(database)
            trial = Acceptance(
                lambda made_at, own=own: own,  # type: ignore[misc]
                sounds.__getitem__,
                words=lambda text: tuple(normalize_text(text).split()),
                errors=lambda said, heard: count_errors(said, heard).errors,
                rows=rows,
                clock=lambda: datetime.now(UTC),
                budget_s=1e9,
            ).begin(seq=2, version="new", made_at=datetime.now(UTC))
            try:
                trial.hear_before("old", before)
                trial.hear_after(after)
            except ArtifactError as error:
                if not rows.newest():
                    found[f"refused: {error}"] += 1
            for item in rows.newest():
                found[item.verdict] += 1
                found["words"] += item.n_words
                found["wrong before"] += item.wrong_before
                found["wrong after"] += item.wrong_after
            database.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--noises", default="0,0.1,0.2,0.3")
    parser.add_argument("--most", type=int, default=20, help="recordings of one person")
    arguments = parser.parse_args()
    people = read_people(arguments.data, arguments.most)
    print(f"{len(people)} people, {sum(map(len, people.values()))} recordings")
    before = hearing(noisy(0.0))
    for share in map(float, arguments.noises.split(",")):
        began = time.process_time()
        found = try_on(people, before, hearing(noisy(share)))
        print(json.dumps({"noise": share, "cpu_s": round(time.process_time() - began), **found}), flush=True)


if __name__ == "__main__":
    main()
