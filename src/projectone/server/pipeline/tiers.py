"""A release in more than one form: each is packed, scored as its devices will compute, and judged on its own.

A form that fails is left out, and a person told; its devices keep the model that they have. The default tier is not
judged here: no release exists without it, and `evaluate` judges its numbers.
"""

from __future__ import annotations

from typing import Any

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import ArtifactError, ConversionError, EvaluationError
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.ports import Deployment, Ports
from projectone.server.pipeline.state import DEPLOYMENT
from projectone.server.pipeline.tier_ports import TierModel, TierPorts

MOST_LOST = 0.02
"""Word error (a fraction) that fewer bits may cost at most, at the unkind end of the 95 % interval."""


def effect_of(tier: str) -> str:
    """The name under which a run remembers what became of a tier."""
    return f"tier-{tier}"


def tier_packages(deployment: Deployment, ports: Ports) -> dict[str, dict[str, Any]]:
    """The packages of the tiers that may go out, by tier; each is made and judged once in a run.

    Raises:
        EvaluationError: if a judgement could not be made at all.
    """
    tiers = ports.tiers
    if tiers is None:
        return {}
    packages: dict[str, dict[str, Any]] = {}
    for tier in tiers.names:
        ports.check()
        key = {"model": deployment.weights_sha256, "version": deployment.version, "tier": tier}

        def act(tier: str = tier, tiers: TierPorts = tiers) -> dict[str, Any]:
            return _made_and_judged(tier, deployment, ports, tiers)

        made = ports.once(deployment.run_id, DEPLOYMENT, effect_of(tier), key, act)
        if made["objections"]:
            ports.notify(_left_out(tier, made["objections"], deployment))
        else:
            packages[tier] = made["package"]
    return packages


def _made_and_judged(tier: str, deployment: Deployment, ports: Ports, tiers: TierPorts) -> dict[str, Any]:
    try:
        package = tiers.package(deployment.weights_sha256, tier)
    except (ConversionError, ArtifactError) as error:  # of this form alone: the model itself was loaded and judged
        return {"package": None, "verdict": None, "objections": [f"it could not be made: {error}"]}
    candidate = TierModel(tier, deployment.weights_sha256, package["sha256"])
    own = deployment.report
    if own is None:
        raise EvaluationError(f"model {deployment.weights_sha256}: expected its scores, to compare tiers with")
    try:
        report = tiers.score(candidate)
    except (ConversionError, ArtifactError) as error:
        tiers.drop(candidate.package_sha256)
        return {"package": None, "verdict": None, "objections": [f"what is in its package cannot be used: {error}"]}
    verdict = tiers.judge(_before(tier, deployment, tiers, own), report, own)
    cost = ports.judge(own, report)
    objections = [*_damages(cost), *_doubts(verdict, deployment, ports)]
    if objections:
        tiers.drop(candidate.package_sha256)
    return {
        "package": None if objections else package,
        "wer": report.wer.value,
        "verdict": verdict.model_dump(mode="json"),
        "cost": cost.model_dump(mode="json"),
        "objections": objections,
    }


def _before(tier: str, deployment: Deployment, tiers: TierPorts, own: EvaluationReport) -> EvaluationReport:
    """The report of what the devices of this tier have now. A model that nobody judged is compared with itself."""
    if deployment.verdict is None:
        return own
    released = tiers.released(tier)
    if released is not None:
        return tiers.score(released)
    return deployment.production_report or own


def _damages(cost: Verdict) -> list[str]:
    """What fewer bits do to this model, whatever its devices had before."""
    if cost.decision == "reject":
        return [f"fewer bits damage it: {'; '.join(cost.reasons)}"]
    if cost.gain_low < -MOST_LOST:
        return [f"fewer bits may cost {-cost.gain_low:.1%} of its words, allowed are {MOST_LOST:.0%}"]
    return []


def _doubts(verdict: Verdict, deployment: Deployment, ports: Ports) -> list[str]:
    """Why the verdict does not let this tier out, if it does not."""
    judged = deployment.verdict
    # Where a person, a withdrawal or the operator has let the model itself out unproven, its tiers need no more.
    may_be_unproven = judged is None or judged.decision == "hold" or ports.is_replacing(deployment.run_id)
    if verdict.decision == "promote" or (verdict.decision == "hold" and may_be_unproven):
        return []
    return [f"{verdict.decision}: {'; '.join(verdict.reasons)}"]


def _left_out(tier: str, objections: list[str], deployment: Deployment) -> Message:
    return Message(
        key=f"{deployment.run_id}-tier-{tier}",
        subject=f"Model {deployment.version}: the tier {tier} is not released",
        body="\n".join(
            (
                f"Its package did not pass the gate: {'; '.join(objections)}.",
                f"Devices of this tier keep the model that they have. The other tiers of {deployment.version} go out.",
                f"Run {deployment.run_id}.",
            )
        ),
    )
