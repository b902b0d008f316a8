"""How long which kind of memory is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from projectone.errors import SettingsError

Kind = Literal["said", "asked", "noted"]
"""What was recorded; what was asked of the device; what a person wrote down on purpose."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DAY_S: Final = 86_400.0
_USUAL: Final[Mapping[Kind, int | None]] = {"said": 90, "asked": 30, "noted": None}
_MAX_DAYS: Final = 3650
_FOREVER: Final = "forever"


@dataclass(frozen=True)
class Retention:
    """Days for each kind, None for as long as nobody deletes it; 0 keeps none of it."""

    days: Mapping[Kind, int | None] = field(default_factory=lambda: dict(_USUAL))

    def __post_init__(self) -> None:
        for kind in KINDS:
            days = self.days.get(kind, 0)
            if days is not None and not 0 <= days <= _MAX_DAYS:
                raise SettingsError(f"retention of {kind!r}: expected 0 to {_MAX_DAYS} days, got {days}")

    @classmethod
    def parse(cls, text: str) -> Retention:
        """Read ``said=90 asked=30 noted=forever``; what is not named stays as usual.

        Raises:
            SettingsError: if it says something else.
        """
        days = dict(_USUAL)
        for part in text.replace(",", " ").split():
            name, _, number = part.partition("=")
            kind = next((kind for kind in KINDS if kind == name), None)
            if kind is None or not (number == _FOREVER or number.isdecimal()):
                raise SettingsError(f"retention: expected such as said=90 asked=30 noted={_FOREVER}, got {part!r:.40}")
            days[kind] = None if number == _FOREVER else int(number)
        return cls(days)

    def seconds(self, kind: Kind) -> float | None:
        """How long one of this kind is kept; None for ever."""
        days = self.days.get(kind, 0)
        return None if days is None else days * DAY_S

    def described(self) -> dict[str, int | None]:
        """Kind to days, for programs."""
        return {kind: self.days.get(kind, 0) for kind in KINDS}
