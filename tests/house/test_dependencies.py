"""What is installed is pinned, hashed, explained, and free of torch."""

import re
import tomllib

import pytest
from tests.conftest import REPOSITORY


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\;]+)", (REPOSITORY / name).read_text(), re.MULTILINE))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    written = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    project, groups = written["project"], written["dependency-groups"]
    extras = {**project["optional-dependencies"], **groups}
    lines = project["dependencies"] + [line for lines in extras.values() for line in lines]
    names = {normalised(re.split(r"[\[<>=;! ]", line, maxsplit=1)[0]) for line in lines}
    return names - {"projectone"}


@pytest.mark.parametrize(
    ("lock", "absent"),
    [
        ("requirements.lock", {"torch", "transformers"}),
        ("requirements-dev.lock", {"torch"}),  # mlx-lm asks transformers for its tokenisers
        ("requirements-audit.lock", {"torch", "pydantic"}),  # nothing of the project's
    ],
)
def test_the_main_locks_hold_no_torch_and_every_pin_has_a_hash(lock: str, absent: set[str]) -> None:
    assert absent & pins(lock).keys() == set()
    blocks = re.split(r"\n(?=[a-z0-9])", (REPOSITORY / lock).read_text())
    assert [block.split()[0] for block in blocks if "==" in block.split()[0] and "--hash=sha256:" not in block] == []


def test_both_locks_agree() -> None:
    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: version for name, version in run.items() if dev.get(name) != version} == {}


def test_no_lock_names_a_registry() -> None:
    for lock in REPOSITORY.glob("requirements*.lock"):
        assert not re.search(r"https?://|--index-url|--find-links", lock.read_text()), lock.name


def test_every_dependency_has_its_reason() -> None:
    explained = set(re.findall(r"^\| `([a-z0-9-]+)`", (REPOSITORY / "docs/dependencies.md").read_text(), re.MULTILINE))
    assert explained == declared()
