"""A job whose process Ray loses is done again, goes on, and ends in the same bytes (`make ray`)."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.tiny_bert import tiny_bert
from tests.unit.server.training.test_classifiers import EXAMPLES, NONE

from projectone.assist.encoder.bert_files import CONFIG, write_bert
from projectone.errors import StageError
from projectone.server.settings import ServerSettings
from projectone.server.work.resumable import read_result, run_job
from projectone.storage.files import digest_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: make ray"),
]
_PATIENCE_S = 240.0


@pytest.fixture(scope="module", autouse=True)
def _a_ray() -> Iterator[None]:
    """One for both: it takes its time to start."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
    yield
    ray.shutdown()


def work(tmp_path: Path, out: str, epochs: int) -> list[str]:
    if not (tmp_path / "encoder").exists():
        rows = [{"text": text, "label": label} for text, label in EXAMPLES + NONE]
        (tmp_path / "intents.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        (tmp_path / "encoder").mkdir()
        write_bert(tmp_path / "encoder", tiny_bert())
        (tmp_path / "encoder" / CONFIG).write_text(json.dumps(tiny_bert().config.to_json()))
    return [
        *("assist", "train", "--data", str(tmp_path / "intents.jsonl"), "--encoder", str(tmp_path / "encoder")),
        *("--epochs", str(epochs), "--noised-share", "0", "--json", "--out", str(tmp_path / out), "--resume"),
    ]


def holder_of(lock: Path) -> int | None:
    """The process that holds a lock, as the kernel tells it."""
    inode = str(lock.stat().st_ino)
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[-3].split(":")[-1] == inode:
            return int(fields[4])
    return None


def test_a_job_is_killed_twice_and_ends_as_if_it_had_never_been(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from projectone.server.work.ray_jobs import run_on_ray

    epochs = 100
    run_job(
        work(tmp_path, "whole", epochs),
        tmp_path / "whole.json",
        ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path)}),
    )
    result, teaching = tmp_path / "job.json", tmp_path / "out.teaching" / "first"
    killed: list[tuple[int, str]] = []

    def kill() -> None:
        end_s = time.monotonic() + _PATIENCE_S
        for at in (3, 30):
            while time.monotonic() < end_s and not result.exists():
                last = max((path.name for path in teaching.glob("epoch-???")), default="")
                process = holder_of(tmp_path / "job.json.lock") if last >= f"epoch-{at:03d}" else None
                if process is not None:
                    os.kill(process, signal.SIGKILL)
                    killed.append((process, last))
                    break
                time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    words = work(tmp_path, "out", epochs)
    assert (
        run_on_ray(
            "local", words, result, ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path)}), n_cpus=0.5
        )
        == 0
    )
    killer.join()
    assert len({process for process, _ in killed}) == 2 and os.getpid() not in {process for process, _ in killed}
    digests = [
        {path.name: digest_of(path) for path in folder.iterdir()} for folder in (tmp_path / "whole", tmp_path / "out")
    ]
    assert digests[0] == digests[1]
    assert json.loads(read_result(result, words))["n_labels"] == 3
    with capsys.disabled():
        print(f"\nkilled with SIGKILL at {', '.join(last for _, last in killed)} of {epochs}; the same bytes")


def test_work_that_fails_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    from projectone.server.work.ray_jobs import run_on_ray

    words = [*work(tmp_path, "out", 1), "--development", str(tmp_path / "nowhere.jsonl")]
    with pytest.raises(StageError, match="nowhere"):
        run_on_ray(
            "local",
            words,
            tmp_path / "job.json",
            ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path)}),
            n_cpus=0.5,
        )
