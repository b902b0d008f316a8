"""Servers to send clips to, and devices that sign what `senders.py` sends: ours, and one that writes as tusd does.

The other server does what tusd's file store does with an upload (tmp, rename, no fsync; v2.10) on the same HTTP stack
as ours, and nothing else: no signature, no digest, no decoding, no row, no consent.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from peers.senders import Prepared
from projectone.contracts import endpoints
from projectone.contracts.audio import AudioClip
from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import CONSENT_TEXTS, ConsentReceipt
from projectone.contracts.corrections import Correction
from projectone.contracts.devices import Enrolment
from projectone.contracts.signatures import public_key_text, sign_request

SAID_AT = datetime(2026, 11, 1, tzinfo=UTC)
PATIENCE_S = 120
WITHOUT_FSYNC = """
import asyncio, json, os, socket, sys, uuid
import uvicorn

folder = sys.argv[1]

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name = os.path.join(folder, uuid.uuid4().hex)
    with open(name + ".tmp", "xb") as stream:
        is_more = True
        while is_more:
            message = await receive()
            stream.write(message.get("body", b""))
            is_more = message.get("more_body", False)
    os.rename(name + ".tmp", name)
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})

bound = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(json.dumps({"api": f"http://127.0.0.1:{bound.getsockname()[1]}"}), flush=True)
config = uvicorn.Config(app, http="h11", lifespan="off", log_level="warning", access_log=False)
asyncio.run(uvicorn.Server(config).serve(sockets=[bound]))
"""


@dataclass(frozen=True)
class Server:
    """A server that runs: host and port, and its process."""

    address: str
    pid: int


@contextlib.contextmanager
def running(command: list[str], **environment: str) -> Iterator[Server]:
    """A server that runs for the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        assert process.stdout is not None
        yield Server(json.loads(process.stdout.readline())["api"].removeprefix("http://"), process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@contextlib.contextmanager
def our_server(home: Path) -> Iterator[Server]:
    """`projectone-server serve` on a new home."""
    command = [sys.executable, "-m", "projectone.server.cli", "serve", "--init", "--json", "--only", "api"]
    with running(command, PROJECTONE_SERVER_HOME=str(home), PROJECTONE_SERVER_API_PORT="0") as server:
        yield server


@contextlib.contextmanager
def server_without_fsync(folder: Path) -> Iterator[Server]:
    """Takes any body, tmp and rename."""
    folder.mkdir()
    with running([sys.executable, "-c", WITHOUT_FSYNC, str(folder)]) as server:
        yield server


class Uploader:
    """One device of one person, enrolled and with a consent."""

    def __init__(self, server: Server, home: Path, number: int) -> None:
        self.address = server.address
        enrolment_code = (home / "keys" / "enrolment-code").read_text().strip()
        self.key = Ed25519PrivateKey.generate()
        self.device_id, self.contributor_id = f"device-{number}", f"person-{number}"
        self.consent_id = uuid.uuid4()
        enrolment = Enrolment(
            device_id=self.device_id,
            contributor_id=self.contributor_id,
            public_key=public_key_text(self.key),
            enrolment_code=enrolment_code,
        )
        assert self._send("POST", endpoints.DEVICES, enrolment.to_bytes(), {}) == 201
        receipt = ConsentReceipt(
            receipt_id=self.consent_id,
            contributor_id=self.contributor_id,
            scope="corrections",
            text_version=CONSENT_TEXTS["corrections"].version,
            method="cli",
            granted_at=SAID_AT,
        )
        path, body = endpoints.consent(self.consent_id), receipt.to_bytes()
        assert self._send("PUT", path, body, self._sign("PUT", path, body)) == 200

    def prepare(self, n_uploads: int, clip: bytes) -> Prepared:
        """Uploads of this clip, each a sample of its own, signed. Sealed they are as different as any."""
        return Prepared([self._prepare(clip) for _ in range(n_uploads)], clip)

    def _prepare(self, clip: bytes) -> str:
        audio = AudioClip(
            sha256=sha256_hex(clip), size_bytes=len(clip), sample_rate_hz=16000, duration_s=(len(clip) - 44) / 32000
        )
        correction = Correction(
            sample_id=uuid.uuid4(),
            contributor_id=self.contributor_id,
            kind="correction",
            audio=audio,
            text="seven",
            consent_receipt_id=self.consent_id,
            recorded_at=SAID_AT,
        )
        header = base64.urlsafe_b64encode(correction.to_bytes()).decode()
        path = endpoints.sample(correction.sample_id)
        headers = self._sign("PUT", path, clip, header) | {"Host": self.address, "Content-Length": str(len(clip))}
        return f"PUT {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"

    def _sign(self, method: str, path: str, body: bytes, sample_header: str = "") -> dict[str, str]:
        return sign_request(
            self.key,
            method=method,
            path=path,
            body=body,
            device_id=self.device_id,
            created_s=int(time.time()),
            sample_header=sample_header,
        )

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=PATIENCE_S)) as connection:
            connection.request(method, path, body, headers)
            return connection.getresponse().status


def bare_uploads(server: Server, n_uploads: int, clip: bytes) -> Prepared:
    """Uploads that nobody signed."""
    return Prepared(
        [f"PUT / HTTP/1.1\r\nHost: {server.address}\r\nContent-Length: {len(clip)}\r\n\r\n"] * n_uploads, clip
    )


def durable_writes_per_s(folder: Path, clips: list[bytes]) -> float:
    """What the disk itself gives: tmp, write, fsync, rename, fsync of the folder, one after the other."""
    folder.mkdir(exist_ok=True)
    start = time.perf_counter()
    for clip in clips:
        path = folder / uuid.uuid4().hex
        with path.with_suffix(".tmp").open("xb") as stream:
            stream.write(clip)
            stream.flush()
            os.fsync(stream.fileno())
        path.with_suffix(".tmp").rename(path)
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return len(clips) / (time.perf_counter() - start)
