"""Owners, and what a row may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.assist.vectors.protocol import Owner, direction

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(NAMES, NAMES, NAMES, NAMES)
def test_two_owners_share_a_key_only_if_both_names_are_the_same(a: str, b: str, c: str, d: str) -> None:
    assert (Owner(a, b).key == Owner(c, d).key) == ((a, b) == (c, d))
    assert Owner(a, b).key not in (Owner.shared(a).key, Owner.shared(b).key)
    # Where one name ends is part of the key.
    assert Owner(a, b + c).key != Owner(a + b, c).key
    assert Owner(a, b) != Owner.shared(a)


@given(NAMES, NAMES)
def test_a_key_is_safe_in_every_query_language_and_tells_no_name(tenant: str, user: str) -> None:
    owner = Owner(tenant, user)
    assert len(owner.key) == 64
    assert set(owner.key) <= set("0123456789abcdef")
    assert repr(owner) == f"Owner({owner.key[:8]})"


@pytest.mark.parametrize("user", ["", None, 7, b"anna", "a" * 257, "\ud800"])
def test_an_absent_user_is_never_everybody(user: Any) -> None:
    with pytest.raises(ValueError, match="owner's user"):
        Owner("t", user)
    with pytest.raises(ValueError, match="owner's tenant"):
        Owner(user, "anna")
    with pytest.raises(ValueError, match="owner's tenant"):
        Owner.shared(user)
    with pytest.raises(ValueError, match="owner's user"):
        Owner("t", "anna", is_shared=True)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=4, max_size=4))
def test_a_direction_is_one_long_however_long_the_vector_was(numbers: list[float]) -> None:
    if any(numbers):
        assert np.linalg.norm(direction(np.array(numbers, np.float32), 4)) == pytest.approx(1, abs=1e-6)
