"""Node 2, Model Fine-Tuning: always from the one fixed base, on everything learned so far and the new samples.

Starting from the base keeps errors of one release out of the next and makes a run a pure function of its inputs.
Consent is asked once more before the first step: what was withdrawn since the sealing is sealed out. What is withdrawn
later stops the run.
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
from projectone.server.pipeline.withdrawal import refuse_withdrawn
from projectone.storage.files import sweep_temporary, write_atomically


def finetune(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Train the candidate of this run.

    Raises:
        TrainingError: if nothing new is left to learn from, or training could not finish.
        WithdrawnError: if a sample was withdrawn after training had begun.
    """
    run_id = state["run_id"]
    folder = run_folder(ports.home, run_id)
    sweep_temporary(folder)  # what a worker that was killed left half made
    dataset_sha256, entries = _still_allowed(run_id, state["processed_data_path"], ports)
    base_sha256 = ports.base()
    # Both are named by the dataset: nothing made from one that held a withdrawn sample is taken up again.
    work_folder, candidate = (folder / f"{name}-{dataset_sha256[:16]}" for name in ("training", "candidate"))
    log_path = folder / "train.jsonl"
    models = ModelFolders(ports.home / "models")
    trained = _Note(work_folder.with_suffix(".json"))
    model_sha256 = trained.read()
    if model_sha256 is None or not (candidate.exists() or models.path_of(model_sha256).exists()):
        model_sha256 = ports.train(
            TrainingRequest(
                base_sha256=base_sha256,
                entries=entries,
                work_folder=work_folder,
                out=candidate,
                log_path=log_path,
                on_progress=partial(ports.progress, run_id),
            )
        )
        ports.check()
        refuse_withdrawn(run_id, ports)
        trained.write(model_sha256)
    if candidate.exists() and models.adopt(candidate) != model_sha256:
        raise TrainingError(f"candidate: its folder does not hold the weights {model_sha256} that training made")
    drop_checkpoints(folder)
    ports.record(run_id, {"candidate_sha256": model_sha256})
    return {
        "processed_data_path": dataset_sha256,
        "base_model_version": base_sha256,
        "new_model_path": model_sha256,
        "training_log_path": log_path.relative_to(ports.home).as_posix(),
    }


class _Note:
    """The digest of the trained weights, kept before their folder moves: a kill in between trains nothing twice."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        return self._path.read_text() if self._path.is_file() else None

    def write(self, weights_sha256: str) -> None:
        write_atomically(self._path, weights_sha256.encode())


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


def drop_checkpoints(folder: Path) -> None:
    """Remove what an unfinished training left in a run's folder: weights on the way, and what an encoder heard."""
    for path in folder.glob("training-*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
