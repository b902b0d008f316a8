"""What the demo says of the classifiers that its people have."""

from __future__ import annotations

import pytest

from projectone.demo.meanings import version_of_all


@pytest.mark.parametrize(
    ("versions", "told"), [(["1.1.0", "1.1.0"], "1.1.0"), (["1.1.0", "1.0.0"], "1.0.0"), (["1.10.0", "1.9.0"], "1.9.0")]
)
def test_whoever_stayed_behind_is_not_passed_over(versions: list[str], told: str) -> None:
    assert version_of_all(versions) == told
