"""The benchmarks run where nothing but the project is installed, and say what they left out."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from tests.conftest import REPOSITORY


def result_of(name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, f"benchmarks/{name}.py", "--quick", "--json", "--no-peers", *arguments]
    child = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=300)
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(
    ("name", "arguments"), [("features", []), ("decode", ["--size", "starter"]), ("train", ["--size", "starter"])]
)
def test_a_benchmark_without_peers_reports_our_own_time_and_names_them(name: str, arguments: list[str]) -> None:
    result = result_of(name, *arguments)
    assert result["name"] == name
    assert result["ratios"] == {}
    assert "transformers" in " ".join(result["left_out"])
    assert result["conditions"]["threads"] == 1


def test_the_wait_for_a_text_is_told_from_the_start_and_while_speaking() -> None:
    result = result_of("device", "--size", "starter", "--feed-s", "0.8")
    assert set(result["engines"]) == {"projectone", "projectone int8"}
    assert all(row["first_s"] > row["ready_s"] > 0 for row in result["engines"].values())
    assert result["partial_latency"]["starter"]["n_pieces"] > 0
    assert result["partial_latency"]["starter"]["n_never"] == 0
    assert "faster-whisper int8" in result["left_out"]


def test_the_cost_of_packing_is_told_beside_a_clip_alone_in_its_window() -> None:
    costs = (
        "import json, packing as p\n"
        "cost_of = {p.ALONE: 0.6, p.PACKED: 0.1, p.SHORT: 0.05}\n"
        "rows = {step: {'cpu_s_per_audio_s': cost} for step, cost in cost_of.items()}\n"
        "print(json.dumps(p.report({'tiny': rows}, 0.84)))"
    )
    # In a process of its own: a benchmark sets the number of threads for everything after it.
    child = subprocess.run(
        [sys.executable, "-c", costs], cwd=REPOSITORY / "benchmarks", check=True, capture_output=True, timeout=300
    )
    report = json.loads(child.stdout.splitlines()[-1])
    assert report["name"] == "packing"
    assert report["ratios"] == {
        "alone in a window / packed windows, tiny": 6.0,
        "alone in a window / short context, tiny": 12.0,
    }
    assert report["conditions"]["threads"] == 1


def test_every_way_to_update_rebuilds_the_file_and_the_difference_is_the_smallest() -> None:
    measure = (
        "import json, pathlib, sys, update\n"
        "dims = update.ModelDimensions(80, 100, 64, 2, 1, 1000, 64, 64, 2, 1)\n"
        "print(json.dumps(update.measure(pathlib.Path(sys.argv[1]), dims, update.CHANGES, rank=2)))"
    )
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.run(
            [sys.executable, "-c", measure, folder],
            cwd=REPOSITORY / "benchmarks",
            check=True,
            capture_output=True,
            timeout=300,
        )
    rows = json.loads(child.stdout.splitlines()[-1])
    assert all(row["is_exact"] for row in rows)
    shares = {row["way"]: row["share"] for row in rows if row["change"] == "thousandth"}
    assert min(shares, key=shares.__getitem__) == "difference"


@pytest.mark.slow
def test_two_processes_are_timed_beside_one() -> None:
    result = result_of("parallel", "--size", "starter")
    assert set(result["ratios"]) == {"one process", "one process, a thread for every core"}
    assert result["wall_s"]["two processes"]["exchange_s"] > 0
    assert all(values["step_s"] > 0 for values in result["wall_s"].values())


@pytest.mark.slow
def test_the_benchmark_of_ingestion_reports_our_own_figures_and_names_its_peer() -> None:
    result = result_of("ingest")
    assert result["name"] == "ingest"
    assert set(result["ratios"]) == {"uploads_vs_the_disk_itself"}
    assert set(result["uploads_per_s"]) == {"projectone", "the disk itself"}
    assert set(result["audio_hours_per_minute"]) == {
        "projectone",
        "projectone, one process",
        "projectone, and fingerprints",
    }
    assert result["left_out"] == dict.fromkeys(("plain script", "script, same kinds of figures"), "not asked for")


@pytest.mark.slow
def test_the_load_of_many_devices_is_answered_without_an_error() -> None:
    result = result_of("load")
    assert {str(part["statuses"]) for part in result["parts"].values()} == {"{'201': 24}"}
    assert all(part["server_cpu_ms_per_upload"] > 0 for part in result["parts"].values())


@pytest.mark.slow
def test_a_device_over_its_quota_is_refused_and_an_honest_one_beside_it_is_served() -> None:
    result = result_of("load", "--flood")
    assert {str(part["statuses"]) for part in result["honest"].values() if part["n"]} == {"{'201': 20}"}
    flood = result["flood"]
    assert flood["statuses"]["201"] <= result["conditions"]["quota_per_minute"] < flood["asked"] == 1400
    assert flood["statuses"]["429"] == flood["refusals_with_retry_after"] > 150
    assert result["ratios"]["honest_p99"] > 0


@pytest.mark.slow
def test_three_hundred_devices_have_a_bad_model_stopped() -> None:
    result = result_of("rollout")
    (part,) = result["parts"].values()
    assert (part["is_stopped"], part["reason"]) == (True, "crash-loops")
    assert part["had_it_a_look_later"] == part["had_it"] < 0.2
    assert part["verified"] >= 2
    assert result["null"]["stopped"] <= 2
