"""Uploads against a hostile world: replays, forgeries, damage, stolen keys, races; each with the defence switched off.

The full figures run with the tests marked `slow`, smaller ones on every push; those of T4 and T12 with
`PROJECTONE_FULL_HOSTILE=1`.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.caller import SAID_AT, Caller, a_clip
from tests.faults.server_disk import Opened, opened

from projectone.contracts import endpoints, signed_requests
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.signatures import content_digest, public_key_text, sign_request, verify_request
from projectone.errors import ConsentError, DataError, SignatureError
from projectone.server.api.quotas import QuotaLimits
from projectone.server.corpus.retention import withdraw
from projectone.server.corpus.tables import SAMPLES
from projectone.server.corpus.vault import Vault
from projectone.server.database import reading
from projectone.server.devices.catalog import DEVICES, Device, DeviceCatalog

NO_LIMITS = QuotaLimits(
    device=10**6, address=10**6, total=10**6, failed_enrolments=10**6, new_devices=10**6, open_requests=10**6
)
slow = pytest.mark.slow
N_CONTENTS, N_RACES = (1000, 500) if os.environ.get("PROJECTONE_FULL_HOSTILE") else (300, 150)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with opened(tmp_path_factory.mktemp("uploads") / "home", is_new=True, limits=NO_LIMITS) as server:
        yield server


@pytest.fixture
def ada(server: Opened, request: pytest.FixtureRequest) -> Caller:
    """A device of its own for every test."""
    return server.known(uuid.uuid5(uuid.NAMESPACE_OID, request.node.name).hex)


def rows(server: Opened) -> list[Any]:
    with reading(server.engine) as connection:
        return list(connection.execute(SAMPLES.select().order_by(SAMPLES.c.sample_id)).all())


def rows_of(server: Opened, caller: Caller) -> list[Any]:
    return [row for row in rows(server) if row.contributor_id == caller.contributor_id]


def switch_off(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., Any]) -> None:
    """Put `instead` in the place of a function, in every module of the server that calls it."""
    rooms = [module for path, module in list(sys.modules.items()) if path.startswith("projectone.server.")]
    found = [room for room in rooms if callable(getattr(room, name, None))]
    assert found, f"nothing is called {name} any more"
    for room in found:
        monkeypatch.setattr(room, name, instead)


def until_answered(send: Callable[[], Any]) -> Any:
    """As a device does it: what is busy is asked again."""
    for _ in range(100):
        answer = send()
        if answer.status_code not in (429, 503):
            break
    return answer


# T3: a client sends again after a lost reply.


@pytest.mark.parametrize(("n_uploads", "n_replays", "n_at_once"), [(20, 5, 10), pytest.param(200, 5, 50, marks=slow)])
def test_whatever_is_sent_again_is_kept_once(
    n_uploads: int, n_replays: int, n_at_once: int, server: Opened, ada: Caller
) -> None:
    clips = [a_clip(seed, duration_s=0.15) for seed in range(n_uploads)]
    order = [number for number in range(n_uploads) for _ in range(1 + n_replays)]
    random.Random(0).shuffle(order)

    def send(number: int) -> tuple[int, int, bytes]:
        answer = until_answered(lambda: ada.put(clips[number], name=f"upload {number}"))
        return number, answer.status_code, answer.content

    with ThreadPoolExecutor(n_at_once) as pool:
        answers = list(pool.map(send, order))
    assert sorted(number for number, status, _ in answers if status == 201) == list(range(n_uploads))
    assert {status for _, status, _ in answers} == {200, 201}
    assert len({(number, body) for number, _, body in answers}) == n_uploads
    mine = rows_of(server, ada)
    kept = server.clips()
    assert len(mine) == n_uploads
    assert sorted(kept[str(row.sample_id)] for row in mine) == sorted(clips)


def test_control_without_idempotence_a_replay_is_no_success(
    server: Opened, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_off(monkeypatch, "_known", lambda *arguments: None)
    assert ada.put(a_clip()).status_code == 201
    assert ada.put(a_clip()).status_code >= 400


# T4: one id, other content.

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["eight", "nine", "Seven", "seven."]),
        "heard": st.sampled_from(["", "heaven", "seven"]),
        "heard_by": st.sampled_from(["1.0.0", "1.0.1"]),
        "accent": st.sampled_from(["Welsh", "Scots"]),
        "script_id": st.sampled_from(["digits-1", "digits-2"]),
        "language": st.sampled_from(["de", "fr"]),
        "kind": st.just("donation"),
        "seed": st.integers(1, 40),
    },
).filter(bool)


def hold_one_id_to_one_content(server: Opened, ada: Caller, n_cases: int) -> list[int]:
    assert ada.put(a_clip(duration_s=0.15)).status_code in (200, 201)
    before = rows_of(server, ada)
    found = []

    @settings(max_examples=n_cases)
    @given(CHANGES)
    def attempt(changes: dict[str, Any]) -> None:
        values = dict(changes)
        clip = a_clip(values.pop("seed", 0), duration_s=0.15)
        found.append(ada.put(clip, **values).status_code)

    attempt()
    assert rows_of(server, ada) == before
    return found


@pytest.mark.parametrize("n_cases", [100, pytest.param(N_CONTENTS, marks=slow)])
def test_one_id_never_gets_another_content(n_cases: int, server: Opened, ada: Caller) -> None:
    found = hold_one_id_to_one_content(server, ada, n_cases)
    assert set(found) == {409}
    assert len(found) == n_cases


def test_control_without_the_comparison_other_content_is_acknowledged(
    server: Opened, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ada.correction(a_clip(duration_s=0.15))
    assert ada.put(a_clip(duration_s=0.15)).status_code == 201
    receipt = server.services.catalog.receipt_of(first)
    switch_off(monkeypatch, "_known", lambda *arguments: receipt)
    assert ada.put(a_clip(1, duration_s=0.15)).status_code == 200


# T5: a body that is damaged or cut on its way.


class Damaging:
    """A wire that changes bodies."""

    def __init__(self, http: Any, change: Callable[[bytes], bytes]) -> None:
        self.http = http
        self.change = change

    def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> Any:
        return self.http.request(method, url, headers=headers, content=self.change(content))


def damages(n_cases: int, size_bytes: int) -> Iterator[Callable[[bytes], bytes]]:
    """Half of them flip a bit, half cut the end off."""
    chance = random.Random(5)
    for number in range(n_cases):
        place, bit = chance.randrange(size_bytes), 1 << chance.randrange(8)
        if number % 2:
            yield lambda body, place=place: body[:place]  # type: ignore[misc]
        else:
            yield (
                lambda body, place=place, bit=bit: (  # type: ignore[misc]
                    body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :]
                )
            )


def send_damaged(ada: Caller, n_cases: int) -> list[int]:
    clip = a_clip(duration_s=0.15)
    http, found = ada.http, []
    for number, change in enumerate(damages(n_cases, len(clip))):
        ada.http = Damaging(http, change)
        found.append(ada.put(clip, name=f"damaged {number}").status_code)
    ada.http = http
    return found


@pytest.mark.parametrize("n_cases", [100, pytest.param(500, marks=slow)])
def test_no_damaged_body_is_kept(n_cases: int, server: Opened, ada: Caller) -> None:
    before = server.orphans()
    found = send_damaged(ada, n_cases)
    assert len(found) == n_cases
    assert all(400 <= status < 500 for status in found)
    assert rows_of(server, ada) == []
    assert server.orphans() == before


def test_control_without_digests_damage_is_kept(server: Opened, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_check_digest", "_check_signature", "_check_recording"):
        switch_off(monkeypatch, name, lambda *arguments: None)
    assert 201 in send_damaged(ada, 10)


# T9: forged and replayed requests.

KEY = Ed25519PrivateKey.generate()
NOW_S = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
SIGNED_PARTS = ("method", "path", "query", "body_digest", "x-device-id", "x-sample", "content-digest")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_.=;:\"' "


def a_request(number: int) -> dict[str, Any]:
    """What `verify_request` is asked about, rightly signed."""
    body = f"body {number}".encode()
    path, query = endpoints.sample(uuid.UUID(int=number)), f"page={number}"
    signed = sign_request(
        KEY,
        method="PUT",
        path=path,
        query=query,
        body=body,
        device_id="device-ada",
        created_s=NOW_S,
        sample_header="e30=",
    )
    headers = {name.lower(): value for name, value in signed.items()}
    return {"method": "PUT", "path": path, "query": query, "body_digest": content_digest(body), "headers": headers}


def mutate(text: str, chance: random.Random) -> str:
    """One character less, more or other."""
    place = chance.randrange(len(text))
    letter = chance.choice([letter for letter in ALPHABET if letter != text[place]])
    kept = text[place + 1 :] if chance.random() < 0.8 else text[place:]
    return text[:place] + (letter if chance.random() < 0.9 else "") + kept


def forged(number: int, chance: random.Random) -> dict[str, Any]:
    """A signed request of which one part was changed."""
    request = a_request(number)
    part = chance.choice([*SIGNED_PARTS, "signature", "signature-input"])
    held = request["headers"] if part in request["headers"] else request
    changed = held[part]
    while changed == held[part]:
        changed = mutate(held[part], chance)
    held[part] = changed
    return request


def is_accepted(request: dict[str, Any]) -> bool:
    try:
        verify_request(public_key_text(KEY), **request, now_s=NOW_S)
    except SignatureError:
        return False
    return True


def test_of_10000_forged_requests_none_is_accepted() -> None:
    chance = random.Random(9)
    assert is_accepted(a_request(0))
    assert sum(is_accepted(forged(number, chance)) for number in range(10_000)) == 0


def test_control_without_the_check_forged_requests_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_requests, "check_signature", lambda *arguments, **options: None)
    chance = random.Random(9)
    assert sum(is_accepted(forged(number, chance)) for number in range(200)) > 50


def test_an_exact_replay_gets_the_old_answer_and_creates_nothing(server: Opened, ada: Caller) -> None:
    sent: list[tuple[str, str, dict[str, str], bytes]] = []

    class Noting:
        def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes) -> Any:
            sent.append((method, url, headers, content))
            return server.http.request(method, url, headers=headers, content=content)

    ada.http = Noting()
    first = ada.put(a_clip())
    method, url, headers, content = sent[0]
    again = [server.http.request(method, url, headers=headers, content=content) for _ in range(20)]
    assert {answer.content for answer in again} == {first.content}
    assert len(rows_of(server, ada)) == 1


# T10: a stolen device.


def test_a_revoked_device_is_refused_from_its_next_request_on(server: Opened, ada: Caller) -> None:
    assert ada.put(a_clip()).status_code == 201
    server.services.devices.revoke(ada.device_id, server.services.clock())
    answers = [ada.put(a_clip(seed), name=f"stolen {seed}") for seed in range(100)]
    assert {answer.status_code for answer in answers} == {401}
    assert len(rows_of(server, ada)) == 1


def test_control_without_the_list_a_revoked_device_goes_on(
    server: Opened, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(self: DeviceCatalog, device_id: str) -> Device:
        with reading(server.engine) as connection:
            row = connection.execute(DEVICES.select().where(DEVICES.c.device_id == device_id)).one()
        return Device(row.device_id, row.contributor_id, row.public_key, row.enrolled_at)

    server.services.devices.revoke(ada.device_id, server.services.clock())
    monkeypatch.setattr(DeviceCatalog, "find", find)
    assert ada.put(a_clip()).status_code == 201


# T11: many made-up devices.


def enrol_many(home: Path, limits: QuotaLimits, n_devices: int) -> list[int]:
    with opened(home, is_new=True, limits=limits) as server:
        found = [server.caller(f"made-up-{number}").enrol().status_code for number in range(n_devices)]
        with reading(server.engine) as connection:
            assert len(connection.execute(DEVICES.select()).all()) == found.count(201)
    return found


@pytest.mark.parametrize(("limit", "n_devices"), [(20, 150), pytest.param(100, 1000, marks=slow)])
def test_one_address_makes_so_many_devices_known_in_an_hour(limit: int, n_devices: int, tmp_path: Path) -> None:
    limits = QuotaLimits(new_devices=limit, address=10**6, total=10**6)
    found = enrol_many(tmp_path / "home", limits, n_devices)
    assert found == [201] * limit + [429] * (n_devices - limit)


def test_control_without_the_limit_all_of_them_are_let_in(tmp_path: Path) -> None:
    assert enrol_many(tmp_path / "home", NO_LIMITS, 40) == [201] * 40


# T12: an upload while its consent is withdrawn.


def race(server: Opened, number: int) -> tuple[bool, str | None]:
    """Whether the upload was acknowledged, and the state of the row after both ended."""
    caller = server.caller(f"racer-{uuid.uuid4().hex[:20]}")
    caller.consent_id = uuid.uuid4()
    now = server.services.clock()
    receipt: ConsentReceipt = caller.receipt()
    server.services.catalog.grant(receipt, now)
    clip = a_clip(number % 20, duration_s=0.15)
    correction = caller.correction(clip, recorded_at=SAID_AT)
    barrier = threading.Barrier(2)
    stored = False

    def upload() -> None:
        nonlocal stored
        barrier.wait()
        try:
            server.services.intake.accept(correction, clip, caller.device_id)
            stored = True
        except (ConsentError, DataError):
            pass

    def take_back() -> None:
        barrier.wait()
        time.sleep((number % 8) * 0.001)  # so that the two meet at different places; the result may not depend on it
        withdraw(
            server.services.catalog,
            server.services.blobs,
            receipt.receipt_id,
            contributor_id=caller.contributor_id,
            now=server.services.clock(),
        )

    threads = [threading.Thread(target=work) for work in (upload, take_back)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [row.state for row in rows(server) if row.sample_id == correction.sample_id]
    return stored, states[0] if states else None


@pytest.mark.parametrize("n_races", [40, pytest.param(N_RACES, marks=slow)])
def test_nothing_is_stored_after_its_consent_was_withdrawn(n_races: int, server: Opened) -> None:
    before = server.orphans()
    found = [race(server, number) for number in range(n_races)]
    assert set(found) <= {(True, "erased"), (False, None)}
    assert server.orphans() == before


def test_control_without_the_question_in_the_transaction_it_is_stored(
    server: Opened, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_off(monkeypatch, "_require_consent", lambda *arguments, **options: None)
    monkeypatch.setattr(Vault, "shred", lambda self, receipt_ids: 0)  # a destroyed key would refuse it, too
    assert ada.withdraw().status_code == 200
    assert ada.put(a_clip()).status_code == 201
    assert [row.state for row in rows_of(server, ada)] == ["waiting"]
