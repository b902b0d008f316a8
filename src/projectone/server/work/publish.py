"""`projectone-server publish`: put a model into production without training, such as the base as version 1.0.0."""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import Mapping
from threading import Event
from typing import Any

from projectone.assist.classifiers import load_classifier
from projectone.assist.safety import load_safety
from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.contracts.versions import DEFAULT_FAMILY, ModelVersion
from projectone.errors import SettingsError
from projectone.server.delivery.ledger import Release
from projectone.server.pipeline.runner import WorkPermit
from projectone.server.settings import ServerSettings
from projectone.server.work.families import add_family, settings_of
from projectone.server.work.references import resolve_model
from projectone.server.work.run_ports import is_asked, open_trainer
from projectone.server.work.safety_verdicts import judge_safety
from projectone.server.work.unchanged import release_unchanged, run_id_of
from projectone.server.work.worker import LEASE_TTL_S
from projectone.server.work.workshop import Workshop

SUMMARY = (
    "Score a model on the golden set, register it on the Hub, package it and release it to devices. A safety "
    "classifier has to pass the gate first: exit code 1 if it does not; one that the gate holds waits for a person."
)
EXAMPLES = """\
  projectone-server publish --model starter --version 1.0.0
  projectone-server publish --family intents --model out/intents --version 1.0.0      what `assist train --bits 8` wrote
  projectone-server publish --family safety --model out/safety --version 1.1.0        ... with --alarm; the gate judges
  projectone-server publish --model openai/whisper-tiny --version 1.0.0 --json"""

