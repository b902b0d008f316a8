"""Who is calling, and how much they may send: every route declares one policy, or the application does not start."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from projectone.contracts.audio import MAX_CLIP_BYTES
from projectone.contracts.endpoints import MAX_BATCH_BYTES
from projectone.contracts.signatures import verify_request
from projectone.errors import SignatureError
from projectone.server.api.bodies import IncomingBody
from projectone.server.api.problems import Refusal
from projectone.server.api.quotas import OpenRequests
from projectone.server.api.services import Services, services_of
from projectone.server.devices.catalog import Device
from projectone.server.devices.operators import Operator

Identity = Literal["public", "device", "admin", "reviewer", "trainer", "auditor"]

_MAX_JSON_BYTES = 64 * 1024
# Slower than this is not a phone on a bad network, it is somebody holding the line.
_MIN_BYTES_PER_S = 4_000
_PATIENCE_S = 30.0
_OPEN_RETRY_S = 1.0
_FULL_DISK_RETRY_S = 300.0
_SIGNED_ONCE = ("signature", "signature-input", "content-digest", "x-device-id", "x-sample")


@dataclass(frozen=True)
class Call:
    """A request that was let in.

    Attributes:
        device: Who signed it; None where no signature is asked for.
        body: The whole body, at its beginning; gone when the request ends.
        body_sha256: Its digest, 64 hexadecimal digits.
        address: Network address of the caller.
        operator: Whose token it carries, where the route asks for one.
    """

    device: Device | None
    body: IO[bytes]
    body_sha256: str
    address: str
    operator: Operator | None = None

    @property
    def signer(self) -> Device:
        """The device that signed."""
        assert self.device is not None, "the route asks for no signature"
        return self.device

    @property
    def operator_name(self) -> str:
        """The account of the operator who called."""
        assert self.operator is not None, "the route asks for no token"
        return self.operator.name


@dataclass(frozen=True)
class Policy:
    """Who may call a route, and how much they may send; used as a dependency, it gives the `Call`.

    A route is for everybody, or for devices, or for operators in the roles that are named: nobody else gets in.

    Attributes:
        who: Everybody, devices, or roles of operators.
        max_body_bytes: Longer bodies are refused.
        is_large: What comes is kept and takes room, so that it is refused when the disk has little left.
    """

    who: frozenset[Identity]
    max_body_bytes: int = _MAX_JSON_BYTES
    is_large: bool = False

    def __post_init__(self) -> None:
        if not self.who or (len(self.who) > 1 and self.who & {"public", "device"}):
            raise ValueError(f"policy: expected 'public', 'device' or roles of operators, got {sorted(self.who)}")

    def admits(self, role: Identity) -> bool:
        """Whether somebody in this role may call."""
        return role in self.who

    async def __call__(self, request: Request) -> AsyncIterator[Call]:
        """Let the request in, its body with it, or refuse it: a forged one before its body is read.

        Raises:
            Refusal: 400, 401, 408, 411, 413, 415, 429 or 507.
            SignatureError: if the signature does not hold.
        """
        services = services_of(request)
        address = request.client.host if request.client else "unknown"
        # This one first: what it refuses takes nothing of what everybody may ask together.
        _take(services.quotas.address.take(address), "this address")
        _take(services.quotas.total.take("all"), "everybody together")
        device = await run_in_threadpool(self._admit, request, services) if self.admits("device") else None
        operator = None
        if not self.who & {"public", "device"}:
            operator = await run_in_threadpool(_find_operator, request, services, self)
        with contextlib.ExitStack() as held:
            if device is not None:
                _take(services.quotas.device.take(device.device_id), "this device")
                # Counted apart: whoever has uploads under way may withdraw at any time.
                kind = "large" if self.is_large else "small"
                _hold_open(services.quotas.open_requests, f"{kind} {device.device_id}", held)
            body = held.enter_context(services.bodies.incoming(services.staging))
            digest = await _receive(request, body, self.max_body_bytes)
            # What the signature covers is the digest that was stated: this makes it one over the body.
            _check_digest(request, digest)
            yield Call(device, await body.stream(), digest.hex(), address, operator)

    def _admit(self, request: Request, services: Services) -> Device:
        device = _find_signer(request, services)
        if self.is_large and (missing_bytes := services.room.missing_bytes()):
            detail = f"the server has no room for more now: {missing_bytes / 1e9:.1f} GB have to become free"
            raise Refusal(507, "disk-low", detail, retry_after_s=_FULL_DISK_RETRY_S)
        return device


_DEVICES: frozenset[Identity] = frozenset({"device"})
ANYONE = Policy(frozenset({"public"}))
SIGNED = Policy(_DEVICES)
SIGNED_SAMPLE = Policy(_DEVICES, max_body_bytes=MAX_CLIP_BYTES, is_large=True)
SIGNED_BATCH = Policy(_DEVICES, max_body_bytes=MAX_BATCH_BYTES, is_large=True)


def _take(wait_s: float | None, whose: str) -> None:
    if wait_s is not None:
        raise Refusal(429, "quota", f"too many requests of {whose}", retry_after_s=wait_s)


def _hold_open(open_requests: OpenRequests, key: str, held: contextlib.ExitStack) -> None:
    if not held.enter_context(open_requests.one_more(key)):
        detail = f"expected at most {open_requests.limit} such requests of this device at the same time"
        raise Refusal(429, "open-requests", detail, retry_after_s=_OPEN_RETRY_S)


def _find_signer(request: Request, services: Services) -> Device:
    for name in _SIGNED_ONCE:
        if len(request.headers.getlist(name)) > 1:
            raise SignatureError(f"request: expected one {name} header, got several")
    device_id = request.headers.get("x-device-id", "")
    device = services.devices.find(device_id)
    if device is None:
        raise Refusal(401, "device-unknown", "no device of this name is enrolled here; POST /v1/devices first")
    _check_signature(request, device, int(services.clock().timestamp()))
    return device


def _find_operator(request: Request, services: Services, policy: Policy) -> Operator:
    stated = request.headers.getlist("authorization")
    scheme, _, bearer = stated[0].partition(" ") if len(stated) == 1 else ("", "", "")
    found = services.operators.find(bearer.strip(), services.clock()) if scheme.lower() == "bearer" else None
    if found is None:
        raise Refusal(401, "token", "expected `Authorization: Bearer` with a valid token; `projectone-server tokens`")
    if not policy.admits(found.role):
        raise Refusal(403, "role", f"this is not for the role {found.role!r}")
    return found


async def _receive(request: Request, body: IncomingBody, max_bytes: int) -> bytes:
    """Stream the body into `body`; gives its SHA-256. What Content-Length says is only a first hint."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "content-encoding", "send the body as it is, without Content-Encoding")
    too_large = Refusal(413, "too-large", f"expected a body of at most {max_bytes} bytes")
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or len(stated) > 18 or int(stated) > max_bytes:
        raise too_large
    digest = hashlib.sha256()
    n_bytes, started = 0, time.monotonic()
    is_more = True
    while is_more:
        message = await _next_message(request)
        if message["type"] == "http.disconnect":
            raise Refusal(400, "incomplete", "the body ended before its length was reached")
        chunk: bytes = message.get("body", b"")
        is_more = bool(message.get("more_body", False))
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise too_large
        if time.monotonic() - started > _PATIENCE_S + n_bytes / _MIN_BYTES_PER_S:
            raise Refusal(408, "too-slow", f"expected at least {_MIN_BYTES_PER_S} bytes per second")
        if chunk:
            digest.update(chunk)
            await body.write(chunk)
    return digest.digest()


async def _next_message(request: Request) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await request.receive()
    except TimeoutError as error:
        raise Refusal(408, "too-slow", f"nothing arrived for {_PATIENCE_S:g} s") from error


def _check_digest(request: Request, digest: bytes) -> None:
    stated, actual = request.headers.get("content-digest"), f"sha-256=:{base64.b64encode(digest).decode()}:"
    if stated is not None and stated != actual:
        raise Refusal(
            400, "content-digest", f"expected Content-Digest {stated[:80]}, the body that arrived has {actual}"
        )


def _check_signature(request: Request, device: Device, now_s: int) -> None:
    stated = request.headers.get("content-digest")
    if stated is None:
        raise SignatureError("request: expected a Content-Digest header, which the signature covers")
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    verify_request(
        device.public_key,
        method=request.method,
        path=path.decode("ascii", "replace"),
        query=request.scope["query_string"].decode("ascii", "replace"),
        headers=dict(request.headers),
        body_digest=stated,
        now_s=now_s,
    )
