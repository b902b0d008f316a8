"""The common form of everything that crosses between the device and the server."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from projectone.errors import ContractError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest, 64 lower-case hexadecimal digits."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
"""A short identifier that is safe in a path, a URL and a log line."""


def is_name(text: str) -> bool:
    """Whether a `Name` can be made of it."""
    return re.fullmatch(_NAME, text) is not None


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""A point in time with its zone, kept in UTC."""


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Digests and signatures are taken over these bytes, so both sides must build the same ones.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_hex(content: bytes) -> str:
    """SHA-256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


_FIELD = re.compile(r"^(\w+): (.*)")


def _describe_fields(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """What the docstring says under "Attributes" stands with each field, where readers of a JSON Schema look.

    A field that is left out where it says nothing has no default there: by that others know not to write it.
    """
    for left_out in [name for name, field in kind.model_fields.items() if field.exclude_if is not None]:
        schema["properties"][left_out].pop("default", None)
    text, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:\n")
    schema["description"] = text
    name = ""
    for line in attributes.splitlines():
        begun = _FIELD.match(line.removeprefix("    "))
        if begun is not None and begun[1] in schema.get("properties", {}):
            name = begun[1]
            schema["properties"][name]["description"] = begun[2]
        elif name and line.strip():
            schema["properties"][name]["description"] += f" {line.strip()}"


class Contract(BaseModel):
    """A value that crosses a wire or a disk: frozen, strangers refused, one byte form."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, json_schema_extra=_describe_fields)

    def to_bytes(self) -> bytes:
        """Canonical JSON, the bytes that are digested and signed."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The value that `content` holds.

        Raises:
            ContractError: if it is not what this contract says.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise ContractError(f"{cls.__name__}: {where}: {first['msg']}") from error


def plain_json(content: bytes) -> object:
    """JSON in which no object has a name twice: of two, one reader believes the first and another the last.

    Raises:
        ValueError: if it is no such JSON.
    """

    def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name stands twice in one object")
        return made

    read: object = json.loads(content.decode(), object_pairs_hook=without_doubles)
    return read
