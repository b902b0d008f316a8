"""Bad input by hand, against the real server over a real socket: a clear refusal, nothing kept, the server alive."""

import asyncio
import contextlib
import io
import json
import os
import socket
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np
import pytest
from tests.fakes.caller import Caller, a_clip
from tests.fakes.server_process import ServerProcess, running
from tests.hostile.audio_families import files, float_wav, fmt, riff

from projectone.contracts import endpoints
from projectone.server.api import auth
from projectone.server.api.bodies import BodyRoom
from projectone.server.api.problems import Refusal

PATIENCE_S = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("hostile") / "home") as server:
        yield server


@pytest.fixture
def ada(server: ServerProcess) -> Iterator[Caller]:
    with httpx2.Client(base_url=server.api, timeout=PATIENCE_S) as http:
        caller = Caller(http, server.enrolment_code)
        assert caller.enrol().status_code in (200, 201)
        assert caller.grant().status_code == 200
        yield caller


@pytest.fixture(autouse=True)
def _nothing_is_kept_and_the_server_lives(server: ServerProcess) -> Iterator[None]:
    def kept() -> list[Path]:
        return [path for name in ("blobs", "staging") for path in (server.home / name).rglob("*") if path.is_file()]

    yield
    deadline_s = time.monotonic() + PATIENCE_S
    while kept() and time.monotonic() < deadline_s:  # it may only just be hearing that the caller hung up
        time.sleep(0.01)
    assert kept() == []
    assert httpx2.get(f"{server.api}/health/ready", timeout=PATIENCE_S).status_code == 200
    assert server.process.poll() is None


def refusal(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["detail"]
    return response.status_code, document["reason"]


def batch(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_zip_with_a_path_traversal(ada: Caller, server: ServerProcess) -> None:
    body = batch(**{"../../../evil.wav": a_clip()})
    assert refusal(ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, body)) == (422, "archive-name")
    assert list(server.home.parent.rglob("evil*")) == []


def test_an_empty_file(ada: Caller) -> None:
    assert refusal(ada.put(b"", audio={"size_bytes": 1})) == (422, "audio-size")
    assert refusal(ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, b"")) == (422, "archive-format")


def test_a_text_file_named_wav(ada: Caller) -> None:
    content = b"this is not sound"
    assert refusal(ada.put(content)) == (422, "wav-not-riff")
    correction = ada.correction(content)
    members = {
        f"{correction.sample_id}.json": correction.to_bytes(),
        f"{correction.sample_id}.wav": b"this is not sound",
    }
    document = ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, batch(**members)).json()
    assert document["stored"] == []
    assert [item["reason"] for item in document["refused"]] == ["wav-not-riff"]


def test_a_clip_of_no_length(ada: Caller) -> None:
    assert refusal(ada.put(riff(fmt(), b"data\0\0\0\0"))) == (422, "wav-empty")


def test_a_clip_of_nan(ada: Caller) -> None:
    assert refusal(ada.put(float_wav(np.full(16000, np.nan)))) == (422, "wav-not-finite")


def test_a_transcript_of_two_megabytes(ada: Caller) -> None:
    correction = ada.correction(a_clip())
    document = json.loads(correction.to_bytes())
    short = json.dumps(document | {"text": "x" * 5_000}).encode()
    assert refusal(ada.put_raw(correction, a_clip(), metadata=short)) == (422, "text-too-long")
    long = json.dumps(document | {"text": "x" * 2_000_000}).encode()
    assert refusal(ada.put_raw(correction, a_clip(), metadata=long)) == (413, "sample-header")
    members = {f"{correction.sample_id}.json": long, f"{correction.sample_id}.wav": a_clip()}
    assert refusal(ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, batch(**members))) == (422, "archive-size")


def test_an_unknown_device(server: ServerProcess) -> None:
    with httpx2.Client(base_url=server.api, timeout=PATIENCE_S) as http:
        assert refusal(Caller(http, "", "stranger").put(a_clip())) == (401, "device-unknown")


def test_a_wrong_token(ada: Caller, server: ServerProcess) -> None:
    ada.key = Caller(ada.http, "", "mallory").key
    assert refusal(ada.put(a_clip())) == (401, "signature")
    wrong = Caller(ada.http, "not-the-code", "eve")
    assert refusal(wrong.enrol()) == (403, "enrolment-code")
    wrong_token = {"Authorization": "Bearer hf_wrong"}
    for path in ("/api/whoami-v2", "/api/models/projectone/whisper"):
        assert httpx2.get(f"{server.hub}{path}", headers=wrong_token, timeout=PATIENCE_S).status_code == 401


