"""Node 5, Quarantine & Notify: keep model, data and log for a human, and tell one. Production stays as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from projectone.contracts.base import canonical_json
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.evaluate import VERDICT
from projectone.server.pipeline.ingest import SealedSamples, read_sealed
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.state import EVALUATION, TrainingGraphState, title
from projectone.server.pipeline.withdrawal import WITHDRAWN, begin_anew, is_withdrawn
from projectone.storage.files import building_directory, sweep_builds


def quarantine(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Set the run's work aside and say so.

    New samples are quarantined with it only where they are what is suspected: the model they made is worse than
    production, if only by appearance, or training on them broke. A model that is held because its gain may be chance
    says nothing against them, nor does a golden set that is missing or a Hub that is down: they go on waiting, and
    more may come to join them.

    A model that learned from a sample which was withdrawn meanwhile is not kept at all. Unless it was worse anyhow, the
    run begins anew without that sample.
    """
    run_id = state["run_id"]
    reason = why(state, ports)
    sealed = read_sealed(run_id, ports)
    ports.check()
    if is_withdrawn(run_id, ports) and not is_model_worse(run_id, ports):
        begin_anew(run_id, ports)
        return {"deployment_status": WITHDRAWN}
    _keep(state, ports, sealed, reason)
    is_suspect = sealed is not None and are_samples_suspect(state, ports)
    if sealed is not None and is_suspect:
        code = "not-better" if "new_model_path" in state else "training-failed"
        ports.mark(sealed.new, "quarantined", code, run_id)
    ports.record(run_id, {"reason": reason})
    ports.notify(
        Message(
            key=f"{run_id}-quarantined",
            subject=f"{title(state)} is in quarantine",
            body="\n".join(
                (
                    f"{reason}.",
                    *_what_is_kept(state, 0 if sealed is None else len(sealed.new), is_suspect=is_suspect),
                    f"To look closer: projectone-server quarantine show {run_id}",
                    *([f"If they are sound: projectone-server quarantine return {run_id}"] if is_suspect else []),
                )
            ),
        )
    )
    return {"deployment_status": "quarantined"}


def are_samples_suspect(state: TrainingGraphState, ports: Ports) -> bool:
    """Whether the new samples themselves may be at fault."""
    did_training_break = "processed_data_path" in state and "new_model_path" not in state
    return did_training_break or is_model_worse(state["run_id"], ports)


def is_model_worse(run_id: str, ports: Ports) -> bool:
    """Whether the candidate was judged and is worse than production, if only by appearance."""
    judged = ports.find_effect(run_id, EVALUATION, VERDICT)
    verdict = judged["verdict"] if judged else None
    # Of poison the golden set may be too small to be sure; whoever appears to harm is not trained on again unseen.
    return verdict is not None and (verdict["decision"] == "reject" or verdict["gain"] < 0)


def why(state: TrainingGraphState, ports: Ports) -> str:
    """The reason in words a person can check."""
    if state.get("error_message"):
        return state["error_message"]
    judged = ports.find_effect(state["run_id"], EVALUATION, VERDICT)
    verdict = judged["verdict"] if judged else {"decision": "reject", "reasons": []}
    asked = ports.find_answer(state["approval_sha256"]) if "approval_sha256" in state else None
    said = "" if asked is None else f"{asked.in_words}; "
    return f"{said}{verdict['decision']}: {'; '.join(verdict['reasons'])}"


def _what_is_kept(state: TrainingGraphState, n_new: int, *, is_suspect: bool) -> tuple[str, str]:
    where = f"quarantine/{state['run_id']}/ in the server's home."
    if "proposed_version" in state:  # it learned from nothing that the server has
        return "Production is unchanged.", f"The model and why: {where}"
    fate = "are set aside with it" if is_suspect else "go on waiting"
    return f"{n_new} new samples {fate}. Production is unchanged.", f"Model, dataset manifest and log: {where}"


def _keep(state: TrainingGraphState, ports: Ports, sealed: SealedSamples | None, reason: str) -> None:
    target = ports.home / "quarantine" / state["run_id"]
    sweep_builds(target)
    if target.exists():  # an earlier try of this node kept everything
        return
    with building_directory(target) as building:
        if "new_model_path" in state and not is_withdrawn(state["run_id"], ports):
            model = ModelFolders(ports.home / "models").find(state["new_model_path"])
            shutil.copytree(model, building / "model", copy_function=_link_or_copy)
        # Ids and a digest, no texts: what is erased later leaves nothing here.
        (building / "dataset.json").write_bytes(canonical_json(asdict(sealed) if sealed else {}))
        log = ports.home / state.get("training_log_path", f"runs/{state['run_id']}/train.jsonl")
        if log.is_file():
            shutil.copyfile(log, building / "train.jsonl")
        (building / "why.json").write_text(_summary(state, reason))


def _link_or_copy(source: str, target: str) -> None:
    """Model folders never change, so a second name is as good as a second copy and costs nothing."""
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _summary(state: TrainingGraphState, reason: str) -> str:
    metrics = state.get("evaluation_metrics", {})
    return json.dumps({"run_id": state["run_id"], "reason": reason, "metrics": metrics}, indent=1) + "\n"
