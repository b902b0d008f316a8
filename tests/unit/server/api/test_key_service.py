"""A key service that does not answer: clear refusals, later on everything as it was."""

import pytest
from tests.fakes.caller import a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.errors import KeyServiceError
from projectone.storage.keyfiles import KeyFiles


def test_uploads_under_new_consents_wait_and_the_others_go_on(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    assert ada.put(a_clip(1), "before", name="one").status_code == 201

    def no_answer(self: KeyFiles, master_id: str, secret: bytes, *, context: bytes) -> bytes:
        raise KeyServiceError("AWS KMS is out of reach; nothing was lost, try again")

    with monkeypatch.context() as outage:
        outage.setattr(KeyFiles, "wrap", no_answer)
        refused = bob.put(a_clip(2), "of bob")
        assert reason(refused) == (503, "storage")
        assert int(refused.headers["retry-after"]) > 0
        assert ada.put(a_clip(3), "meanwhile", name="two").status_code == 201
        assert ada.withdraw().status_code == 200
    assert bob.put(a_clip(2), "of bob").status_code == 201
    assert [row.text for row in backend.catalog.usable()] == ["of bob"]
    assert len(backend.files()) == 1
