import pytest

from projectone.contracts.versions import ModelVersion


def test_versions_are_ordered_as_numbers() -> None:
    assert ModelVersion.parse("1.9.0") < ModelVersion.parse("v1.10.0")


def test_the_successor_is_the_next_minor_version() -> None:
    assert str(ModelVersion.parse("1.4.2").successor()) == "1.5.0"


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "1.2.x", "-1.0.0", "1.2.3\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected three numbers"):
        ModelVersion.parse(text)
