"""Node 4, Deploy Model: to the Hub, into a package, into a signed release, and only then out of the waiting room.

Each step finds its own earlier work: the version is remembered, the commit carries the run's id, the package is named
by its digest, the release row is unique for the run. So a repeated node ends where a whole one does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from projectone.contracts.scores import Verdict
from projectone.contracts.versions import ModelVersion
from projectone.errors import StageError
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.evaluate import VERDICT
from projectone.server.pipeline.ingest import read_sealed
from projectone.server.pipeline.ports import Deployment, Ports
from projectone.server.pipeline.state import DEPLOYMENT, EVALUATION, TrainingGraphState
from projectone.server.pipeline.tiers import tier_packages
from projectone.server.pipeline.withdrawal import refuse_withdrawn

_APPROVED = "approved by a person"  # by whom stands in the server's rows: the verdict goes to the Hub with the model


def deploy(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Put the candidate into production.

    Raises:
        StageError: if production is no longer the model that the candidate was judged against, or nobody let it out.
        RegistryError: if the Hub did not take it.
        ConversionError: if the package is not the model that was judged.
        WithdrawnError: if a sample that the candidate learned from was withdrawn before the release.
    """
    run_id, model_sha256 = state["run_id"], state["new_model_path"]
    judged = ports.find_effect(run_id, EVALUATION, VERDICT)
    if judged is None or judged["candidate_sha256"] != model_sha256:
        raise StageError(f"deployment: expected a verdict on {model_sha256}, found none")
    verdict = Verdict.model_validate(judged["verdict"])
    if state.get("approval") == "approved":
        verdict = verdict.model_copy(update={"reasons": (_APPROVED, *verdict.reasons)})
    elif not verdict.is_new_model_better:
        raise StageError(f"deployment: the verdict is {verdict.decision!r}, and no person has approved it")
    # After a crash that came behind the release there is nothing left to hold back.
    if ports.production().weights_sha256 != model_sha256:
        refuse_withdrawn(run_id, ports)
    version = ports.once(
        run_id,
        DEPLOYMENT,
        "version",
        {"model": model_sha256},
        lambda: _next_version(ports, judged["production_sha256"], state.get("proposed_version")),
    )["version"]
    sealed = read_sealed(run_id, ports)
    if sealed is None and "proposed_version" not in state:
        raise StageError("deployment: expected the list of sealed samples in the run's folder, found none")
    deployment = Deployment(
        run_id=run_id,
        weights_sha256=model_sha256,
        base_sha256=state["base_model_version"],
        version=version,
        verdict=verdict,
        report=ports.score(model_sha256),
        production_report=ports.score(judged["production_sha256"]),
    )
    if sealed is not None:
        deployment = replace(
            deployment,
            dataset_sha256=state["processed_data_path"],
            n_clips=sealed.n_items,
            n_new_clips=len(sealed.new),
            audio_s=sealed.audio_s,
        )
    seq = hand_out(deployment, ports)
    ports.check()
    if sealed is not None:
        ports.mark(sealed.new, "used", None, run_id)
    ports.record(run_id, {"version": version})
    ports.notify(_announcement(deployment, seq, ports.rate))
    return {"deployment_status": f"deployed {version}"}


def hand_out(deployment: Deployment, ports: Ports) -> int:
    """Registry, packages, release, in that order; gives the release's number."""
    key = {"model": deployment.weights_sha256, "version": deployment.version}
    run_id = deployment.run_id
    registered = ports.once(run_id, DEPLOYMENT, "registry", key, lambda: ports.register(deployment))
    package = ports.once(run_id, DEPLOYMENT, "package", key, lambda: ports.package(deployment.weights_sha256))
    tiers = tier_packages(deployment, ports)
    ports.check()
    return ports.release(deployment, registered, {**package, "tiers": tiers})


def _next_version(ports: Ports, judged_sha256: str, proposed: str | None) -> dict[str, Any]:
    production = ports.production()
    if production.weights_sha256 != judged_sha256:
        raise StageError(
            f"deployment: the candidate was judged against {judged_sha256}, production is {production.weights_sha256}"
        )
    if production.version is None:
        return {"version": proposed or "1.0.0"}
    current = ModelVersion.parse(production.version)
    if proposed is not None and ModelVersion.parse(proposed) <= current:
        raise StageError(f"deployment: it was proposed as version {proposed}, and {current} is released by now")
    return {"version": proposed or str(current.successor())}


def _announcement(deployment: Deployment, seq: int, rate: str) -> Message:
    verdict, report = deployment.verdict, deployment.report
    taught = "" if deployment.dataset_sha256 is None else f", trained on {deployment.n_clips} samples"
    lines = [f"Version {deployment.version} is released (number {seq}){taught}."]
    if verdict is not None and report is not None:
        lines.append(
            f"Golden {rate} {report.wer.value:.1%}; better by {verdict.gain:.1%} "
            f"(95 %: {verdict.gain_low:.1%} to {verdict.gain_high:.1%})."
        )
    return Message(
        key=f"{deployment.run_id}-deployed",
        subject=f"Model {deployment.version} deployed",
        body="\n".join([*lines, f"Run {deployment.run_id}."]),
    )
