"""Bodies wait in memory while there is room, then on the disk; a forged request's is not read at all."""

import asyncio
from pathlib import Path

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, signed_scope

from projectone.server.api.bodies import BodyRoom

PIECES = [bytes([number]) * 1000 for number in range(20)]


def read_back(room: BodyRoom, folder: Path, pieces: list[bytes] = PIECES) -> tuple[bytes, int, bool]:
    """The body as it is given, the most memory that was counted, and whether it went to the disk."""

    async def receive() -> tuple[bytes, int, bool]:
        most = 0
        with room.incoming(folder) as body:
            for piece in pieces:
                await body.write(piece)
                most = max(most, room.n_bytes)
            stream = await body.stream()
            return stream.read(), most, not hasattr(stream, "getvalue")

    return asyncio.run(receive())


@pytest.mark.parametrize(("room", "is_on_disk"), [(BodyRoom(), False), (BodyRoom(max_bytes=7_500), True)])
def test_a_body_comes_out_as_it_went_in_wherever_it_waits(room: BodyRoom, is_on_disk: bool, tmp_path: Path) -> None:
    assert read_back(room, tmp_path)[::2] == (b"".join(PIECES), is_on_disk)
    assert room.n_bytes == 0
    assert list(tmp_path.iterdir()) == []


def test_all_bodies_together_take_no_more_memory_than_they_may(tmp_path: Path) -> None:
    room = BodyRoom(max_bytes=10_000, max_body_bytes=4_000)

    async def crowd() -> int:
        most = 0

        async def slow_one() -> bytes:
            nonlocal most
            with room.incoming(tmp_path) as body:
                for piece in PIECES[:6]:
                    await body.write(piece)
                    most = max(most, room.n_bytes)
                    await asyncio.sleep(0)
                return (await body.stream()).read()

        assert set(await asyncio.gather(*(slow_one() for _ in range(30)))) == {b"".join(PIECES[:6])}
        return most

    assert 4_000 <= asyncio.run(crowd()) <= 10_000
    assert room.n_bytes == 0


def test_a_single_large_body_leaves_the_room_to_others(tmp_path: Path) -> None:
    _, most, is_on_disk = read_back(BodyRoom(max_body_bytes=3_500), tmp_path)
    assert (most, is_on_disk) == (3_000, True)


@pytest.mark.parametrize(("is_forged", "expected"), [(True, (401, 0)), (False, (422, 1))])
def test_a_forged_request_is_refused_before_its_body_is_read(
    is_forged: bool, expected: tuple[int, int], backend: Backend
) -> None:
    ada = backend.caller()
    body = a_clip()
    if is_forged:
        ada.key = Caller(backend.http, "", "mallory").key
    n_read, said = 0, []

    async def receive() -> dict[str, object]:
        nonlocal n_read
        n_read += 1
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        said.append(message)

    asyncio.run(backend.http.app(signed_scope(backend, ada, body), receive, send))
    assert (said[0]["status"], n_read) == expected
