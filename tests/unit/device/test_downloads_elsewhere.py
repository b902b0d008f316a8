"""A server may send a device to a CDN for bytes. Nobody there is believed, and nobody there is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.fakes.device_rooms import heard_by, text_model, update
from tests.fakes.release_server import FakeServer, running

from projectone.contracts import endpoints
from projectone.device.transport import Transport
from projectone.errors import ContractError


@pytest.fixture
def cdn(server: FakeServer) -> Iterator[FakeServer]:
    """What the server sends devices to."""
    with running(FakeServer()) as started:
        server.faults.elsewhere = started.url
        yield started


def release(server: FakeServer, cdn: FakeServer) -> str:
    made = server.release(text_model("new", padding=4000), seq=5, version="1.0.0")
    cdn.packages = dict(server.packages)
    return made.manifest.package_sha256


def test_a_package_comes_from_where_the_server_says(tmp_path: Path, server: FakeServer, cdn: FakeServer) -> None:
    release(server, cdn)
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"
    assert server.sent_bytes == 0 and cdn.sent_bytes > 0
    told = {name.lower() for name in cdn.last_headers}
    assert told <= {"host", "accept", "accept-encoding", "connection", "user-agent"}, "it is told nothing of who asks"


def test_a_download_goes_on_there_where_the_wire_dropped(tmp_path: Path, server: FakeServer, cdn: FakeServer) -> None:
    release(server, cdn)
    cdn.faults.drop_after_bytes = [200_000]
    assert update(tmp_path, server).status == "updated"
    first, second = cdn.ranges
    assert first is None and second is not None
    assert server.sent_bytes == 0


@pytest.mark.parametrize("fault", ["other bytes", "nothing there", "refused", "cut", "no address", "gone"])
def test_what_cannot_be_had_there_comes_from_the_server(
    fault: str, tmp_path: Path, server: FakeServer, cdn: FakeServer
) -> None:
    sha256 = release(server, cdn)
    if fault == "other bytes":
        cdn.packages[sha256] = bytes(len(server.packages[sha256]))
    elif fault == "nothing there":
        cdn.packages.clear()
    elif fault == "refused":
        cdn.faults.answer = lambda method, path: (403, "no")
    elif fault == "cut":
        cdn.faults.drop_after_bytes = [0] * 50
    elif fault == "no address":
        server.faults.elsewhere = "https://[nowhere"
    else:
        server.faults.elsewhere = "http://127.0.0.1:9"
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"
    assert server.sent_bytes == len(server.packages[sha256])


@pytest.mark.parametrize(
    "address",
    [
        "http://cdn.example.org/x",
        "ftp://cdn.example.org/x",
        "file:///etc/passwd",
        "/v1/x",
        "https://me:secret@cdn.example/x",
    ],
)
def test_a_device_goes_on_at_no_less_safe_a_place(address: str) -> None:
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(307, headers={"Location": address})

    transport = Transport("https://speech.example.org", lambda **_: {})
    transport.close()
    transport._client = httpx2.Client(transport=httpx2.MockTransport(handle))
    with (
        pytest.raises(ContractError, match="https address"),
        transport.download(endpoints.RELEASES + "/x.zip", offset=0, etag=None),
    ):
        pass
    assert asked == ["speech.example.org"]


def test_a_second_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(307, headers={"Location": f"https://number-{len(asked)}.example.org/"})

    transport = Transport("https://speech.example.org", lambda **_: {})
    transport.close()
    transport._client = httpx2.Client(transport=httpx2.MockTransport(handle))
    with (
        pytest.raises(ContractError, match="redirect"),
        transport.download(endpoints.RELEASES + "/x.zip", offset=0, etag=None),
    ):
        pass
    assert asked == ["speech.example.org", "number-1.example.org", "speech.example.org"]
