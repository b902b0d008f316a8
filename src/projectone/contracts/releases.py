"""What a release says about itself: signed by the server, checked by the device before anything is downloaded."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from projectone.contracts.base import Contract, Moment, Name, Sha256
from projectone.contracts.packages import PackagePath
from projectone.contracts.rollouts import RolloutPlan
from projectone.contracts.versions import DEFAULT_FAMILY, FAMILIES, Family

Channel = Name

Version = Annotated[str, StringConstraints(pattern=r"^v?[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")]
"""A version as people read it, such as ``1.4.0``: nothing else can be in it."""

_MOST = 1_000_000_000
"""More words, recordings or seconds than any release is made of; what is above it is no count."""

DEFAULT_TIER: Final = "float16"
"""What every release has: the model as it was trained and judged. Other tiers are made from it."""


class ReleaseFile(Contract):
    """One file of a package: where it lies inside, and what it must be."""

    path: PackagePath
    sha256: Sha256
    size_bytes: int = Field(ge=0)


class BasePackage(Contract):
    """The package of a base: the files of the release, but for the one that an update rebuilds from it."""

    sha256: Sha256
    size_bytes: int = Field(gt=0)


class ReleaseUpdate(Contract):
    """A short way to one file of a release, for a device that has what it begins at.

    Attributes:
        kind: The factors of an adapter, added to the fixed base of all releases; or a difference of weights.
        path: The file that it rebuilds; every other file of the release is one that such a device has already.
        base_sha256: Of the version that the device must have.
        sha256: Of the update itself; what it rebuilds must be what `files` says.
        size_bytes: Of the update itself.
        base_package: Where a device without the base gets it; whoever fetches that once needs updates alone from then
            on.
    """

    kind: Literal["adapter", "delta"] = "delta"
    path: PackagePath
    base_sha256: Sha256
    sha256: Sha256
    size_bytes: int = Field(gt=0)
    base_package: BasePackage | None = None


class ReleaseNotes(Contract):
    """What is new in a release, as figures: a client says them in its own words and its own language.

    Attributes:
        after: The version that it was compared with; None for the first, and for one that was compared with none.
        n_samples: What it learned from; 0 for a model that is released as it was.
        n_new_samples: Of these, what no released model had learned from.
        audio_s: Length of the recordings among them, in seconds.
        n_words: Words of the recordings that are kept for testing; of a classifier of intents, sentences.
        n_wrong: How many of these it gets wrong; words that nobody said count, too, so it may be more than `n_words`.
        n_wrong_before: How many the version before it gets wrong; there exactly where `after` is.
    """

    after: Version | None = None
    n_samples: int = Field(default=0, ge=0, le=_MOST)
    n_new_samples: int = Field(default=0, ge=0, le=_MOST)
    audio_s: float = Field(default=0.0, ge=0, le=_MOST)
    n_words: int = Field(gt=0, le=_MOST)
    n_wrong: int = Field(ge=0, le=_MOST)
    n_wrong_before: int | None = Field(default=None, ge=0, le=_MOST)

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if self.n_new_samples > self.n_samples:
            raise ValueError(f"n_new_samples: expected at most {self.n_samples}, got {self.n_new_samples}")
        if (self.after is None) != (self.n_wrong_before is None):
            raise ValueError("expected both after and n_wrong_before, or neither")
        return self


class ReleaseManifest(Contract):
    """Everything a device must know to trust one release. `seq` only ever rises; devices compare it alone.

    `min_seq` is the minimum version: what was released before it is retired. A device that has such a model takes the
    newest one whatever it thought of it before, and keeps none to go back to.

    A release has one manifest for each `tier`, the form in which a kind of device gets the model; they share `seq`.
    How long it is believed says the metadata that lists it; `expires_at` stands in manifests of before there was any.

    Devices refuse fields that they do not know, so none may be added here without a newer `min_runtime`. What came
    later is a document of its own, which a device of before never asks for: `ReleaseNotes` at `notes_path`.
    """

    schema_version: Literal[1] = 1
    channel: Channel
    tier: Name = DEFAULT_TIER
    seq: int = Field(ge=1)
    version: str
    repo_id: str
    commit: str
    base_sha256: Sha256
    weights_sha256: Sha256
    package_sha256: Sha256
    package_size_bytes: int = Field(gt=0)
    files: tuple[ReleaseFile, ...]
    updates: tuple[ReleaseUpdate, ...] = ()
    min_runtime: str = "0.1.0"
    min_seq: int = Field(default=1, ge=1)
    rollout: RolloutPlan | None = None
    created_at: Moment
    expires_at: Moment | None = None


class NotedRelease(ReleaseManifest):
    """A manifest and what is new in its release, as rows and disks keep both. It is sent in two documents.

    Where nothing is said, the field is not there: the bytes are those of the manifest.
    """

    notes: ReleaseNotes | None = Field(default=None, exclude_if=lambda notes: notes is None)

    @classmethod
    def of(cls, manifest: ReleaseManifest, notes: ReleaseNotes | None = None) -> NotedRelease:
        """A manifest with notes; one that has its own keeps them where none are given."""
        if notes is None and isinstance(manifest, NotedRelease):
            return manifest
        return cls.model_validate(_fields_of(manifest) | {"notes": notes})

    def listed(self) -> ReleaseManifest:
        """The manifest as it is listed, signed and read by every device."""
        return ReleaseManifest.model_validate(_fields_of(self))


def _fields_of(manifest: ReleaseManifest) -> dict[str, object]:
    return {name: getattr(manifest, name) for name in ReleaseManifest.model_fields}


class ReleaseOffer(Contract):
    """What the signed list says of a release, so that a device knows it before it fetches the manifest."""

    channel: Channel
    tier: Name
    seq: int = Field(ge=1)
    min_runtime: str

    @classmethod
    def of(cls, manifest: ReleaseManifest) -> ReleaseOffer:
        """What is to be listed of a release."""
        return cls(channel=manifest.channel, tier=manifest.tier, seq=manifest.seq, min_runtime=manifest.min_runtime)


def line_of(family: Family, channel: str) -> str:
    """The line on which a family's releases of a channel go out: a channel of its own, ``stable.intents``.

    Whatever is keyed by a channel (numbers, signed paths, rollouts, tickets, reports) is so keyed by the family, too.
    Speech has the channel itself, as it had before there was another family.

    Raises:
        ValueError: if the channel is the line of a family already.
    """
    if any(channel.endswith(f".{other}") for other in FAMILIES):
        raise ValueError(f"channel: expected a name that does not end with the name of a family, got {channel!r}")
    return channel if family == DEFAULT_FAMILY else f"{channel}.{family}"


def family_of(line: str) -> Family:
    """Whose releases go out on a line."""
    return next((family for family in FAMILIES if line.endswith(f".{family}")), DEFAULT_FAMILY)


def channel_of(line: str) -> str:
    """The channel that a line belongs to."""
    return line.removesuffix(f".{family_of(line)}")


def release_path(channel: str, tier: str) -> str:
    """Where the signed list has what is current for a kind of device."""
    return f"{channel}/{tier}/release.json"


def notes_path(channel: str, tier: str) -> str:
    """Where the signed list has what is new in that release; not there where nothing is said."""
    return f"{channel}/{tier}/notes.json"


def rollout_path(channel: str) -> str:
    """Where the signed list has how far a channel's release may go."""
    return f"{channel}/rollout.json"


class LatestModelInfo(Contract):
    """The answer of `/latest-model-info`: a hint for people and devices that there is something new, and no more.

    What a device believes is the signed metadata below `metadata_url`, which lists the release at `release_path` (for
    the default tier).
    """

    version: str
    url: str
    sha256: Sha256
    size_bytes: int = Field(gt=0)
    seq: int = Field(ge=1)
    min_seq: int = Field(default=1, ge=1)
    channel: Channel
    metadata_url: str
    release_path: str
