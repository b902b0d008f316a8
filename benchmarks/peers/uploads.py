"""Servers to send clips to, and devices that send: ours as a process, and one that writes as tusd does.

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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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


@contextlib.contextmanager
def running(command: list[str], **environment: str) -> Iterator[str]:
    """The address of a server that runs for the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["api"].removeprefix("http://")
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@contextlib.contextmanager
def our_server(home: Path) -> Iterator[str]:
    """`projectone-server serve` on a new home."""
    command = [sys.executable, "-m", "projectone.server.cli", "serve", "--init", "--json", "--only", "api"]
    with running(command, PROJECTONE_SERVER_HOME=str(home), PROJECTONE_SERVER_API_PORT="0") as address:
        yield address


@contextlib.contextmanager
def server_without_fsync(folder: Path) -> Iterator[str]:
    """Takes any body, tmp and rename."""
    folder.mkdir()
    with running([sys.executable, "-c", WITHOUT_FSYNC, str(folder)]) as address:
        yield address


class Uploader:
    """One device of one person, on one connection."""

    def __init__(self, address: str, number: int, enrolment_code: str) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
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
        self._signed("PUT", endpoints.consent(self.consent_id), receipt.to_bytes())

    def put(self, clip: bytes) -> None:
        """Send a clip; returns when it is acknowledged."""
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
        self._signed("PUT", endpoints.sample(correction.sample_id), clip, header)

    def _signed(self, method: str, path: str, body: bytes, sample_header: str = "") -> None:
        headers = sign_request(
            self.key,
            method=method,
            path=path,
            body=body,
            device_id=self.device_id,
            created_s=int(time.time()),
            sample_header=sample_header,
        )
        status = self._send(method, path, body, headers)
        assert status in (200, 201), f"{method} {path}: {status}"

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


class BareUploader:
    """Sends bytes, on one connection."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)

    def put(self, clip: bytes) -> None:
        """Send a clip; returns when it is acknowledged."""
        self.connection.request("PUT", "/", clip)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 201


def uploads_per_s(senders: list[Callable[[bytes], None]], clips: list[bytes]) -> float:
    """Acknowledged clips in a second, the senders at work at once."""
    shares = [clips[number :: len(senders)] for number in range(len(senders))]

    def send(put: Callable[[bytes], None], share: list[bytes]) -> None:
        for clip in share:
            put(clip)

    start = time.perf_counter()
    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(send, senders, shares))
    return len(clips) / (time.perf_counter() - start)


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
