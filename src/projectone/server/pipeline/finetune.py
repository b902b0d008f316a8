"""Node 2, Model Fine-Tuning: always from the one fixed base, on everything learned so far and the new samples.

Starting from the base keeps errors of one release out of the next and makes a run a pure function of its inputs.
Consent is asked once more before the first step: what was withdrawn since the sealing is sealed out.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from projectone.errors import ConsentError, TrainingError
from projectone.server.pipeline.ingest import read_sealed, run_folder, seal_batch
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import DatasetEntry, Ports, TrainingRequest
from projectone.server.pipeline.state import TrainingGraphState


def finetune(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Train the candidate of this run.

    Raises:
        TrainingError: if nothing new is left to learn from, or training could not finish.
    """
    run_id = state["run_id"]
    folder = run_folder(ports.home, run_id)
    dataset_sha256, entries = _still_allowed(run_id, state["processed_data_path"], ports)
    base_sha256 = ports.base()
    candidate = folder / "candidate"
    # Left by a kill between training and adoption: training goes on from its last checkpoint and writes it again.
    shutil.rmtree(candidate, ignore_errors=True)
    log_path = folder / "train.jsonl"
    trained_sha256 = ports.train(
        TrainingRequest(
            base_sha256=base_sha256,
            entries=entries,
            # Named by the dataset: checkpoints of a dataset that still held a withdrawn sample are not taken up.
            work_folder=folder / f"training-{dataset_sha256[:16]}",
            out=candidate,
            log_path=log_path,
            on_progress=partial(ports.progress, run_id),
        )
    )
    ports.check()
    model_sha256 = ModelFolders(ports.home / "models").adopt(candidate)
    if model_sha256 != trained_sha256:
        raise TrainingError(f"candidate: expected weights {trained_sha256}, the folder holds {model_sha256}")
    _drop_checkpoints(folder)
    ports.record(run_id, {"candidate_sha256": model_sha256})
    return {
        "processed_data_path": dataset_sha256,
        "base_model_version": base_sha256,
        "new_model_path": model_sha256,
        "training_log_path": log_path.relative_to(ports.home).as_posix(),
    }


def _still_allowed(run_id: str, dataset_sha256: str, ports: Ports) -> tuple[str, Sequence[DatasetEntry]]:
    sealed = read_sealed(run_id, ports)
    allowed_ids = {sample.sample_id for sample in ports.usable()}
    try:
        entries = ports.read_dataset(dataset_sha256 if sealed is None else sealed.dataset_sha256)
        if all(entry.sample_id in allowed_ids for entry in entries):
            return dataset_sha256 if sealed is None else sealed.dataset_sha256, entries
    except ConsentError:  # a withdrawal erases the datasets that named the samples
        pass
    sealed = seal_batch(run_id, ports)
    if sealed is None:
        raise TrainingError("every new sample was withdrawn after the dataset was sealed")
    return sealed.dataset_sha256, ports.read_dataset(sealed.dataset_sha256)


def _drop_checkpoints(folder: Path) -> None:
    for path in folder.glob("training-*"):
        shutil.rmtree(path, ignore_errors=True)
