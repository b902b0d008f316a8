"""Lines for operators: fields from a list, and nothing else that a caller, a library or an error may have said.

Whoever logs may hand over what they like: what leaves is decided here, in one place. Addresses lose their end, devices
become pseudonyms whose key lives in this process for a day, and of an error its kind and our own lines are told, never
its message, which may hold what somebody said.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import logging
import re
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

REQUESTS: Final = "projectone.requests"
"""The logger that gets a record for every request; its fields are in `record.fields`."""

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})
_PLAIN = re.compile(r"[A-Za-z0-9_./{}:-]{1,120}")
# What libraries say word by word, without anything of a request in it.
_KNOWN_EVENTS = frozenset(
    {"Invalid HTTP request received.", "Exception in ASGI application\n", "Unsupported upgrade request.", "request"}
)
_KEY_LIFETIME_S: Final = 24 * 3600
_PSEUDONYM_DIGITS = 12
_OURS = "/projectone/"
_MAX_FRAMES = 5


class Pseudonyms:
    """Short names that are the same for the same value on one day, and say nothing about it."""

    def __init__(self, now_s: Callable[[], float] = lambda: datetime.now(UTC).timestamp()) -> None:
        self._now_s = now_s
        self._key, self._day = secrets.token_bytes(32), self._today()

    def of(self, value: str) -> str:
        """The name of a value today."""
        if self._today() != self._day:
            self._key, self._day = secrets.token_bytes(32), self._today()
        return hmac.new(self._key, value.encode(errors="replace"), hashlib.sha256).hexdigest()[:_PSEUDONYM_DIGITS]

    def _today(self) -> int:
        return int(self._now_s() // _KEY_LIFETIME_S)


def truncated(address: str) -> str:
    """The network of an address: 24 bits of IPv4, 48 of IPv6; of anything else, that it is something else."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "other"
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


class AllowlistFormatter(logging.Formatter):
    """One JSON object a line, with the fields of the list."""

    def __init__(self, pseudonyms: Pseudonyms | None = None) -> None:
        super().__init__()
        names = pseudonyms or Pseudonyms()
        self._fields: dict[str, Callable[[Any], str | int | float | None]] = {
            "method": lambda value: value if value in _METHODS else "other",
            "route": _plain,
            "status": _number,
            "duration_ms": _number,
            "address": lambda value: truncated(str(value)),
            "device": lambda value: names.of(str(value)) if value else None,
        }

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record; what is on no list is not in it."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": _plain(record.name),
            "event": record.msg.strip() if record.msg in _KNOWN_EVENTS else "message",
            "where": _plain(f"{record.module}:{record.lineno}"),
        }
        given: Mapping[str, Any] = getattr(record, "fields", {})
        line |= {name: clean(given[name]) for name, clean in self._fields.items() if name in given}
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error"] = _plain(record.exc_info[0].__name__)
            line["frames"] = our_frames(record.exc_info[2])
        return json.dumps({name: value for name, value in line.items() if value is not None})


def our_frames(trace: TracebackType | None) -> list[str]:
    """Where in our own code an error went through, the innermost last."""
    found = [(frame.filename.replace("\\", "/"), frame.lineno) for frame in traceback.extract_tb(trace)]
    return [f"{name.rpartition(_OURS)[2]}:{number}" for name, number in found if _OURS in name][-_MAX_FRAMES:]


@contextmanager
def logging_to(stream: TextIO, *, has_requests: bool, formatter: logging.Formatter | None = None) -> Iterator[None]:
    """Send what this process logs to a stream, through the list.

    Args:
        stream: Where to.
        has_requests: Whether every request is told, or those alone that failed by our fault.
        formatter: Instead of an `AllowlistFormatter`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter or AllowlistFormatter())
    root, requests = logging.getLogger(), logging.getLogger(REQUESTS)
    before = (root.level, requests.level)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    requests.setLevel(logging.INFO if has_requests else logging.ERROR)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        requests.setLevel(before[1])


def _plain(value: object) -> str | None:
    """A word as it is; of anything that could be a sentence, nothing."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else None


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) else None
