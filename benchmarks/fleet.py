"""Ten thousand made-up devices on a made-up clock, and a real server that they really talk to.

What is real: the API in a process of its own, HTTP on loopback, enrolment, signed requests, tickets that are signed
blindly, reports, the signed metadata (fetched by every device at every look; verified whenever it changed, by the
device's own code), a device's turn, the rows, the judgement, and the state that is signed anew. What is made up: the
time, and what happens on a device when it takes a model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import heapq
import mmap
import random
import secrets
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from projectone import __version__
from projectone.contracts import endpoints
from projectone.contracts.base import Contract
from projectone.contracts.blind_signatures import blind, public_rsa_key, unblind
from projectone.contracts.devices import Enrolment
from projectone.contracts.health import (
    HealthCounts,
    HealthReport,
    HealthTicket,
    Phase,
    TicketAnswer,
    TicketRequest,
    ticket_message,
)
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import Cohort, RolloutPlan, RolloutState, turn_of
from projectone.contracts.signatures import public_key_text, sign_request
from projectone.device.releases import SignedReleases
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.server.api.app import create_app
from projectone.server.api.quotas import QuotaLimits, Quotas
from projectone.server.database import Engine, open_engine
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings

Work = Callable[[], Awaitable[object]]
TIMESTAMP = f"{endpoints.SIGNED_METADATA}/timestamp.json"
HOUR_S = 3600.0
_N_CONNECTIONS = 16


class FalseClock:
    """A moment in a file that two processes share."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("d", 0.0))
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 8)

    def __call__(self) -> datetime:
        """Now."""
        return datetime.fromtimestamp(self.seconds, UTC)

    @property
    def seconds(self) -> float:
        """Now, since 1970."""
        return float(struct.unpack("d", self._map[:8])[0])

    def set(self, seconds: float) -> None:
        """Let it be this moment, in both processes."""
        self._map[:8] = struct.pack("d", seconds)


@contextlib.contextmanager
def serving(home: Path, clock_file: Path) -> Iterator[int]:
    """The API in a process of its own, on this clock; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, __file__, str(home), str(clock_file), str(port)]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the API did not start")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def application(settings: ServerSettings, engine: Engine, clock: FalseClock) -> FastAPI:
    """The API as it is, but for its clock, and without the limits of one address: all devices share one here."""
    many = 10**9
    quotas = Quotas(QuotaLimits(address=many, total=many, new_devices=many, failed_enrolments=many))
    return create_app(replace(api_services(settings, engine), clock=clock, quotas=quotas))


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often things happen on a device, with the release or without it."""

    load_failed: float = 0.003
    crash_looped: float = 0.0005
    silent: float = 0.01
    slow: float = 0.01
    empty: float = 0.01
    corrected: float = 0.10


class Wire:
    """Kept connections to one server, for requests that are sent as they are written."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.Queue()
        self.n_requests = 0

    async def __aenter__(self) -> Wire:
        for _ in range(_N_CONNECTIONS):
            self._free.put_nowait(None)
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._free.empty():
            held = self._free.get_nowait()
            if held is not None:
                held[1].close()
                with contextlib.suppress(OSError):
                    await held[1].wait_closed()

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        held = await self._free.get()
        try:
            reader, writer = held or await asyncio.open_connection("127.0.0.1", self._port)
            lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "content-length"]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            content = await reader.readexactly(int(length)) if length else b""
            self.n_requests += 1
            held = (reader, writer)
            return int(head.split(" ", 2)[1]), content
        except BaseException:
            held = None
            raise
        finally:
            self._free.put_nowait(held)


@dataclass
class Device:
    """One made-up device: its bucket's name, and what it said last."""

    number: int
    bucket_name: str
    key: Ed25519PrivateKey | None = None
    has_release: bool = False
    sides: set[str] = field(default_factory=set)


