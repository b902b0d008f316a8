"""What a store of vectors promises: it answers one owner exactly, forgets on time, and mixes nobody up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np

from projectone.errors import DataError

Vector = np.ndarray[Any, np.dtype[np.float32]]

NEVER: Final = 2**63 - 1
"""The microsecond at which that expires which has no expiry."""
MAX_HITS: Final = 1_000
_MAX_NAME: Final = 256
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, repr=False)
class Owner:
    """Whose vectors these are. No call goes without one, so that nobody can forget to ask for it.

    Two owners are the same if both names are, letter by letter. Nothing of the names reaches a store: see `key`.

    Args:
        tenant: The product or the organisation; not empty.
        user: The person; not empty. What belongs to nobody alone is `Owner.shared`.

    Raises:
        ValueError: if a name is empty, no text, or longer than 256 characters.
    """

    tenant: str
    user: str
    is_shared: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for name, value in (("tenant", self.tenant), ("user", self.user)):
            is_empty_allowed = name == "user" and self.is_shared
            if not isinstance(value, str) or len(value) > _MAX_NAME or bool(value) == is_empty_allowed:
                wanted = "no name for a shared set" if is_empty_allowed else f"1 to {_MAX_NAME} characters"
                raise ValueError(f"owner's {name}: expected {wanted}")  # what was given is nobody's business
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                raise ValueError(f"owner's {name}: expected text that UTF-8 can write")

    @classmethod
    def shared(cls, tenant: str) -> Owner:
        """The set that a tenant's people share: approved policies, not anybody's memories. It equals no person."""
        return cls(tenant, "", is_shared=True)

    @property
    def key(self) -> str:
        """64 hexadecimal digits that stand for this owner alone; safe in every query language.

        The lengths are part of what is hashed: ("ab", "c") is not ("a", "bc").
        """
        tenant, user = self.tenant.encode(), self.user.encode()
        head = f"projectone owner {int(self.is_shared)} {len(tenant)} {len(user)}\n".encode()
        return hashlib.sha256(head + tenant + user).hexdigest()

    def __repr__(self) -> str:
        return f"Owner({self.key[:8]})"


@dataclass(frozen=True, eq=False)
class Item:
    """A vector to keep. The text that it stands for lies elsewhere.

    Attributes:
        id: Its name among its owner's vectors; another owner may use the same.
        owner: Whose it is.
        vector: Where it lies, (width,); its length does not matter.
        expires_at: From when on it is found no more; None for never.
        kind: What sort of thing it stands for: a short word, never a person's text.
    """

    id: UUID
    owner: Owner
    vector: Vector
    expires_at: datetime | None
    kind: str


@dataclass(frozen=True)
class Hit:
    """A vector that was found.

    Attributes:
        id: As it was put.
        distance: One minus the cosine: 0 for the same direction, 1 at right angles, 2 for the opposite.
        kind: As it was put.
    """

    id: UUID
    distance: float
    kind: str


class VectorStore(Protocol):
    """Vectors by owner; the nearest are found exactly, never approximately.

    Time is what the caller says. What expired at a moment that any call has named is deleted then and there, for
    everybody, and does not come back when the clock goes back.
    """

    def put(self, items: Sequence[Item]) -> None:
        """Keep all of these, or none; an owner's vector with the same id is replaced.

        Raises:
            DataError: if a vector is zero or not finite.
            ValueError: if a width, a kind or an expiry is not as it must be.
            StorageError: if the store refused; nothing was acknowledged, and putting the same again is safe.
        """
        ...

    def nearest(self, query: Vector, owner: Owner, k: int, now: datetime) -> list[Hit]:
        """The owner's `k` nearest that have not expired, nearest first; fewer if there are fewer.

        Raises:
            DataError: if the query is zero or not finite.
            ValueError: if its width is another one, or `k` is not between 1 and `MAX_HITS`.
            StorageError: if the store did not answer.
        """
        ...

    def drop(self, ids: Sequence[UUID], owner: Owner) -> int:
        """Delete these of the owner; gives how many were there. Ids of others are not touched.

        Raises:
            StorageError: if the store refused.
        """
        ...

    def forget(self, owner: Owner) -> int:
        """Delete everything of the owner; gives how much it was.

        Raises:
            StorageError: if the store refused.
        """
        ...

    def sweep(self, now: datetime) -> int:
        """Delete what has expired, of everybody; gives how much it was.

        Raises:
            StorageError: if the store refused.
        """
        ...

    def count(self, owner: Owner) -> int:
        """How many vectors the owner has, those counted that expired and were not looked for yet.

        Raises:
            StorageError: if the store did not answer.
        """
        ...

    def close(self) -> None:
        """Let go of what the store opened itself."""
        ...


@dataclass(frozen=True, eq=False)
class Row:
    """An item as stores keep it: checked, of length one, its moment as a number."""

    owner: str
    id: UUID
    kind: str
    expires_us: int
    vector: Vector


def rows_of(items: Sequence[Item], width: int) -> list[Row]:
    """Items as rows; of two with the same owner and id the later one.

    Raises:
        DataError: if a vector is zero or not finite.
        ValueError: if a width, a kind or an expiry is not as it must be.
    """
    rows: dict[tuple[str, UUID], Row] = {}
    for item in items:
        if _KIND.fullmatch(item.kind) is None:
            raise ValueError("kind: expected a short word of a-z, 0-9, '_' and '-'")  # it may be somebody's text
        key = item.owner.key
        rows[key, item.id] = Row(key, item.id, item.kind, expiry_us(item.expires_at), direction(item.vector, width))
    return list(rows.values())


def direction(vector: Vector, width: int) -> Vector:
    """The vector made one long, (width,).

    Raises:
        DataError: if it is zero, so that it points nowhere, or not finite.
        ValueError: if its width is another one.
    """
    given = np.asarray(vector, np.float64)  # the square of a large float32 is no float32
    if given.shape != (width,):
        raise ValueError(f"vector: expected shape ({width},), got {given.shape}")
    if not np.isfinite(given).all():
        raise DataError("not-finite", "a vector holds NaN or infinity: the text cannot be kept or looked for")
    largest = np.abs(given).max()
    if not largest:
        raise DataError("no-direction", "a vector is all zeros: its text says nothing that could be compared")
    scaled = given / largest
    found: Vector = (scaled / np.sqrt(scaled @ scaled)).astype(np.float32)
    return found


def expiry_us(moment: datetime | None) -> int:
    """A moment in microseconds since 1970; `NEVER` for None.

    Raises:
        ValueError: if it has no time zone.
    """
    if moment is None:
        return NEVER
    if moment.tzinfo is None:
        raise ValueError("moment: expected one with a time zone")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def checked_k(k: int) -> int:
    """The number of hits that was asked for.

    Raises:
        ValueError: if it is not between 1 and `MAX_HITS`.
    """
    if not 1 <= k <= MAX_HITS:
        raise ValueError(f"k: expected 1 to {MAX_HITS}, got {k}")
    return k


def in_order(hits: Sequence[Hit]) -> list[Hit]:
    """Nearest first; what is equally far by id, so that the same question has the same answer."""
    return sorted(hits, key=lambda hit: (hit.distance, hit.id))
