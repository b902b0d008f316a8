"""Who is let in."""

import json
import time

import pytest
from fastapi.testclient import TestClient
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints

DAY_S = 24 * 3600


def test_a_device_is_enrolled_once_and_may_ask_again(backend: Backend) -> None:
    ada = Caller(backend.http, backend.services.enrolment_code)
    first, again = ada.enrol(), ada.enrol()
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert set(first.json()) == {"device_id", "enrolled_at"}


def test_a_name_belongs_to_its_first_key(backend: Backend) -> None:
    backend.caller("ada")
    thief = Caller(backend.http, backend.services.enrolment_code, "mallory")
    assert reason(thief.enrol(device_id="device-ada")) == (409, "device-known")


def test_a_wrong_code_enrols_nobody_and_cannot_be_guessed_for_long(backend: Backend) -> None:
    guesser = Caller(backend.http, "guess")
    answers = [reason(guesser.enrol()) for _ in range(25)]
    assert answers[0] == (403, "enrolment-code")
    assert answers[-1] == (429, "quota")
    assert backend.services.devices.find("device-ada") is None


def test_without_a_code_nobody_is_enrolled(backend: Backend) -> None:
    object.__setattr__(backend.services, "enrolment_code", "")
    assert reason(Caller(backend.http, "").enrol()) == (403, "enrolment-code")


def test_an_unknown_device_is_refused_before_its_body_is_read(backend: Backend) -> None:
    stranger = Caller(backend.http, "", "stranger")
    assert reason(stranger.put(a_clip())) == (401, "device-unknown")


def test_a_revoked_device_is_refused_at_once(backend: Backend) -> None:
    ada = backend.caller()
    backend.services.devices.revoke(ada.device_id, backend.services.clock())
    assert reason(ada.put(a_clip())) == (401, "device-unknown")
    assert reason(ada.enrol()) == (409, "device-known")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Signature": "sig1=:" + "A" * 86 + "==:"}, (401, "signature")),
        ({"Signature": "nonsense"}, (401, "signature")),
        ({"Signature-Input": "sig1=()"}, (401, "signature")),
        ({"Content-Digest": "sha-256=:AAAA:"}, (401, "signature")),
        ({"Content-Digest": ""}, (401, "signature")),
        ({"X-Sample": "e30"}, (401, "signature")),
        ({"Content-Encoding": "gzip"}, (415, "content-encoding")),
        ({"Content-Length": "99999999999"}, (413, "too-large")),
    ],
)
def test_a_changed_request_is_refused(backend: Backend, changes: dict[str, str], expected: tuple[int, str]) -> None:
    ada = backend.caller()
    clip = a_clip()
    path = endpoints.sample(ada.correction(clip).sample_id)
    assert reason(ada.signed("PUT", path, clip, sample_header="e30=", changes=changes)) == expected


def test_each_flipped_byte_of_a_body_is_noticed(backend: Backend) -> None:
    ada = backend.caller()
    clip = a_clip()

    class Flipping:
        def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> object:
            damaged = bytearray(content)
            damaged[self.position] ^= 0x10
            return backend.http.request(method, url, headers=headers, content=bytes(damaged))

        position = 0

    wire = Flipping()
    ada.http = wire
    for position in range(0, len(clip), len(clip) // 40):
        wire.position = position
        assert reason(ada.put(clip)) == (400, "content-digest")
    assert backend.files() == []


def test_a_signature_holds_for_a_month_and_not_longer(backend: Backend) -> None:
    ada = backend.caller()
    path = endpoints.sample(ada.consent_id)
    now_s = int(time.time())
    assert reason(ada.signed("GET", path, created_s=now_s - 21 * DAY_S)) == (404, "sample-unknown")
    assert reason(ada.signed("GET", path, created_s=now_s - 31 * DAY_S)) == (401, "signature")
    assert reason(ada.signed("GET", path, created_s=now_s + 3600)) == (401, "signature")


def test_a_signature_is_good_for_one_path_only(backend: Backend) -> None:
    ada = backend.caller()

    class Elsewhere:
        def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> object:
            return backend.http.request(method, f"{url}?x=1", headers=headers, content=content)

    ada.http = Elsewhere()
    assert reason(ada.withdraw()) == (401, "signature")


def test_a_body_over_the_limit_is_cut_off_though_its_length_is_not_told(backend: Backend) -> None:
    ada = backend.caller()

    class Chunked:
        def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> object:
            return backend.http.request(method, url, headers=headers, content=iter([content] * 3))

    ada.http = Chunked()
    path = endpoints.consent(ada.consent_id)
    assert reason(ada.signed("PUT", path, bytes(30 * 1024))) == (413, "too-large")


def test_a_device_that_asks_too_often_has_to_wait(backend: Backend) -> None:
    ada = backend.caller()
    window = backend.services.quotas.device
    while window.take(ada.device_id) is None:
        pass
    response = ada.put(a_clip())
    assert reason(response) == (429, "quota")
    assert 1 <= int(response.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"device_id": NaN}',
        b'{"device_id": 1e999999}',
        b'{"device_id": "\\ud800"}',
        b'{"device_id": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b"[" * 60_000,
        json.dumps({"device_id": "a" * 200, "public_key": "x", "enrolment_code": 5e-324}).encode(),
    ],
)
def test_odd_values_are_refused_and_never_an_error_of_ours(backend: Backend, body: bytes) -> None:
    assert reason(backend.http.post(endpoints.DEVICES, content=body)) == (422, "contract")


def test_the_event_loop_stays_free_while_rows_are_read(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    is_reading, may_go_on = threading.Event(), threading.Event()

    def slow() -> dict[str, int]:
        is_reading.set()
        assert may_go_on.wait(120)
        return {}

    monkeypatch.setattr(backend.services.catalog, "counts", slow)
    thread = threading.Thread(target=backend.http.get, args=("/health/ready",))
    thread.start()
    assert is_reading.wait(120)
    try:
        assert isinstance(backend.http, TestClient)
        assert backend.http.get("/health/live").status_code == 200
    finally:
        may_go_on.set()
        thread.join()
