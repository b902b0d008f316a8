"""What a release says about itself: signed by the server, checked by the device before anything is downloaded."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name, Sha256
from projectone.contracts.packages import PackagePath
from projectone.contracts.rollouts import RolloutPlan

Channel = Name

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


class ReleaseManifest(Contract):
    """Everything a device must know to trust one release. `seq` only ever rises; devices compare it alone.

    `min_seq` is the minimum version: what was released before it is retired. A device that has such a model takes the
    newest one whatever it thought of it before, and keeps none to go back to.

    A release has one manifest for each `tier`, the form in which a kind of device gets the model; they share `seq`.
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
    expires_at: Moment


class SignedManifest(Contract):
    """A manifest's exact bytes and an Ed25519 signature over them (both in base64)."""

    manifest: str
    key_id: Name
    signature: str


class LatestModelInfo(Contract):
    """The answer of `/latest-model-info`: a hint for people and old clients; `signed` is what a device believes."""

    version: str
    url: str
    sha256: Sha256
    size_bytes: int = Field(gt=0)
    seq: int = Field(ge=1)
    min_seq: int = Field(default=1, ge=1)
    channel: Channel
    expires_at: Moment
    signed: SignedManifest
