"""What a person may set, read once at the door."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from projectone.assist.memory.retention import Retention
from projectone.contracts.base import is_name
from projectone.contracts.releases import DEFAULT_TIER, line_of
from projectone.contracts.versions import DEFAULT_FAMILY
from projectone.errors import SettingsError

_TIERS_BY_MEMORY = (("int4", 2_000_000_000), ("int8", 4_000_000_000))
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, kw_only=True)
class DeviceSettings:
    """Everything that `wiring` needs to put a `DeviceClient` together."""

    home: Path = field(
        metadata={
            "variable": "PROJECTONE_HOME",
            "help": "Folder for recordings, models, keys and what waits to be sent",
            "default": "~/.local/share/projectone; ~/Library/Application Support/ProjectOne on macOS",
        }
    )
    server: str | None = field(
        default=None,
        metadata={
            "variable": "PROJECTONE_SERVER",
            "help": "Address of your server, such as https://speech.example.org",
        },
    )
    enrolment_code: str = field(
        default="",
        repr=False,
        metadata={
            "variable": "PROJECTONE_ENROLMENT_CODE",
            "help": "The code that the server's `init` printed; needed at the first sync",
        },
    )
    release_keys: tuple[str, ...] = field(
        default=(),
        metadata={
            "variable": "PROJECTONE_RELEASE_KEY",
            "help": "Public key (base64) of the server: for receipts and the sentences to read; several with commas",
            "default": "",
        },
    )
    release_root: bytes = field(
        default=b"",
        repr=False,
        metadata={
            "variable": "PROJECTONE_RELEASE_ROOT",
            "help": "The server's first root: the file that its `init` names, or that file in base64. Only models that "
            "it vouches for are installed",
            "default": "",
        },
    )
    channel: str = field(
        default="stable", metadata={"variable": "PROJECTONE_CHANNEL", "help": "Release channel to follow"}
    )
    tier: str = field(
        default=DEFAULT_TIER,
        metadata={
            "variable": "PROJECTONE_TIER",
            "help": "Form of the model to install: `float16`, `int8` or `int4` (smaller; where a server has no such "
            "release, `float16`), or `auto`: `int4` with less than 2 GB of memory, `int8` with less than 4",
        },
    )
    language: str = field(
        default="en", metadata={"variable": "PROJECTONE_LANGUAGE", "help": "Language that is spoken, a two-letter code"}
    )
    numerics: Literal["float32", "int8"] = field(
        default="float32",
        metadata={
            "variable": "PROJECTONE_NUMERICS",
            "help": "`float32` or `int8`: what the model computes in; the latter is faster on a CPU (extra `int8`)",
        },
    )

    model_budget_bytes: int | None = field(
        default=None,
        metadata={
            "variable": "PROJECTONE_MODEL_BUDGET_MB",
            "help": "How many MB models may take on this disk, with their bases and what is on its way; an update that "
            "would take more is refused before it is fetched",
            "default": "no limit",
        },
    )
    memory_keep: Retention = field(
        default_factory=Retention,
        metadata={
            "variable": "PROJECTONE_MEMORY_KEEP",
            "help": "How many days what is remembered is kept, if memory is on: what was said, asked and noted, each a "
            "number of days or `forever`; `0` keeps none of it",
            "default": "said=90 asked=30 noted=forever",
        },
    )
    safety_model: Path | None = field(
        default=None,
        metadata={
            "variable": "PROJECTONE_SAFETY_MODEL",
            "help": "Folder of a safety classifier (docs/assist.md): what a person asks and what a model "
            "answers is read by it first, on this device",
        },
    )
    answers_url: str | None = field(
        default=None,
        metadata={
            "variable": "PROJECTONE_ANSWERS_URL",
            "help": "Server with an OpenAI-compatible API that may answer questions, such as https://host/v1; it is "
            "asked only after `projectone consent grant hosted_answers`",
        },
    )
    answers_model: str = field(
        default="", metadata={"variable": "PROJECTONE_ANSWERS_MODEL", "help": "Name of the model on that server"}
    )
    answers_key: str = field(
        default="",
        metadata={
            "variable": "PROJECTONE_ANSWERS_KEY",
            "help": "File with that server's key, which nobody else may read; or `keyring`: the entry of the service "
            "`projectone-answers` and the server's host",
        },
    )
    answers_local_model: Path | None = field(
        default=None,
        metadata={
            "variable": "PROJECTONE_ANSWERS_LOCAL_MODEL",
            "help": "Folder of a language model for mlx-lm (extra `local-answers`): asked first, and nothing leaves",
        },
    )
    answers_prices: tuple[float, float] = field(
        default=(0.0, 0.0),
        metadata={
            "variable": "PROJECTONE_ANSWERS_PRICES",
            "help": "What that server takes for a million tokens read and a million written, such as `0.15,0.6`",
            "default": "0,0",
        },
    )
    answers_budget_micros: int | None = field(
        default=None,
        metadata={
            "variable": "PROJECTONE_ANSWERS_BUDGET",
            "help": "What may be spent on that server in a day, in the currency of the prices, such as `0.5`",
            "default": "no limit",
        },
    )
    answers_deadline_s: float = field(
        default=3.0,
        metadata={
            "variable": "PROJECTONE_ANSWERS_DEADLINE_S",
            "help": "How many seconds an answer may take, before the words of a template take its place",
        },
    )
    update_hours: tuple[int, int] = field(
        default=(1, 6),
        metadata={
            "variable": "PROJECTONE_UPDATE_HOURS",
            "help": "From which hour to which a new model is tried on a system that does not say whether it is in use "
            "or charging; `0-0` for the whole day",
            "default": "1-6",
        },
    )

    def __post_init__(self) -> None:
        if self.server is not None:
            _check_server(self.server)
        if not is_name(self.channel):
            raise SettingsError(
                f"PROJECTONE_CHANNEL: expected the name of a channel, such as stable, got {self.channel!r}"
            )
        try:
            line_of(DEFAULT_FAMILY, self.channel)
        except ValueError as error:
            raise SettingsError(f"PROJECTONE_CHANNEL: {error}") from error
        if re.fullmatch("[a-z]{2,3}", self.language) is None:
            raise SettingsError(
                f"PROJECTONE_LANGUAGE: expected a code of two or three letters, such as en, got {self.language!r}"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> DeviceSettings:
        """Read the `PROJECTONE_*` variables.

        Raises:
            SettingsError: if one of them makes no sense.
        """
        return cls(
            home=_home(environ),
            server=environ.get("PROJECTONE_SERVER", "").rstrip("/") or None,
            enrolment_code=environ.get("PROJECTONE_ENROLMENT_CODE", ""),
            release_keys=tuple(
                key.strip() for key in environ.get("PROJECTONE_RELEASE_KEY", "").split(",") if key.strip()
            ),
            release_root=_root(environ.get("PROJECTONE_RELEASE_ROOT", "").strip()),
            channel=environ.get("PROJECTONE_CHANNEL", "") or "stable",
            tier=_tier(environ.get("PROJECTONE_TIER", "") or DEFAULT_TIER),
            language=environ.get("PROJECTONE_LANGUAGE", "") or "en",
            numerics=_numerics(environ.get("PROJECTONE_NUMERICS", "") or "float32"),
            model_budget_bytes=_budget_bytes(environ.get("PROJECTONE_MODEL_BUDGET_MB", "")),
            memory_keep=Retention.parse(environ.get("PROJECTONE_MEMORY_KEEP", "")),
            answers_url=environ.get("PROJECTONE_ANSWERS_URL", "").rstrip("/") or None,
            answers_model=environ.get("PROJECTONE_ANSWERS_MODEL", ""),
            answers_key=environ.get("PROJECTONE_ANSWERS_KEY", ""),
            answers_local_model=_folder(environ.get("PROJECTONE_ANSWERS_LOCAL_MODEL", "")),
            safety_model=_folder(environ.get("PROJECTONE_SAFETY_MODEL", "")),
            answers_prices=_prices(environ.get("PROJECTONE_ANSWERS_PRICES", "") or "0,0"),
            answers_budget_micros=_budget_micros(environ.get("PROJECTONE_ANSWERS_BUDGET", "")),
            answers_deadline_s=_seconds(environ.get("PROJECTONE_ANSWERS_DEADLINE_S", "") or "3"),
            update_hours=_hours(environ.get("PROJECTONE_UPDATE_HOURS", "") or "1-6"),
        )


def _tier(name: str) -> str:
    if name == "auto":
        return tier_for(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if name not in (DEFAULT_TIER, "int8", "int4"):
        raise SettingsError(f"PROJECTONE_TIER: expected float16, int8, int4 or auto, got {name!r}")
    return name


def tier_for(memory_bytes: int) -> str:
    """The form of the model that a machine with so much memory takes by itself."""
    return next((tier for tier, below_bytes in _TIERS_BY_MEMORY if memory_bytes < below_bytes), DEFAULT_TIER)


def _numerics(name: str) -> Literal["float32", "int8"]:
    if name == "float32":
        return "float32"
    if name == "int8":
        return "int8"
    raise SettingsError(f"PROJECTONE_NUMERICS: expected float32 or int8, got {name!r}")


def _budget_bytes(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"PROJECTONE_MODEL_BUDGET_MB: expected a number of megabytes, such as 900, got {text!r}")
    return int(text) * 1_000_000


def _folder(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _prices(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", text.replace(" ", ""))
    if found is None:
        raise SettingsError(f"PROJECTONE_ANSWERS_PRICES: expected two prices, such as 0.15,0.6, got {text!r}")
    return float(found[1]), float(found[2])


def _budget_micros(text: str) -> int | None:
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text) is None:
        raise SettingsError(f"PROJECTONE_ANSWERS_BUDGET: expected an amount, such as 0.5, got {text!r}")
    return round(float(text) * 1_000_000)


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text) is None or not 0 < float(text) <= 600:
        raise SettingsError(f"PROJECTONE_ANSWERS_DEADLINE_S: expected seconds, such as 3 or 0.8, got {text!r}")
    return float(text)


def _hours(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 23:
        raise SettingsError(f"PROJECTONE_UPDATE_HOURS: expected two hours, such as 1-6 or 22-5, got {text!r}")
    return int(found[1]), int(found[2])


def _root(text: str) -> bytes:
    """A file's content, or what the text holds itself."""
    if not text:
        return b""
    try:
        return Path(text).expanduser().read_bytes()
    except OSError as error:  # a text of this length is no name of a file either
        problem = error.strerror
    with contextlib.suppress(ValueError):
        if (content := base64.b64decode(text, validate=True)).startswith(b"{"):
            return content
    raise SettingsError(
        "PROJECTONE_RELEASE_ROOT: expected the file that the server's `init` names, or that file in base64, "
        f"got {text[:60]!r}: {problem}"
    )


def _home(environ: Mapping[str, str]) -> Path:
    if environ.get("PROJECTONE_HOME"):
        return Path(environ["PROJECTONE_HOME"]).expanduser().absolute()
    user = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "ProjectOne"
    data = environ.get("XDG_DATA_HOME")
    return (Path(data) if data else user / ".local" / "share") / "projectone"


def _check_server(address: str) -> None:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or parts.path or parts.query or parts.username:
        raise SettingsError(f"PROJECTONE_SERVER: expected an address such as https://host:port, got {address!r}")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise SettingsError(
            f"PROJECTONE_SERVER: expected https, got {address!r}: only this machine itself may be reached in the clear"
        )
