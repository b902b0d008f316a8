"""A stolen device: refused at once, and what it sent waits for a person."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.server.cli import main
from projectone.server.corpus.review import Reviews
from projectone.server.corpus.suspects import REVOKED, Suspects
from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import reading
from projectone.server.devices.catalog import DEVICES, DeviceCatalog, _device
from projectone.server.work.devices import hold_what_came_late

N_REQUESTS = 100


@pytest.fixture
def thief(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Ada's phone, which somebody else has; her laptop sends, too."""
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(backend.home))
    phone, laptop = backend.caller("ada"), backend.caller("laptop", contributor="person-ada")
    assert phone.put(a_clip(1), "from the phone", name="one").status_code == 201
    assert phone.put(a_clip(2), "used before", name="two").status_code == 201
    assert laptop.put(a_clip(3), "from the laptop").status_code == 201
    backend.catalog.mark([phone.correction(a_clip(), name="two").sample_id], "used", run_id="r")
    return phone


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def waiting(backend: Backend) -> set[str]:
    return {row.text for row in backend.catalog.waiting()}


@pytest.mark.parametrize("is_asked", [True, False])
def test_after_a_revocation_every_request_is_refused(
    backend: Backend,
    thief: Caller,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_asked: bool,
) -> None:
    done = run(capsys, "devices", "revoke", thief.device_id, "--reason", "stolen on the train")
    assert (done["is_new"], done["held"], done["used"]) == (True, 1, 1)
    if not is_asked:  # the control: a list of revoked devices that nobody looks at

        def find(self: DeviceCatalog, device_id: str) -> object:
            with reading(self._engine) as connection:
                return _device(connection.execute(select(DEVICES).where(DEVICES.c.device_id == device_id)).one())

        monkeypatch.setattr(DeviceCatalog, "find", find)
    ways = (
        lambda n: thief.put(a_clip(n), name=f"more {n}"),
        lambda n: thief.signed("GET", endpoints.sample(uuid.uuid4())),
        lambda n: thief.signed("DELETE", endpoints.sample(uuid.uuid4())),
        lambda n: thief.grant(),
    )
    answers = [ways[n % len(ways)](n) for n in range(N_REQUESTS)]
    refused = [answer for answer in answers if answer.status_code == 401 and reason(answer) == (401, "device-unknown")]
    assert len(refused) == (N_REQUESTS if is_asked else 0)
    if is_asked:
        assert reason(thief.enrol()) == (409, "device-known")  # nor does it come back under its name


def test_what_it_sent_waits_for_a_person_who_lets_it_go_on(
    backend: Backend, thief: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waiting(backend) == {"from the phone", "from the laptop"}
    run(capsys, "devices", "revoke", thief.device_id, "--reason", "stolen")
    assert waiting(backend) == {"from the laptop"}
    shown = run(capsys, "devices", "show", thief.device_id[:9])
    assert (shown["samples"], shown["revoked_because"]) == ({"held": 1, "used": 1}, "stolen")
    (held,) = run(capsys, "corpus", "review", "--reason", REVOKED)["samples"]
    assert (held["text"], list(held["reasons"])) == ("from the phone", [REVOKED])
    run(capsys, "corpus", "review", "accept", "--reason", REVOKED, "--why", "it is Ada")
    assert waiting(backend) == {"from the phone", "from the laptop"}
    again = run(capsys, "devices", "revoke", thief.device_id, "--reason", "again")
    assert (again["is_new"], again["held"], again["revoked_because"]) == (False, 0, "stolen")
    assert waiting(backend) == {"from the phone", "from the laptop"}


def test_what_was_under_way_is_held_before_the_next_run(backend: Backend, thief: Caller) -> None:
    devices, now = DeviceCatalog(backend.engine), datetime.now(UTC)
    suspects = Suspects(backend.engine, backend.catalog.vault)
    devices.revoke(thief.device_id, now)
    assert hold_what_came_late(devices, suspects, now) == 1
    assert hold_what_came_late(devices, suspects, now) == 0
    assert waiting(backend) == {"from the laptop"}


def test_a_doubt_that_was_there_before_stays_beside_it(backend: Backend, thief: Caller) -> None:
    first = thief.correction(a_clip(), name="one").sample_id
    vault = backend.catalog.vault
    Reviews(backend.engine, vault).decide([first], "doubted", by="eve", why=None, now=datetime.now(UTC))
    assert Suspects(backend.engine, vault).hold(thief.device_id, thief.contributor_id) == 1
    (held,) = Reviews(backend.engine, vault).held(5)
    assert held.checks.held == ("doubted", REVOKED)


def test_no_row_names_a_device_beside_the_sound(backend: Backend, thief: Caller, tmp_path: Path) -> None:
    with reading(backend.engine) as connection:
        assert set(connection.execute(select(SAMPLES.c.device_id)).scalars()) == {""}


def test_a_device_that_is_not_there_is_named(thief: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "show", "nobody"]) == 2
    assert "expected the beginning of one id, found none" in capsys.readouterr().err
    assert len(run(capsys, "devices", "list")["devices"]) == 2
    assert run(capsys, "devices", "list", "--revoked") == {"devices": []}
