"""How a setting is declared, and how its value is read from a variable: what it may be is said in the error."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from projectone.errors import SettingsError

PREFIX = "PROJECTONE_SERVER_"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}

_MAX_STAGES = 16

T = TypeVar("T")
N = TypeVar("N", int, float)


def setting(
    variable: str,
    help_text: str,
    read: Callable[[str], Any] = str,
    *,
    default: Any = dataclasses.MISSING,  # noqa: ANN401 - as `dataclasses.field`
    shown: str | None = None,
    is_secret: bool = False,
) -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """A field that is read from `PROJECTONE_SERVER_<variable>`.

    Args:
        variable: Its name without the prefix.
        help_text: For docs/settings.md.
        read: The text to a value; raises ValueError with what was expected.
        default: As of `dataclasses.field`.
        shown: What docs/settings.md says of a default that depends on others.
        is_secret: Left out of `repr` and of errors.
    """
    metadata = {"variable": PREFIX + variable, "help": help_text, "read": read}
    if shown is not None:
        metadata["default"] = shown
    return dataclasses.field(default=default, repr=not is_secret, metadata=metadata)


def prices(text: str) -> tuple[float, float]:
    """Reads two prices: of a million tokens that a model reads, and that it writes."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?),(\d{1,9}(?:\.\d{1,6})?)", text.replace(" ", ""))
    if found is None:
        raise ValueError("expected two prices, such as 0.15,0.6")
    return float(found[1]), float(found[2])


def number(kind: Callable[[str], N], low: float, high: float) -> Callable[[str], N]:
    """Reads an `int` or a `float` from `low` to `high`."""

    def read(text: str) -> N:
        try:
            value = kind(text)
        except ValueError as error:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"expected {what} from {low:g} to {high:g}") from error
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g}")
        return value

    return read


def kinds_and_days(text: str) -> str:
    """Reads ``said=90 asked=30 noted=forever``, any part of it."""
    if not all(re.fullmatch(r"(said|asked|noted)=(\d{1,4}|forever)", part) for part in text.split()):
        raise ValueError("expected such as said=90 asked=30 noted=forever")
    return text


def one_of(*words: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return text

    return read


def webhook_secret(text: str) -> str:
    """A secret that nobody guesses by trying."""
    if not 16 <= len(text) <= 256:
        raise ValueError("expected 16 to 256 characters")
    return text


def names(text: str) -> tuple[str, ...]:
    """Reads names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def names_among(*words: str) -> Callable[[str], tuple[str, ...]]:
    """Reads some of these words with commas between them, each once."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        if not set(names) <= set(words) or len(set(names)) != len(names):
            raise ValueError(f"expected some of {', '.join(words)}, each once, with commas between them")
        return names

    return read


def address(text: str) -> str:
    """An address on the web, without the slash at its end."""
    if not text.startswith(("http://", "https://")):
        raise ValueError("expected an address such as https://speech.example.org")
    return text.rstrip("/")


def address_of_ray(text: str) -> str:
    """A cluster of Ray: this machine, the one that is found, or one by its address."""
    if text not in ("local", "auto") and not text.startswith("ray://"):
        raise ValueError("expected local, auto or ray://HOST:PORT")
    return text


def places_of_keys(text: str) -> str:
    """Where master keys may lie, behind commas."""
    if not all(_PLACE_OF_KEYS.fullmatch(place) for place in text.split(",")):
        raise ValueError("expected file, keyring or aws-kms:REGION, or several of them behind commas")
    return text


_PLACE_OF_KEYS = re.compile(r"file|keyring|aws-kms:[a-z0-9-]+(@https?://[^,\s]+)?")
port = number(int, 0, 65535)


def local_url(host: str, port: int) -> str:
    """Where a service that listens on `host` is reached from this machine."""
    return f"http://{_ANY_ADDRESS.get(host, host)}:{port}"


def read_key(path: Path) -> str:
    """The secret in a file that `init` made; empty before."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: could not be read: {error}") from error


def rollout_stages(text: str) -> tuple[tuple[int, timedelta], ...]:
    """Reads `percent:hours` with commas: buckets of ten thousand, each with the least time that it lasts."""
    stages: list[tuple[int, timedelta]] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,2})?)(?::(\d{1,4}(?:\.\d+)?))?\s*", part)
        buckets = round(float(found[1]) * 100) if found else -1
        if found is None or buckets > 10_000 or (stages and buckets <= stages[-1][0]):
            raise ValueError("expected rising percents with hours, such as 0:4,1:24,5:24,25:48,100")
        stages.append((buckets, timedelta(hours=float(found[2] or 0))))
    if stages[-1][0] != 10_000 or len(stages) > _MAX_STAGES:
        raise ValueError(f"expected at most {_MAX_STAGES} stages, the last one 100")
    return tuple(stages)
