"""No device holds more lines than a few, and nothing large is taken in when the disk has little left."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason, signed_scope

from projectone.contracts import endpoints
from projectone.server.api.quotas import QuotaLimits, Quotas
from projectone.storage.room import DiskRoom

N_SLOW = 12
MANY = 10**6


async def hold_lines(backend: Backend, names: list[str]) -> list[tuple[int, bytes | None]]:
    """Slow senders, whose bodies do not come: status and `Retry-After` of those that are not waited for."""
    answers: list[tuple[int, bytes | None]] = []
    n_waiting = 0
    is_settled = asyncio.Event()

    async def receive() -> dict[str, object]:
        nonlocal n_waiting
        n_waiting += 1
        settle()
        await asyncio.Event().wait()
        raise AssertionError("nobody sends")

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            answers.append((message["status"], dict(message["headers"]).get(b"retry-after")))
            settle()

    def settle() -> None:
        if n_waiting + len(answers) == len(names):
            is_settled.set()

    callers = {name: backend.caller(name) for name in dict.fromkeys(names)}
    scopes = [signed_scope(backend, callers[name], a_clip()) for name in names]
    tasks = [asyncio.create_task(backend.http.app(scope, receive, send)) for scope in scopes]  # type: ignore[arg-type]
    await is_settled.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return answers


def test_a_device_holds_four_lines_and_gives_them_back(backend: Backend) -> None:
    answers = asyncio.run(hold_lines(backend, ["ada"] * N_SLOW))
    assert answers == [(429, b"1")] * (N_SLOW - 4)
    ada = Caller(backend.http, backend.services.enrolment_code)
    assert ada.put(a_clip()).status_code == 201


def test_uploads_under_way_do_not_keep_anybody_from_withdrawing(backend: Backend) -> None:
    ada = backend.caller()
    with contextlib.ExitStack() as held:
        while held.enter_context(backend.services.quotas.open_requests.one_more(f"large {ada.device_id}")):
            pass
        assert reason(ada.put(a_clip())) == (429, "open-requests")
        assert ada.withdraw().status_code == 200


def test_devices_do_not_share_their_lines(backend: Backend) -> None:
    assert asyncio.run(hold_lines(backend, [*["ada"] * 4, *["bea"] * 4, "eve"])) == []


def test_control_without_the_limit_one_device_holds_every_line(backend: Backend) -> None:
    object.__setattr__(backend.services, "quotas", Quotas(QuotaLimits(open_requests=MANY)))
    assert asyncio.run(hold_lines(backend, ["ada"] * N_SLOW)) == []


class Disk:
    """A disk of 50 GB; how much of it is free is a number here."""

    free_bytes = 4 * 10**9

    def usage(self, _folder: Path) -> tuple[int, int, int]:
        return 50 * 10**9, 50 * 10**9 - self.free_bytes, self.free_bytes


def test_below_the_watermark_uploads_wait_and_withdrawals_go_on(backend: Backend) -> None:
    disk, ada = Disk(), backend.caller()
    object.__setattr__(backend.services, "room", DiskRoom(backend.home, usage=disk.usage))
    refused = ada.put(a_clip())
    assert reason(refused) == (507, "disk-low")
    assert int(refused.headers["retry-after"]) == 300
    assert "1.0 GB" in refused.json()["detail"]
    assert reason(ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, b"")) == (507, "disk-low")
    assert backend.files() == []
    disk.free_bytes = 5 * 10**9
    assert ada.put(a_clip()).status_code == 201
    disk.free_bytes = 0
    assert ada.withdraw().status_code == 200
    assert backend.files() == []


def test_control_without_the_watermark_uploads_fill_the_disk(backend: Backend) -> None:
    object.__setattr__(backend.services, "room", DiskRoom(backend.home, 0.0, usage=Disk().usage))
    assert backend.caller().put(a_clip()).status_code == 201


@pytest.mark.parametrize(
    ("total", "share", "free", "missing"),
    [(100, 0.1, 10, 0), (100, 0.1, 9, 1), (100, 0.0, 0, 0), (10**13, 0.1, 10**10 - 5, 5), (10**13, 0.1, 10**10, 0)],
)
def test_a_tenth_stays_free_and_ten_gigabytes_of_a_large_disk(
    total: int, share: float, free: int, missing: int, tmp_path: Path
) -> None:
    assert DiskRoom(tmp_path, share, lambda _: (total, total - free, free)).missing_bytes() == missing
