"""Pages that are made from the code say what the code says."""

import importlib.util
import re

import pytest
from tests.conftest import REPOSITORY

from projectone.server.cli import COMMANDS


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


def test_generated_pages_are_fresh() -> None:
    stale = [
        name
        for name, text in generated().items()
        if not (path := REPOSITORY / "docs" / name).is_file() or path.read_text() != text
    ]
    assert stale == [], "run `make docs`"


def test_the_readme_names_every_command() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert [name for name in COMMANDS if f"projectone-server {name}" not in readme] == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_map_names_every_room() -> None:
    text = (REPOSITORY / "docs" / "map.md").read_text()
    source = REPOSITORY / "src" / "projectone"
    rooms = [path for path in source.rglob("*") if path.is_dir() and (path / "__init__.py").is_file()]
    missing = [room.name for room in rooms if f"/{room.name}/" not in text]
    assert missing == []
    assert ": \n" not in text, "a module without a first line"


@pytest.mark.parametrize("adr", sorted(path.name for path in (REPOSITORY / "docs/adr").glob("0*.md")))
def test_every_decision_is_listed(adr: str) -> None:
    assert adr in (REPOSITORY / "docs/adr/README.md").read_text()
