"""What a deployment needs from outside to hand a model out in more than one form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from projectone.contracts.scores import EvaluationReport, Verdict


@dataclass(frozen=True)
class TierModel:
    """A model as devices of one tier have it."""

    tier: str
    weights_sha256: str
    package_sha256: str


@dataclass(frozen=True, kw_only=True)
class TierPorts:
    """The outside of the tiers beside the default one.

    Attributes:
        names: The tiers to make.
        package: A model (by the digest of its weights) in the form of a tier, as one package; as `Ports.package`.
        score: What is in a package, over the golden set, with the numbers that its devices compute with.
        released: What the devices of a tier have now; None if they have the default tier's model.
        judge: The report of what they have, that of what they would get, and that of the same model in the default
            tier, to a verdict.
        drop: Removes a package that is not released, unless a release needs the same bytes.
    """

    names: Sequence[str]
    package: Callable[[str, str], dict[str, Any]]
    score: Callable[[TierModel], EvaluationReport]
    released: Callable[[str], TierModel | None]
    judge: Callable[[EvaluationReport, EvaluationReport, EvaluationReport], Verdict]
    drop: Callable[[str], None]