EXIT_REFUSED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_family(parser)
    parser.add_argument("--model", required=True, help="a folder, `starter`, or owner/name[@revision] on the Hub")
    parser.add_argument("--version", required=True, help="three numbers, higher than the version in production")
    parser.add_argument("--json", action="store_true", help="print one JSON object with the release")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Publish; the same model and version again changes nothing. Exit code 1 if the gate refused it."""
    settings = settings_of(arguments, settings)
    version = _parse_version(arguments.version)
    workshop = Workshop(settings)
    try:
        trainer = open_trainer(workshop, Event())
        with trainer.permit(f"publish/{socket.gethostname()}/{os.getpid()}", ttl_s=LEASE_TTL_S) as permit:
            release = publish(workshop, permit, arguments.model, version)
        workshop.rollout.look()
    finally:
        workshop.close()
    if arguments.json:
        print(json.dumps(release))
    elif release["seq"] is None:
        print(why_unreleased(release))
    else:
        forms = "" if not settings.tiers else f" as {', '.join(release['tiers'])}"
        print(f"version {release['version']} is released on {settings.channel!r} (number {release['seq']}){forms}")
    return 0 if release["seq"] is not None else EXIT_REFUSED


def why_unreleased(told: Mapping[str, Any]) -> str:
    """Why nothing went out, and what a person can do now."""
    run_id, verdict = told.get("run_id"), told["verdict"] or {"decision": None, "reasons": []}
    decision = verdict["decision"]
    first = f"version {told['version']} is not released: the gate says {decision!r}"
    reasons = [f"  {reason}" for reason in verdict["reasons"]]
    if run_id is not None and told["state"] != "waiting":
        first = f"version {told['version']} is not released: run {run_id} ended as {told['state']!r}, {told['reason']}"
        then = [f"  Read:    projectone-server work report {run_id} --out report.html", "Then publish it again."]
    elif run_id is not None:
        then = [
            "A person decides now, as about a trained model:",
            f"  Read:    projectone-server work report {run_id} --out report.html",
            f"  Approve: projectone-server work approve {run_id} --by NAME    the worker then releases it",
            f"  Veto:    projectone-server work veto {run_id} --by NAME --note WHY",
        ]
    elif decision == "hold":
        then = ["Nobody is asked (PROJECTONE_SERVER_APPROVAL=never). A golden set with more texts shows more."]
    else:
        then = [
            "What is refused nobody can approve: teach another one, or leave a question out of the gate by its name."
        ]
    return "\n".join([first, *reasons, *then])


def publish(workshop: Workshop, permit: WorkPermit, reference: str, version: ModelVersion) -> dict[str, Any]:
    """Release one model as it is; `seq` is None where the gate refused it, or leaves it to a person.

    Raises:
        SettingsError: if production has that version or a later one.
        ArtifactError: if the folder holds no whole model.
        EvaluationError: if there is no golden set to score it on.
    """
    folder = resolve_model(reference, workshop.settings)
    if workshop.settings.family != DEFAULT_FAMILY:  # a copy goes by its weights alone: what lies beside must be theirs
        load_classifier(folder)
    if workshop.settings.family == "safety":
        load_safety(folder)
    weights_sha256 = workshop.models.keep_copy(folder)
    production = workshop.production()
    known = _find(workshop, weights_sha256, version)
    is_new = known is None and workshop.ledger.find(run_id_of(weights_sha256, version)) is None
    if is_new and production.version is not None:
        current = ModelVersion.parse(production.version)
        if version <= current:
            raise SettingsError(f"version: expected one after {current}, which is in production, got {version}")
    before, verdict = _judged(workshop, permit, weights_sha256) if is_new else (None, None)
    if verdict is not None and is_asked(verdict.decision, workshop.settings):
        return _ask(workshop, permit, weights_sha256, version)
    if verdict is not None and not verdict.is_new_model_better:
        return {"version": str(version), "seq": None, "verdict": verdict.model_dump(mode="json")}
    release = known or release_unchanged(
        workshop, permit, weights_sha256, version, verdict=verdict, production_report=before
    )
    workshop.outbox.flush(workshop.senders)  # such as why a tier was left out: whoever publishes is there to read it
    return _told(release, verdict)


def _told(release: Release, verdict: Verdict | None) -> dict[str, Any]:
    return {
        "version": release.manifest.version,
        "seq": release.manifest.seq,
        "channel": release.manifest.channel,
        "tiers": list(release.tiers),
        "repo_id": release.manifest.repo_id,
        "commit": release.manifest.commit,
        "weights_sha256": release.manifest.weights_sha256,
        "package_sha256": release.manifest.package_sha256,
        **({} if verdict is None else {"verdict": verdict.model_dump(mode="json")}),
    }


def _find(workshop: Workshop, weights_sha256: str, version: ModelVersion) -> Release | None:
    """The release of this model under this version: by this command, or by a run in which a person approved it."""
    published = workshop.ledger.find(run_id_of(weights_sha256, version))
    if published is not None:
        return None  # what it did is repeated, so that what a crash left undone is done
    for release in workshop.ledger.releases(workshop.settings.channel):
        if (release.manifest.weights_sha256, release.manifest.version) == (weights_sha256, str(version)):
            return release
    return None


def _judged(
    workshop: Workshop, permit: WorkPermit, weights_sha256: str
) -> tuple[EvaluationReport | None, Verdict | None]:
    """What production does on the golden set, and the gate's verdict, where nobody else has asked the gate.

    What people correct makes runs, and every run asks it; a person who publishes a model of theirs decides alone. Of
    safety there are no corrections and so no runs: every classifier comes this way, and this is its gate.
    """
    if workshop.settings.family != "safety":
        return None, None
    candidate, production = workshop.score(weights_sha256, permit.pause_point), workshop.production()
    if production.version is None:
        return None, judge_safety(workshop, candidate, candidate, permit.pause_point)
    before = workshop.score(production.weights_sha256, permit.pause_point)
    return before, judge_safety(workshop, before, candidate, permit.pause_point)


def _ask(workshop: Workshop, permit: WorkPermit, weights_sha256: str, version: ModelVersion) -> dict[str, Any]:
    """Leave the decision to a person: a run that begins at its evaluation, and waits as every run does."""
    run = workshop.runs.propose(weights_sha256, str(version), workshop.settings.family)
    if run.state != "waiting":
        run = open_trainer(workshop, Event()).work_on(run, permit)
    workshop.outbox.flush(workshop.senders)
    told = {"verdict": run.verdict, "run_id": run.run_id, "state": run.state, "reason": run.reason}
    return {"version": str(version), "seq": None, **told}


def _parse_version(text: str) -> ModelVersion:
    try:
        return ModelVersion.parse(text)
    except ValueError as error:
        raise SettingsError(str(error)) from error
