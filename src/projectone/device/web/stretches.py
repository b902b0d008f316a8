"""A long list, thirty at a time: one page of it, and the way to what is before and after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from projectone.errors import DataError

ON_A_PAGE: Final = 30

Item = TypeVar("Item")


@dataclass(frozen=True)
class Stretch(Generic[Item]):
    """One page of a list, the newest first; and what is before and after it.

    Attributes:
        items: Of this page.
        first: The number of the first of them, from 1 on.
        n: How many there are on all pages; None where that was not counted.
        has_earlier: Whether there is a page of older ones.
        path: Of the page that shows them.
        find: What they were found by, as an address has it.
    """

    items: Sequence[Item]
    first: int
    n: int | None
    has_earlier: bool
    path: str
    find: Mapping[str, str] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The number of the last one of this page."""
        return self.first + len(self.items) - 1

    @property
    def earlier(self) -> str | None:
        """Where the page of older ones begins."""
        return self._address(self.last) if self.has_earlier else None

    @property
    def later(self) -> str | None:
        """Where the page of newer ones begins."""
        return self._address(max(0, self.first - 1 - ON_A_PAGE)) if self.first > 1 else None

    @property
    def is_all(self) -> bool:
        """Whether there is no other page."""
        return self.first == 1 and not self.has_earlier

    def _address(self, skip: int) -> str:
        kept = {name: value for name, value in self.find.items() if value} | ({"skip": skip} if skip else {})
        return f"{self.path}?{urlencode(kept)}" if kept else self.path


def stretch_of(
    find: Callable[[int, int], Sequence[Item]], skip: int, *, path: str, n: int | None, by: Mapping[str, str]
) -> Stretch[Item]:
    """The page that leaves out so many of the newest; the last one if there are not so many, or the first.

    Args:
        find: So many at most, without so many of the newest.
        skip: How many to leave out.
        path: Of the page that shows them.
        n: How many there are, if that is known.
        by: What they are found by, as an address has it.
    """
    # One more than is shown tells whether there are more.
    found = find(ON_A_PAGE + 1, skip)
    if skip and not found:
        last = 0 if n is None else max(0, n - 1) // ON_A_PAGE * ON_A_PAGE
        return stretch_of(find, last if last < skip else 0, path=path, n=n, by=by)
    return Stretch(found[:ON_A_PAGE], skip + 1, n, len(found) > ON_A_PAGE, path, by)


def skip_of(request: Request) -> int:
    """How many of the newest an address leaves out.

    Raises:
        DataError: if it does not say a number.
    """
    asked = request.query_params.get("skip", "0")
    if re.fullmatch("[0-9]{1,9}", asked) is None:
        raise DataError("bad-request", f"skip: expected how many to leave out, got {asked[:40]!r}")
    return int(asked)
