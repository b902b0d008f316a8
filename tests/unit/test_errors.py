"""Errors as programs read them."""

import pytest

from projectone import errors
from projectone.errors import error_document, is_json_asked


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (errors.SettingsError("no home"), {"kind": "settings", "message": "no home"}),
        (errors.DataError("silence", "clip 1"), {"kind": "data", "message": "clip 1", "reason": "silence"}),
        (errors.ExpiredReleaseError("old"), {"kind": "expired-release", "message": "old"}),
        (
            errors.RefusedError("no", status=403, reason="consent-missing"),
            {"kind": "refused", "message": "no", "reason": "consent-missing"},
        ),
        (KeyboardInterrupt(), {"kind": "interrupted", "message": "interrupted"}),
        (OSError(28, "full"), {"kind": "system", "message": "[Errno 28] full"}),
    ],
)
def test_an_error_says_its_family_its_words_and_its_code(error: BaseException, described: dict[str, str]) -> None:
    assert error_document(error) == {"error": described}


def test_json_is_asked_for_before_the_end_of_the_options() -> None:
    assert is_json_asked(["correct", "last", "one", "--json"])
    assert not is_json_asked(["correct", "last", "--", "--json"])
    assert not is_json_asked([])