def test_every_bad_audio_file_over_the_wire(ada: Caller) -> None:
    # What only the pipeline's ingestion judges (silence and the like) is let in by the API; the rest is refused there.
    judged_later = {"silence", "dc-offset", "clipping", "no-speech"}
    for name, seed, reason, content in files():
        if seed < 3 and reason not in judged_later:
            expected = "audio-size" if not content else reason
            response = ada.put(content, name=f"{name} {seed}", audio={"size_bytes": max(1, len(content))})
            assert refusal(response) == (422, expected), name


def test_a_body_that_never_ends_is_cut_off(ada: Caller, server: ServerProcess) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    sent = ada.signed  # signed over an empty body: the size is refused before the digest is looked at

    class Endless:
        def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> httpx2.Response:
            return httpx2.request(method, f"{server.api}{url}", headers=headers, content=endless(), timeout=PATIENCE_S)

    ada.http = Endless()
    # It may hang up while we are still sending.
    with contextlib.suppress(httpx2.TransportError):
        assert refusal(sent("PUT", endpoints.sample(uuid.uuid4()))) == (413, "too-large")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/samples/\xf0\x9f\x92\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /v1/samples/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v1/samples/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"PUT /v1/samples/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW /v1/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_hardly_http(server: ServerProcess, request_bytes: bytes) -> None:
    host, port = server.api.removeprefix("http://").split(":")
    answer = b""
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    # It may hang up before it has read everything; what it said is then lost on the way at times.
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert b"Traceback" not in answer


def test_a_client_that_hangs_up_in_the_middle(ada: Caller, server: ServerProcess) -> None:
    clip = a_clip(duration_s=5)
    captured: dict[str, str] = {}

    class Capture:
        def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> None:
            captured.update(headers)
            captured["path"] = url

    http, ada.http = ada.http, Capture()
    ada.put(clip, audio={"duration_s": 5.0})
    ada.http = http
    path = captured.pop("path")
    lines = "".join(f"{name}: {value}\r\n" for name, value in captured.items())
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(clip)}\r\n{lines}\r\n".encode()
    host, port = server.api.removeprefix("http://").split(":")
    for n_bytes in (0, 1, len(clip) // 2, len(clip) - 1):
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            connection.sendall(head + clip[:n_bytes])
    time.sleep(0.2)


def resident_mb(server: ServerProcess) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which is not here")
def test_honest_callers_are_served_while_200_slow_ones_hold_the_line(server: ServerProcess) -> None:
    host, port = server.api.removeprefix("http://").split(":")
    assert httpx2.get(f"{server.api}/health/live", timeout=PATIENCE_S).status_code == 200
    before_mb = resident_mb(server)
    slow = [socket.create_connection((host, int(port)), timeout=PATIENCE_S) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"PUT /v1/samples/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        answers: list[int] = []

        def ask() -> None:
            answers.append(httpx2.get(f"{server.api}/health/live", timeout=PATIENCE_S).status_code)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 20
        assert resident_mb(server) - before_mb < 50
    finally:
        for connection in slow:
            connection.close()


class SlowRequest:
    """A request whose body of 960 kB comes at some rate; time is a number here."""

    def __init__(self, bytes_per_s: int) -> None:
        self.headers = {"content-length": "960000"}
        self.now_s = 1_000.0
        self._bytes_per_s = bytes_per_s
        self._n_left = 960_000

    async def receive(self) -> dict[str, object]:
        self.now_s += 20_000 / self._bytes_per_s
        self._n_left -= 20_000
        return {"type": "http.request", "body": bytes(20_000), "more_body": self._n_left > 0}


def receive_at(bytes_per_s: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many bytes were taken in."""
    request = SlowRequest(bytes_per_s)
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: request.now_s))

    async def receive() -> int:
        with BodyRoom().incoming(Path()) as body:
            await auth._receive(request, body, 10**6)  # type: ignore[arg-type]
            return len((await body.stream()).read())

    return asyncio.run(receive())


def test_a_body_slower_than_4_kb_a_second_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert receive_at(5_000, monkeypatch) == 960_000
    with pytest.raises(Refusal, match="at least") as refused:
        receive_at(3_000, monkeypatch)
    assert (refused.value.status, refused.value.reason) == (408, "too-slow")


def test_control_without_the_limit_a_slow_body_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_MIN_BYTES_PER_S", 1)
    assert receive_at(3_000, monkeypatch) == 960_000
