"""Sentences to read aloud, for anybody who asks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.scripts import PromptScript, ScriptSheet, SignedScripts
from projectone.contracts.signatures import SCRIPTS, verify_scripts
from projectone.errors import SignatureError
from projectone.server.delivery.signing import load_signer
from projectone.storage.files import write_atomically

SHEET = ScriptSheet(
    language="en",
    made_at=datetime(2026, 11, 21, tzinfo=UTC),
    scripts=(PromptScript(script_id="own-001", text="Seven.", why="'seven' is misheard"),),
)


def test_before_anybody_chose_there_are_none(backend: Backend) -> None:
    assert reason(backend.http.get(endpoints.SCRIPTS)) == (404, "no-scripts")


def test_the_sheet_is_signed_with_the_key_of_the_releases(backend: Backend) -> None:
    signer = load_signer(backend.home / "keys" / "release.key")
    write_atomically(backend.home / "scripts" / "sheet.json", signer.sign(SCRIPTS, SHEET).to_bytes())
    response = backend.http.get(endpoints.SCRIPTS)
    assert (response.status_code, response.headers["cache-control"]) == (200, "max-age=3600")
    assert verify_scripts(signer.trusted, SignedScripts.from_bytes(response.content)) == SHEET


@pytest.mark.parametrize("field", ["sheet", "signature", "key_id"])
def test_a_changed_sheet_is_refused(field: str, backend: Backend) -> None:
    signer = load_signer(backend.home / "keys" / "release.key")
    signed = signer.sign(SCRIPTS, SHEET)
    other = signer.sign(SCRIPTS, SHEET.model_copy(update={"language": "de"}))
    changes = {"sheet": other.sheet, "signature": other.signature, "key_id": "0" * 16}
    with pytest.raises(SignatureError):
        verify_scripts(signer.trusted, signed.model_copy(update={field: changes[field]}))
