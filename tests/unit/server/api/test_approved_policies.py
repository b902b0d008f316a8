"""What devices may answer, for anybody who asks."""

from __future__ import annotations

from tests.unit.assist.approved import approved
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.policies import SignedPolicies
from projectone.contracts.signatures import POLICIES, verify_policies
from projectone.server.delivery.signing import load_signer
from projectone.storage.files import write_atomically


def test_the_set_is_signed_with_the_key_of_the_releases(backend: Backend) -> None:
    assert reason(backend.http.get(endpoints.POLICIES)) == (404, "no-policies")
    signer = load_signer(backend.home / "keys" / "release.key")
    write_atomically(backend.home / "policies" / "set.json", signer.sign(POLICIES, approved()).to_bytes())
    response = backend.http.get(endpoints.POLICIES)
    assert (response.status_code, response.headers["cache-control"]) == (200, "max-age=3600")
    assert verify_policies(signer.trusted, SignedPolicies.from_bytes(response.content)) == approved()