class Fleet:
    """All devices, and what they do when it is time."""

    def __init__(
        self, wire: Wire, clock: FalseClock, *, n_devices: int, code: str, root: bytes, home: Path, url: str, seed: int
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._code = code
        self.random = random.Random(seed)
        self.devices = [Device(n, secrets.token_hex(16)) for n in range(n_devices)]
        self._transport = Transport(url, lambda **_: {})
        trust = Trust([], channel="stable", runtime=__version__)
        self._releases = SignedReleases(home, root, trust, self._transport, clock=clock)
        self._verified: tuple[bytes, ReleaseManifest | None, RolloutState | None] | None = None
        self._events: list[tuple[float, int, Work]] = []
        self._n_events = 0
        self.n_verified = 0
        self.rates: dict[str, Rates] = {}

    @property
    def share_with_release(self) -> float:
        """How much of the fleet took the release."""
        return sum(device.has_release for device in self.devices) / len(self.devices)

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def at(self, seconds: float, work: Work) -> None:
        """Do `work` when it is time."""
        self._n_events += 1
        heapq.heappush(self._events, (seconds, self._n_events, work))

    async def run_until(self, seconds: float) -> None:
        """Everything that is due by then, many at once."""
        while self._events and self._events[0][0] <= seconds:
            due = []
            while self._events and self._events[0][0] <= seconds:
                due.append(heapq.heappop(self._events)[2])
            await asyncio.gather(*(work() for work in due))

    def begin(self, interval_s: float) -> None:
        """Each device looks for news at its own moment, and again after each interval."""
        for device in self.devices:
            self.at(self._clock.seconds + self.random.uniform(0, interval_s), self._looking(device, interval_s))

    def _looking(self, device: Device, interval_s: float) -> Work:
        async def look() -> None:
            self.at(self._clock.seconds + interval_s, self._looking(device, interval_s))
            if device.has_release:
                return
            manifest, state = await self._news()
            if manifest is None or manifest.rollout is None:
                return
            turn = turn_of(device.bucket_name, manifest.seq, manifest.rollout, state, self._clock())
            if turn.cohort == "treated":
                device.has_release = True
                await self._take(device, manifest)
            elif turn.cohort == "control" and "without" not in device.sides:
                await self._report_use(device, manifest, "control")

        return look

    async def _news(self) -> tuple[ReleaseManifest | None, RolloutState | None]:
        """What the signed metadata says: its newest file is fetched every time, all of it verified where it changed."""
        _, timestamp = await self._wire.send("GET", TIMESTAMP, {}, b"")
        if self._verified is None or self._verified[0] != timestamp:
            with self._releases.current() as trusted:
                manifest, share = trusted.release(floor=0), trusted.rollout()
            state = None if share is None else RolloutState.from_bytes(share)
            self._verified = timestamp, manifest, state
            self.n_verified += 1
        return self._verified[1], self._verified[2]

    async def _take(self, device: Device, manifest: ReleaseManifest) -> None:
        rates, chance = self.rates["treated"], self.random.random
        ticket = await self._ticket(device, manifest, "with")
        await self._say(manifest, "treated", "began", HealthCounts(), ticket)
        if chance() < rates.crash_looped:
            counts = HealthCounts(crash_loops=1)
        elif chance() < rates.load_failed:
            counts = HealthCounts(load_failures=1)
        else:
            counts = HealthCounts(installs=1)
        await self._say(manifest, "treated", "tried", counts, ticket)
        self._later(manifest, "treated", counts, ticket)

    async def _report_use(self, device: Device, manifest: ReleaseManifest, cohort: Cohort) -> None:
        ticket = await self._ticket(device, manifest, "without")
        await self._say(manifest, cohort, "began", HealthCounts(), ticket)
        self._later(manifest, cohort, HealthCounts(), ticket)

    def _later(self, manifest: ReleaseManifest, cohort: Cohort, counts: HealthCounts, ticket: HealthTicket) -> None:
        """Half a day of use, unless the device is never heard of again."""
        rates, chance = self.rates[cohort], self.random.random
        if chance() < rates.silent:
            return
        n, is_slow = self.random.randint(3, 20), chance() < rates.slow
        used = counts.model_copy(
            update={
                "speeds": (0, 0, 0, 0, n, 0) if is_slow else (0, n, 0, 0, 0, 0),
                "empty_transcripts": n if chance() < rates.empty else 0,
                "corrections": n if chance() < rates.corrected else 0,
            }
        )
        when = self._clock.seconds + (12 + self.random.random()) * HOUR_S
        self.at(when, lambda: self._say(manifest, cohort, "used", used, ticket))

    async def _ticket(self, device: Device, manifest: ReleaseManifest, side: str) -> HealthTicket:
        device.sides.add(side)
        assert manifest.rollout is not None
        key, serial = public_rsa_key(manifest.rollout.ticket_key), secrets.token_hex(32)
        message = ticket_message(manifest.channel, manifest.seq, serial)
        blinded, unblinder = blind(key, message)
        wanted = {"channel": manifest.channel, "seq": manifest.seq, "side": side, "blinded": blinded}
        answer = await self._signed(device, endpoints.HEALTH_TICKETS, TicketRequest.model_validate(wanted))
        signature = TicketAnswer.from_bytes(answer).blind_signature
        return HealthTicket(serial=serial, signature=unblind(key, message, signature, unblinder))

    async def _signed(self, device: Device, path: str, value: Contract) -> bytes:
        name, body = f"device-{device.number}", value.to_bytes()
        if device.key is None:
            device.key = Ed25519PrivateKey.generate()
            enrolment = Enrolment(
                device_id=name,
                contributor_id=f"person-{device.number}",
                public_key=public_key_text(device.key),
                enrolment_code=self._code,
            )
            await self._post(endpoints.DEVICES, {}, enrolment.to_bytes(), 201)
        headers = sign_request(
            device.key, device_id=name, method="POST", path=path, body=body, created_s=int(self._clock.seconds)
        )
        return await self._post(path, headers, body, 200)

    async def _say(
        self, manifest: ReleaseManifest, cohort: Cohort, phase: Phase, counts: HealthCounts, ticket: HealthTicket
    ) -> None:
        report = HealthReport(
            channel=manifest.channel,
            seq=manifest.seq,
            tier=manifest.tier,
            app_version=__version__,
            cohort=cohort,
            phase=phase,
            counts=counts,
            ticket=ticket,
        )
        await self._post(endpoints.HEALTH_REPORTS, {}, report.to_bytes(), 204)

    async def _post(self, path: str, headers: dict[str, str], body: bytes, expected: int) -> bytes:
        status, content = await self._wire.send("POST", path, {"Content-Type": "application/json", **headers}, body)
        if status != expected:
            raise RuntimeError(f"{path}: expected {expected}, got {status}: {content[:300]!r}")
        return content


def release_of(plan: RolloutPlan | None, version: str, now: datetime) -> ReleaseManifest:
    """A release of nothing: no made-up device fetches its package."""
    return ReleaseManifest(
        channel="stable",
        seq=1,
        version=version,
        repo_id="acme/whisper",
        commit="0" * 40,
        base_sha256="0" * 64,
        weights_sha256=("1" if plan is None else "2") * 64,
        package_sha256="0" * 64,
        package_size_bytes=1,
        files=(),
        rollout=plan,
        created_at=now,
    )


def _serve() -> None:
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("home")
    parser.add_argument("clock")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": arguments.home})
    engine = open_engine(settings.database_url)
    app = application(settings, engine, FalseClock(Path(arguments.clock)))
    uvicorn.run(
        app, host="127.0.0.1", port=arguments.port, http="h11", lifespan="off", log_config=None, timeout_keep_alive=600
    )


if __name__ == "__main__":
    _serve()
