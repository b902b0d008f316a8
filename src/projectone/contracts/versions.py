"""Names of models: a version people read, and a reference that pins bytes."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Final, Literal, Self

from pydantic import Field

from projectone.contracts.base import Contract, Sha256

Family = Literal["speech", "intents", "safety"]
"""What a model is for: to write down what is said, to say what was meant, or to warn of what does harm."""

FAMILIES: Final[tuple[Family, ...]] = ("speech", "intents", "safety")

DEFAULT_FAMILY: Final[Family] = "speech"
"""What a record means that names no family: all of them did before there was a second one."""

_PATTERN = re.compile(r"^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})\Z")


@total_ordering
class ModelVersion(Contract):
    """A model's version for people. Devices compare the release's `seq`, never this."""

    major: int = Field(ge=0)
    minor: int = Field(ge=0)
    patch: int = Field(ge=0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The version in `text`, such as ``"1.4.0"`` or ``"v1.4.0"``.

        Raises:
            ValueError: if it is not three numbers with dots.
        """
        match = _PATTERN.match(text)
        if match is None:
            raise ValueError(f"model version: expected three numbers such as '1.4.0', got {text!r}")
        major, minor, patch = (int(part) for part in match.groups())
        return cls(major=major, minor=minor, patch=patch)

    def successor(self) -> ModelVersion:
        """The next version trained from the same base."""
        return ModelVersion(major=self.major, minor=self.minor + 1, patch=0)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def __lt__(self, other: ModelVersion) -> bool:
        return (self.major, self.minor, self.patch) < (other.major, other.minor, other.patch)


class ModelRef(Contract):
    """One model in the registry, pinned: the tag is for people, the commit and the digest are what is believed."""

    repo_id: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    version: str
    weights_sha256: Sha256
