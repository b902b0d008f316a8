"""What the chain of generators adds to a request, beside the `openai` library alone, on a real loopback server.

The server is `mlx_lm.server` with a small random model, a process of its own. In turns, request by request: the
library alone; our generator over it; the whole chain of a device (cache that misses, consent, mask, budget, breaker,
deadline, list of what left, accounts); the cache, hit exactly and by content; a template. Every request has words of
its own where nothing may be kept. Wall clock, and CPU seconds of this process: the server's own are in the first.

    python benchmarks/answers.py [--quick] [--json] [--requests N]

Needs the extra `local-answers` (the environment of development has it).
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import projectone.speech  # noqa: F401  # the BLAS before mlx
from projectone.assist.generation.hosted import HostedGenerator, HostedServer
from projectone.assist.generation.protocol import GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client

N_TOKENS = 16
ALONE, OURS, CHAIN, EXACT, NEAR, TEMPLATE = (
    "openai alone",
    "our generator",
    "the whole chain",
    "kept, exact",
    "kept, same content",
    "template",
)
Work = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 requests of each")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--requests", type=int, default=200, help="of each, in turns (default 200)")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"name": "answers", "ms": {}, "left_out": {}}
    missing = [name for name in ("openai", "mlx_lm", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        result["left_out"]["everything"] = f"not installed: {', '.join(missing)}"
        print(json.dumps(result))
        return
    n_requests = 20 if arguments.quick else arguments.requests
    with tempfile.TemporaryDirectory() as folder, works(Path(folder)) as turns:
        wall_ms, cpu_ms = take(turns, n_requests)
    for name in turns:
        result["ms"][name] = {"p50": middle(wall_ms[name]), "p95": late(wall_ms[name]), "cpu p50": middle(cpu_ms[name])}
    result["added by the chain, CPU ms"] = round(middle(cpu_ms[CHAIN]) - middle(cpu_ms[ALONE]), 2)
    result["under a second"] = f"{sum(taken < 1_000 for taken in wall_ms[CHAIN])} of {n_requests}"
    if not arguments.json:
        for name, row in result["ms"].items():
            print(f"{name:20} p50 {row['p50']:8.2f} ms   p95 {row['p95']:8.2f} ms   cpu {row['cpu p50']:7.2f} ms")
    print(json.dumps(result))


@contextmanager
def works(folder: Path) -> Iterator[dict[str, Work]]:
    """What takes turns, on a server that runs."""
    import openai
    from tests.fakes.tiny_language_model import MlxServer, make_tiny_language_model

    os.environ["HF_HUB_OFFLINE"] = "1"
    server = MlxServer(make_tiny_language_model(folder / "tiny"))
    try:
        server.wait()
        environ = {
            "PROJECTONE_HOME": str(folder / "device"),
            "PROJECTONE_ANSWERS_URL": server.base_url,
            "PROJECTONE_ANSWERS_MODEL": "default_model",
            "PROJECTONE_ANSWERS_DEADLINE_S": "60",
        }
        alone = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        ours = HostedGenerator(HostedServer(base_url=server.base_url, model="default_model"))
        with (
            open_client(DeviceSettings.from_env(environ)) as client,
            open_client(DeviceSettings.from_env({"PROJECTONE_HOME": str(folder / "bare")})) as bare,
        ):
            client.grant("hosted_answers", "demo")
            yield _works(alone, ours, client, bare)
        ours.close()
        alone.close()
    finally:
        server.stop()


def _works(alone: Any, ours: HostedGenerator, client: Any, bare: Any) -> dict[str, Work]:  # noqa: ANN401
    from projectone.device.answers import AnswerParameters

    system, parameters = "Answer in one or two short, plain sentences.", AnswerParameters(max_tokens=N_TOKENS)
    words = (f"what is good for a {' '.join(three)}" for three in itertools.permutations(_WORDS, 3))
    kept = client.answers.answer("what's good for a cold", parameters=parameters)
    assert kept.by == "hosted", kept.failed

    def ask_alone() -> object:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": next(words)}]
        return alone.chat.completions.create(
            model="default_model", messages=messages, max_tokens=N_TOKENS, temperature=0.0, seed=0
        )

    def ask_ours() -> object:
        owner = Owner("device", "person")
        return ours.generate(
            GenerationRequest(owner=owner, prompt=next(words), system=system, max_tokens=N_TOKENS, deadline_s=60.0)
        )

    def ask_chain() -> object:
        answer = client.answers.answer(next(words), parameters=parameters)
        assert (answer.by, answer.cached) == ("hosted", "no"), answer.failed
        return answer

    def ask_kept(prompt: str, how: str) -> object:
        answer = client.answers.answer(prompt, parameters=parameters)
        assert answer.cached == how, answer
        return answer

    return {
        ALONE: ask_alone,
        OURS: ask_ours,
        CHAIN: ask_chain,
        EXACT: lambda: ask_kept("what's good for a cold", "exact"),
        NEAR: lambda: ask_kept("What is good for a cold?", "near"),
        TEMPLATE: lambda: bare.answers.answer("what is good for a cold"),
    }


_WORDS = ("cough", "fever", "rash", "burn", "cramp", "bruise", "blister", "headache", "sprain", "sting", "flu", "itch")


def take(turns: dict[str, Work], n_requests: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds of wall clock and of this process, of each request after the first of each."""
    wall_ms: dict[str, list[float]] = {name: [] for name in turns}
    cpu_ms: dict[str, list[float]] = {name: [] for name in turns}
    for turn in range(n_requests + 1):
        for name, work in turns.items():
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            work()
            if turn:
                wall_ms[name].append(1_000 * (time.perf_counter() - wall_s))
                cpu_ms[name].append(1_000 * (time.process_time() - cpu_s))
    return wall_ms, cpu_ms


def middle(times_ms: list[float]) -> float:
    """The median."""
    return round(statistics.median(times_ms), 2)


def late(times_ms: list[float]) -> float:
    """95 of 100 came within this."""
    return round(sorted(times_ms)[min(len(times_ms) - 1, int(0.95 * len(times_ms)))], 2)


if __name__ == "__main__":
    main()
