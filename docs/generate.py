"""Writes the pages made from the code: map, settings, schemas, OpenAPI. `make docs`; a test keeps them fresh."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import projectone
import projectone.contracts
from projectone.contracts.base import Contract
from projectone.device.settings import DeviceSettings
from projectone.server.api.app import openapi_document
from projectone.server.settings import ServerSettings

DOCS = Path(__file__).resolve().parent


def pages() -> dict[str, str]:
    """Every generated page: its path below docs/, and its text."""
    made = {f"contracts/{name}.schema.json": text for name, text in _schemas().items()}
    made["contracts/openapi.json"] = _json(openapi_document())
    made["settings.md"] = _settings()
    made["sbom.cdx.json"] = _json(bill_of_materials((DOCS.parent / "requirements.lock").read_text()))
    made["map.md"] = _map()
    return made


_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bill_of_materials(lock: str) -> dict[str, Any]:
    """What a lock has installed, as CycloneDX 1.6: each pin with the digests of the files that pip takes for it.

    Without a date and a serial number, so that the same lock gives the same bytes.
    """
    components: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if (pin := _PIN.match(line)) is not None:
            name, version, marker = pin.groups()
            purl = f"pkg:pypi/{name}@{version}"
            components.append(
                {"type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version, "hashes": []}
            )
            if marker is not None:
                components[-1]["properties"] = [{"name": "python:marker", "value": marker}]
        elif (digest := _HASH.search(line)) is not None:
            components[-1]["hashes"].append({"alg": "SHA-256", "content": digest[1]})
    whole = {"type": "application", "bom-ref": "projectone", "name": "projectone", "version": projectone.__version__}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": whole},
        "components": components,
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _schemas() -> dict[str, str]:
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(projectone.contracts.__path__):
        members = vars(importlib.import_module(f"projectone.contracts.{module.name}")).values()
        for member in members:
            if inspect.isclass(member) and issubclass(member, Contract) and member is not Contract:
                found[member.__name__] = _json(member.model_json_schema())
    return found


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "Read once, when a command starts, from the environment. Made by `make docs` from the code.",
    ]
    for title, kind in (("On the device", DeviceSettings), ("On the server", ServerSettings)):
        lines += ["", f"## {title}", "", "| variable | what it says | default |", "|---|---|---|"]
        for field in dataclasses.fields(kind):
            default = field.metadata.get("default", "" if field.default is dataclasses.MISSING else field.default)
            shown = f"`{default}`" if default not in ("", None) else "none"
            lines.append(f"| `{field.metadata['variable']}` | {field.metadata['help']} | {shown} |")
    return "\n".join(lines) + "\n"


def _map() -> str:
    source = DOCS.parent / "src" / "projectone"
    lines = [
        "# The map",
        "",
        "Every room and what each file in it is for, in the file's own first words. Made by `make docs` from the code;",
        "how the rooms work together is in [architecture.md](architecture.md), why it is so in [adr/](adr/README.md).",
    ]
    rooms = sorted(path.parent for path in source.rglob("__init__.py"))
    for room in rooms:
        title = room.relative_to(source.parent).as_posix()
        lines += ["", f"## {title}/", "", _first_line(room / "__init__.py"), ""]
        files = sorted(path for path in room.glob("*.py") if path.name != "__init__.py")
        lines += [f"- `{path.name}`: {_first_line(path)}" for path in files]
    return "\n".join(lines).rstrip() + "\n"


def _first_line(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text())) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def main() -> None:
    """Write the pages that changed, and remove schemas of contracts that are gone."""
    made = pages()
    for old in DOCS.glob("contracts/*.json"):
        if old.relative_to(DOCS).as_posix() not in made:
            old.unlink()
    for name, text in made.items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
