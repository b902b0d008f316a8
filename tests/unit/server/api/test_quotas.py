"""So many in a minute, and then there is room again."""

import pytest
from fastapi.testclient import TestClient
from tests.unit.server.api.conftest import Backend

from projectone.contracts import endpoints
from projectone.server.api.quotas import MovingWindow, QuotaLimits, Quotas

QUOTA = 20


def test_a_window_lets_so_many_through_and_says_when_there_is_room() -> None:
    now = [100.0]
    window = MovingWindow(2, lambda: now[0])
    assert window.take("a") is None
    now[0] = 130.0
    assert window.take("a") is None
    assert window.take("a") == 30.0
    assert window.take("b") is None
    now[0] = 160.1
    assert window.take("a") is None
    assert window.take("a") is not None


def test_a_look_counts_for_nothing() -> None:
    window = MovingWindow(1, lambda: 0.0)
    assert window.take("a", is_counted=False) is None
    assert window.take("a") is None
    assert window.take("a", is_counted=False) == 60.0


def test_keys_are_forgotten_rather_than_kept_for_ever() -> None:
    window = MovingWindow(1, lambda: 0.0)
    for number in range(10_001):
        window.take(str(number))
    assert window.take("0") is None
    assert window.take("10000") == 60.0


@pytest.mark.parametrize("is_counted", [True, False])
def test_who_asks_ten_times_its_quota_gets_its_quota_and_others_theirs(backend: Backend, is_counted: bool) -> None:
    """Beside it the control: where nobody counts, all of it is served."""
    limits = QuotaLimits(device=QUOTA if is_counted else 10 * QUOTA)
    ada, bob = backend.caller("ada"), backend.caller("bob")
    object.__setattr__(backend.services, "quotas", Quotas(limits))
    path = f"/v1/samples/{ada.consent_id}"
    greedy = [ada.signed("GET", path) for _ in range(10 * QUOTA)]
    honest = [bob.signed("GET", path) for _ in range(QUOTA)]
    refused = [answer for answer in greedy if answer.status_code == 429]
    assert len(refused) == (9 * QUOTA if is_counted else 0)
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert {answer.status_code for answer in honest} == {404}


@pytest.mark.parametrize("per_address", [QUOTA, 100 * QUOTA])
def test_what_one_address_is_refused_takes_nothing_of_what_everybody_may_ask(
    backend: Backend, per_address: int
) -> None:
    """Beside it the control: an address that may ask for all there is leaves nothing to the others."""
    object.__setattr__(backend.services, "quotas", Quotas(QuotaLimits(address=per_address, total=4 * QUOTA)))
    flood = [backend.http.get(endpoints.LIVE) for _ in range(10 * QUOTA)]
    elsewhere = TestClient(backend.http.app, client=("192.0.2.7", 50_000))
    others = {elsewhere.get(endpoints.LIVE).status_code for _ in range(QUOTA)}
    is_bounded = per_address == QUOTA
    assert sum(answer.status_code == 200 for answer in flood) == (QUOTA if is_bounded else 4 * QUOTA)
    assert others == ({200} if is_bounded else {429})
