"""Releases a model as it is, without training: the base, or in place of a model that has to go one that may stay."""

from __future__ import annotations

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.contracts.versions import ModelVersion
from projectone.errors import EvaluationError
from projectone.server.corpus.recalls import Recall
from projectone.server.delivery.ledger import Release
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.deploy import hand_out
from projectone.server.pipeline.ports import Deployment
from projectone.server.pipeline.runner import WorkPermit
from projectone.server.work.run_ports import open_ports
from projectone.server.work.workshop import Workshop


def release_unchanged(
    workshop: Workshop,
    permit: WorkPermit,
    weights_sha256: str,
    version: ModelVersion,
    *,
    is_minimum: bool = False,
    verdict: Verdict | None = None,
    production_report: EvaluationReport | None = None,
) -> Release:
    """Score, register, package and release one model of the store; the same again changes nothing.

    Args:
        workshop: The rooms.
        permit: The lease it is done under.
        weights_sha256: The model.
        version: What it is called from now on.
        is_minimum: Whether everything released before it is retired.
        verdict: The gate's, for the model card, where it was asked.
        production_report: What it was held against.

    Raises:
        EvaluationError: if there is no golden set to score it on, or it cannot be used.
    """
    run_id = run_id_of(weights_sha256, version)
    report = workshop.score(weights_sha256, permit.pause_point)
    if report.defects:
        raise EvaluationError(f"model {weights_sha256[:12]} cannot be used: {report.defects[0].reason}")
    deployment = Deployment(
        run_id=run_id,
        weights_sha256=weights_sha256,
        base_sha256=workshop.base(),
        version=str(version),
        report=report,
        is_minimum=is_minimum,
        verdict=verdict,
        production_report=production_report,
    )
    hand_out(deployment, open_ports(workshop, permit))
    release = workshop.ledger.find(run_id)
    assert release is not None
    return release


def run_id_of(weights_sha256: str, version: ModelVersion) -> str:
    """The name under which a model is released without a run."""
    return f"publish-{version}-{weights_sha256[:16]}"


def retire(workshop: Workshop, permit: WorkPermit, recall: Recall) -> Release:
    """Put the newest model that may stay in place of a recalled one, the base if there is none, and tell a human.

    It becomes the minimum: devices that have a model of before take it, and forget theirs.

    Raises:
        EvaluationError: if there is no golden set to score it on.
    """
    clean = workshop.recalls.newest_clean(recall.manifest.channel)
    weights_sha256 = workshop.base() if clean is None else clean.weights_sha256
    version = ModelVersion.parse(recall.manifest.version).successor()
    release = release_unchanged(workshop, permit, weights_sha256, version, is_minimum=True)
    what = "the base" if clean is None else f"the model of version {clean.version}"
    message = Message(
        key=f"retired-{recall.release_run_id}",
        subject=f"Model {recall.manifest.version} is retired: a sample it had learned from was withdrawn",
        body=(
            f"No model trained without it took its place by {recall.replace_by:%Y-%m-%d %H:%M} UTC. Version {version} "
            f"is released instead; it is {what}, and devices keep no earlier one."
        ),
    )
    workshop.notify(message, permit)
    return release
