"""Power cuts under the real server, on LazyFS: a file system that drops every byte which was not flushed.

LazyFS (github.com/dsrhaslab/lazyfs, VLDB 17(11)) sees SQLite's own flushes, which `crash_states` takes on trust; names
pass it straight through, which `crash_states` drops. Needs Linux with FUSE and `lazyfs` on the path.

LazyFS of June 2024 answers `truncate` with a number that it never set, which SQLite now and then takes for a broken
disk: build it with `int res = 0` in `lfs_truncate`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.fakes import server_process
from tests.fakes.caller import Caller, a_clip
from tests.faults.server_disk import opened

LAZYFS = shutil.which("lazyfs")
PATIENCE_S = 300
N_CUTS, N_UPLOADS = 20, 50  # 1,000 acknowledged uploads
UNSAFE = """
import sys
import projectone.storage.files as files
files.fsync_file = lambda descriptor: None
from projectone.server import cli
sys.exit(cli.main(sys.argv[1:]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        LAZYFS is None or not os.access("/dev/fuse", os.W_OK), reason="no lazyfs on the path, or no FUSE here"
    ),
]


@dataclass
class Disk:
    """A folder on LazyFS."""

    folder: Path
    fifo: Path
    done: Path

    def cut_power(self) -> None:
        """Everything that was not flushed is gone."""
        with self.fifo.open("w") as stream:
            stream.write("lazyfs::clear-cache\n")
        with self.done.open() as stream:
            assert "clear-cache" in stream.readline()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "mounted", tmp_path / "faults", tmp_path / "done")
    below, settings = tmp_path / "below", tmp_path / "lazyfs.toml"
    disk.folder.mkdir()
    below.mkdir()
    settings.write_text(
        f'[faults]\nfifo_path="{disk.fifo}"\nfifo_path_completed="{disk.done}"\n'
        '[cache]\napply_eviction=false\n[cache.simple]\ncustom_size="0.5GB"\nblocks_per_page=1\n'
        '[filesystem]\nlog_all_operations=false\nlogfile=""\n'
    )
    # By its name: LazyFS takes a path with "-o" in it, as in "pytest-of-root", for an option.
    command = [str(LAZYFS), str(disk.folder), "--config-path", settings.name]
    options = ["-o", "modules=subdir", "-o", f"subdir={below}", "-f"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, *options], cwd=tmp_path, **quiet)
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while not (disk.folder.is_mount() and disk.fifo.exists()):
            if process.poll() is not None:
                pytest.skip("LazyFS cannot be mounted here")
            assert time.monotonic() < deadline_s, "LazyFS does not come up"
            time.sleep(0.02)
        yield disk
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(disk.folder)], check=False)
        process.terminate()
        process.wait(PATIENCE_S)


@contextlib.contextmanager
def serving(home: Path, *, is_safe: bool) -> Iterator[server_process.ServerProcess]:
    program = [sys.executable, "-m", "projectone.server.cli"] if is_safe else [sys.executable, "-c", UNSAFE]
    with server_process.running(home, "--only", "api", program=program) as server:
        yield server


def clip_of(number: int) -> bytes:
    return a_clip(number % 40, duration_s=0.2 + number / 10_000)


def lose_power(disk: Disk, n_cuts: int, n_uploads: int, *, is_safe: bool) -> tuple[int, set[str]]:
    """How many uploads were acknowledged, and which of them are lost or torn after the last cut."""
    home, acknowledged = disk.folder / "home", {}
    for cut in range(n_cuts):
        with serving(home, is_safe=is_safe) as server, httpx2.Client(base_url=server.api, timeout=PATIENCE_S) as http:
            ada = Caller(http, server.enrolment_code)
            assert ada.enrol().status_code in (200, 201)
            assert ada.grant().status_code == 200
            for number in range(cut * n_uploads, (cut + 1) * n_uploads):
                clip = clip_of(number)
                assert ada.put(clip, name=str(number)).status_code == 201
                acknowledged[str(ada.correction(clip, name=str(number)).sample_id)] = clip
            server.kill()
        disk.cut_power()
    try:
        with opened(home) as server:
            found = server.clips()
    except Exception:  # a clip that is empty or not there
        return len(acknowledged), set(acknowledged)
    return len(acknowledged), {name for name, clip in acknowledged.items() if found.get(name) != clip}


def test_no_power_cut_takes_an_acknowledged_upload(disk: Disk) -> None:
    assert lose_power(disk, N_CUTS, N_UPLOADS, is_safe=True) == (N_CUTS * N_UPLOADS, set())


def test_control_without_the_flush_of_clips_uploads_are_lost(disk: Disk) -> None:
    n_acknowledged, lost = lose_power(disk, 1, 10, is_safe=False)
    assert n_acknowledged == 10
    assert lost
