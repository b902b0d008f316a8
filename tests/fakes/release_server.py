"""A server on loopback that speaks the device's side of the API, and can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.audited_log import Log
from tests.fakes.signed_metadata import Shelf, shelf_now

from projectone.contracts import endpoints
from projectone.contracts.assist import UTTERANCE_MEDIA_TYPE, IntentCorrection
from projectone.contracts.base import sha256_hex
from projectone.contracts.corrections import Correction, Sample
from projectone.contracts.devices import Enrolment
from projectone.contracts.erasures import ErasureReceipt, LearnedRelease
from projectone.contracts.policies import SignedPolicies
from projectone.contracts.releases import LatestModelInfo, NotedRelease, ReleaseFile, family_of, release_path
from projectone.contracts.scripts import SignedScripts
from projectone.contracts.signatures import content_digest, public_key_text, sign_erasure, verify_request
from projectone.contracts.uploads import Problem, UploadReceipt
from projectone.contracts.uses import SignedUses
from projectone.errors import SignatureError

ENROLMENT_CODE = "letmein"


def zip_of(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A package, as the server makes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


@dataclass
class Release:
    """A release, its package, and what is hinted of it."""

    manifest: NotedRelease
    package: bytes
    info: LatestModelInfo


def make_release(
    files: Mapping[str, bytes],
    /,
    *,
    seq: int = 1,
    version: str = "1.0.0",
    package: bytes | None = None,
    **overrides: Any,
) -> Release:
    """A release of `files`; `overrides` go into the manifest."""
    package = zip_of(files) if package is None else package
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "channel": "stable",
        "seq": seq,
        "version": version,
        "repo_id": "projectone/whisper",
        "commit": "0" * 40,
        "base_sha256": "0" * 64,
        "weights_sha256": "0" * 64,
        "package_sha256": sha256_hex(package),
        "package_size_bytes": len(package),
        "files": tuple(
            ReleaseFile(path=name, sha256=sha256_hex(content), size_bytes=len(content))
            for name, content in files.items()
        ),
        "created_at": now,
    }
    manifest = NotedRelease(**(values | overrides))
    info = LatestModelInfo(
        version=manifest.version,
        url=endpoints.release_package(manifest.package_sha256),
        sha256=manifest.package_sha256,
        size_bytes=manifest.package_size_bytes,
        seq=manifest.seq,
        channel=manifest.channel,
        metadata_url=endpoints.SIGNED_METADATA,
        release_path=release_path(manifest.channel, manifest.tier),
    )
    return Release(manifest, package, info)


@dataclass
class Faults:
    """What goes wrong, until told otherwise."""

    drop_after_bytes: list[int] = field(default_factory=list)  # one package answer each, then none
    is_ignoring_ranges: bool = False
    is_lying_about_ranges: bool = False
    trailing_bytes: bytes = b""
    answer: Callable[[str, str], tuple[int, str] | None] = lambda method, path: None
    is_losing_replies: Callable[[str, str], bool] = lambda method, path: False
    before_storing: Callable[[], None] = lambda: None
    elsewhere: str | None = None  # where packages are said to lie, unless asked for directly


@dataclass
class FakeServer:
    """What the server knows. Everything a device did can be looked at."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    shelf: Shelf = field(default_factory=shelf_now)
    signed: dict[str, bytes] = field(default_factory=dict)
    latest: LatestModelInfo | None = None
    latest_intents: LatestModelInfo | None = None
    packages: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    devices: dict[str, Enrolment] = field(default_factory=dict)
    consents: dict[str, bool] = field(default_factory=dict)
    samples: dict[UUID, tuple[Sample, bytes]] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)
    last_headers: dict[str, str] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    sent_bytes: int = 0
    n_erased: int = 0
    learned: list[LearnedRelease] = field(default_factory=list)
    scripts: SignedScripts | None = None
    policies: SignedPolicies | None = None
    uses: SignedUses | None = None
    log: Log = field(default_factory=Log)
    url: str = ""

    @property
    def public_key(self) -> str:
        return public_key_text(self.key)

    def __post_init__(self) -> None:
        self.signed = self.shelf.files()

    @property
    def root(self) -> bytes:
        return self.shelf.roots[0]

    def release(self, files: Mapping[str, bytes], /, **options: Any) -> Release:
        """Sign a release and make it the newest."""
        release = make_release(files, **options)
        self.packages[release.manifest.package_sha256] = release.package
        if family_of(release.manifest.channel) == "intents":
            self.latest_intents = release.info
        else:
            self.latest = release.info
        self.shelf.release(release.manifest)
        self.show()
        return release

    def show(self) -> None:
        """Sign what is on the shelf, each role a version higher."""
        self.shelf.step()
        self.signed = self.shelf.files()

    def asked(self, method: str, beginning: str) -> int:
        """How many such requests there were."""
        return sum(1 for verb, path in self.requests if verb == method and path.startswith(beginning))


@contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    """Answer on a free port of loopback until the block ends."""

    class Handler(_Handler):
        state = server

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Handler(BaseHTTPRequestHandler):
    state: FakeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    do_PUT = do_POST = do_DELETE = do_GET

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, _, query = self.path.partition("?")
        self.state.requests.append((self.command, path))
        self.state.last_headers = dict(self.headers)
        try:
            planned = self.state.faults.answer(self.command, path)
            if planned is not None:
                raise _Refused(*planned)
            if path.startswith(endpoints.RELEASES):
                if self.state.faults.elsewhere is not None and query != "direct=1":
                    self._send_elsewhere(self.state.faults.elsewhere + path)
                    return
                self._package(path)
                return
            if path.startswith("/tuf/"):
                if path not in self.state.signed:
                    raise _Refused(404, "metadata-unknown")
                self._send(200, self.state.signed[path], "application/json")
                return
            status, answer = self._answer(path, query, body)
            if self.state.faults.is_losing_replies(self.command, path):
                self.close_connection = True
                return
            self._send(status, answer, "application/json")
        except _Refused as refusal:
            problem = Problem(title="no", status=refusal.status, reason=refusal.reason, detail="as the test wished")
            self._send(refusal.status, problem.to_bytes(), "application/problem+json")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _send_elsewhere(self, address: str) -> None:
        self.send_response(307)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, query: str, body: bytes) -> tuple[int, bytes]:
        state = self.state
        if path == endpoints.POLICIES:
            return 200, self._policies()
        if path in (endpoints.LATEST_MODEL_INFO, endpoints.SCRIPTS, endpoints.AUDIT_CONSISTENCY):
            return 200, self._public(path, query)
        if path == endpoints.DEVICES:
            enrolment = Enrolment.from_bytes(body)
            if enrolment.enrolment_code != ENROLMENT_CODE:
                raise _Refused(403, "enrolment-code")
            state.devices[enrolment.device_id] = enrolment
            return 201, json.dumps(
                {"device_id": enrolment.device_id, "enrolled_at": datetime.now(UTC).isoformat()}
            ).encode()
        self._check_signature(path, query, body)
        if path.endswith("/erasure"):
            return 200, self._erasure(path)
        name = path.rsplit("/", 1)[1]
        if path.startswith(endpoints.CONSENTS):
            if self.command == "PUT":
                state.consents[name] = True
                return 200, body
            state.consents[name] = False
            for sample_id, (correction, _) in list(state.samples.items()):
                if str(correction.consent_receipt_id) == name:
                    del state.samples[sample_id]
                    state.n_erased += 1
            return 200, b"{}"
        return self._sample(path, body)

    def _sample(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/uses"):
            if self.state.uses is None:
                raise _Refused(404, "sample-unknown")
            return 200, self.state.uses.to_bytes()
        sample_id = UUID(path.rsplit("/", 1)[1])
        if self.command == "DELETE":
            self.state.deleted.add(sample_id)
            self.state.samples.pop(sample_id, None)
            return 200, b"{}"
        return self._store(sample_id, body)

    def _public(self, path: str, query: str) -> bytes:
        if path == endpoints.AUDIT_CONSISTENCY:
            return self._history(query)
        latest = self.state.latest_intents if "family=intents" in query else self.state.latest
        answer = latest if path == endpoints.LATEST_MODEL_INFO else self.state.scripts
        if answer is None:
            raise _Refused(404, "no-release" if path == endpoints.LATEST_MODEL_INFO else "no-scripts")
        if path == endpoints.SCRIPTS and endpoints.DEVICE_ID_HEADER in self.headers:
            raise _Refused(400, "asked-by-name")  # nobody is to learn who reads what
        return answer.to_bytes()

    def _history(self, query: str) -> bytes:
        if self.state.log.newest is None:
            raise _Refused(404, "no-checkpoint")
        if endpoints.DEVICE_ID_HEADER in self.headers:
            raise _Refused(400, "asked-by-name")
        return self.state.log.shown(self.state.key, int(query.removeprefix("first="))).to_bytes()

    def _policies(self) -> bytes:
        if self.state.policies is None:
            raise _Refused(404, "no-policies")
        if endpoints.DEVICE_ID_HEADER in self.headers:
            raise _Refused(400, "asked-by-name")
        return self.state.policies.to_bytes()

    def _erasure(self, path: str) -> bytes:
        name = path.split("/")[-2]
        if self.state.consents.get(name) is not False:
            raise _Refused(409, "consent-in-force")
        now = datetime.now(UTC)
        receipt = ErasureReceipt(
            receipt_id=UUID(name),
            contributor_id="somebody",
            scope="corrections",
            granted_at=now - timedelta(days=1),
            withdrawn_at=now,
            issued_at=now,
            n_samples=self.state.n_erased,
            is_complete=True,
            releases=tuple(self.state.learned),
        )
        return sign_erasure(self.state.key, receipt).to_bytes()

    def _store(self, sample_id: UUID, body: bytes) -> tuple[int, bytes]:
        state = self.state
        state.faults.before_storing()
        letter = base64.urlsafe_b64decode(self.headers[endpoints.SAMPLE_HEADER])
        is_intent, media_type = json.loads(letter)["kind"] == "intent", self.headers["content-type"]
        if media_type != (UTTERANCE_MEDIA_TYPE if is_intent else "audio/wav"):
            raise _Refused(415, "media-type")
        correction: Sample = (IntentCorrection if is_intent else Correction).from_bytes(letter)
        if correction.sample_id != sample_id or correction.payload_sha256 != sha256_hex(body):
            raise _Refused(422, "sample-digest")
        if not state.consents.get(str(correction.consent_receipt_id)):
            raise _Refused(403, "consent-missing")
        if sample_id in state.deleted:
            raise _Refused(410, "erased")
        known = state.samples.get(sample_id)
        if known is not None and known != (correction, body):
            raise _Refused(409, "sample-conflict")
        state.samples[sample_id] = (correction, body)
        receipt = UploadReceipt(sample_id=sample_id, sha256=sha256_hex(body), received_at=datetime.now(UTC))
        return (200 if known else 201), receipt.to_bytes()

    def _check_signature(self, path: str, query: str, body: bytes) -> None:
        enrolment = self.state.devices.get(self.headers.get(endpoints.DEVICE_ID_HEADER, ""))
        if enrolment is None:
            raise _Refused(401, "device-unknown")
        try:
            verify_request(
                enrolment.public_key,
                method=self.command,
                path=path,
                query=query,
                headers={name.lower(): value for name, value in self.headers.items()},
                body_digest=content_digest(body),
                now_s=int(time.time()),
            )
        except SignatureError as error:
            raise _Refused(401, "signature") from error

    def _package(self, path: str) -> None:
        faults = self.state.faults
        content = self.state.packages.get(
            path.removeprefix(endpoints.RELEASES + "/").removesuffix(".zip").removesuffix(".delta")
        )
        if content is None:
            raise _Refused(404, "package-unknown")
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        asked = self.headers.get("range")
        self.state.ranges.append(asked)
        if asked and self.headers.get("if-match") not in (None, etag):
            raise _Refused(412, "precondition-failed")
        start = 0
        if asked and not faults.is_ignoring_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
        body = content[start:] + faults.trailing_bytes
        self.send_response(206 if start else 200)
        if start:
            shown = start - 1 if faults.is_lying_about_ranges else start
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        limit = faults.drop_after_bytes.pop(0) if faults.drop_after_bytes else None
        self.wfile.write(body[:limit])
        self.state.sent_bytes += len(body[:limit])
        if limit is not None and limit < len(body):
            self.close_connection = True
