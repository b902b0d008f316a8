"""Node 1, Data Ingestion & Validation: take what waits, discard what teaches nothing, hold what is odd, seal the rest.

The batch is fixed when the node first runs, so a repeated node sees the samples that the first try saw. Without a
single new usable sample the run ends here: training is deterministic, so the same data would give the same model. It
ends here, too, if nothing that could be learned from the new ones would get past the gate: ``no-train``. Neither holds
for a run that is to replace a model which learned from something withdrawn since: it takes what there is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.texts import clean_transcript
from projectone.errors import DataError
from projectone.server.corpus.datasets import speaker_of
from projectone.server.corpus.duplicates import GOLDEN_CONTRIBUTOR, GOLDEN_OVERLAP, Copy, superseded
from projectone.server.corpus.validation import UNSEEN, Findings
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.ports import DatasetEntry, PipelineSample, Ports
from projectone.server.pipeline.state import TrainingGraphState
from projectone.server.pipeline.triage import refuse_training
from projectone.storage.files import write_atomically

_BATCH = "batch.json"
_SEALED = "sealed.json"


@dataclass(frozen=True)
class SealedSamples:
    """Which samples a run's dataset holds: ids alone, so that a later erasure leaves nothing to find here."""

    dataset_sha256: str
    new: tuple[str, ...]
    n_items: int
    audio_s: float


def ingest(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Seal the dataset of this run, or end it with ``no-data`` or ``no-train``.

    Raises:
        EvaluationError: if what is sealed could not be weighed.
    """
    run_id = state["run_id"]
    batch, batch_sha256 = _take_batch(ports, run_id)
    seen = [sample for sample in ports.usable() if not sample.is_new or sample.sample_id in batch]
    golden = ports.golden_clips()
    findings = look_at([sample for sample in seen if sample.is_new], golden, ports)
    n_held = _hold(ports, run_id, findings)
    seen = [sample for sample in seen if sample.sample_id not in findings or not findings[sample.sample_id].hold]
    reasons = {sample.sample_id: findings[sample.sample_id].discard for sample in seen if sample.is_new}
    # What cannot be learned from takes nobody's place. What was learned from before loses it to a newer text.
    sound = [sample for sample in seen if reasons.get(sample.sample_id) is None]
    overlaps = overlap_with_golden(sound, ports)
    reasons |= {sample.sample_id: overlaps.get(sample.sample_id) for sample in sound if sample.is_new}
    copies = find_copies([sample for sample in sound if sample.sample_id not in overlaps], ports)
    _discard(ports, run_id, reasons)
    ports.mark_copies(copies, run_id)
    # Those that an earlier try of this node discarded or held do not wait any more.
    n_kept = sum(reasons[s.sample_id] is None and s.sample_id not in copies for s in seen if s.is_new)
    n_discarded = len(batch) - n_held - n_kept
    sealed = seal_batch(run_id, ports)
    ports.record(run_id, {"n_discarded": n_discarded})
    if sealed is None:
        return {"raw_data_path": batch_sha256, "deployment_status": "no-data"}
    ended: TrainingGraphState = {"raw_data_path": batch_sha256, "processed_data_path": sealed.dataset_sha256}
    if refuse_training(run_id, sealed.dataset_sha256, ports) is not None:
        ended["deployment_status"] = "no-train"
    return ended


def seal_batch(run_id: str, ports: Ports) -> SealedSamples | None:
    """Seal what models learned from before and what of the run's batch still waits; None without a new sample.

    The same rows give the same dataset, so it may be sealed again at any time.
    """
    batch, _ = _take_batch(ports, run_id)
    usable = [sample for sample in ports.usable() if not sample.is_new or sample.sample_id in batch]
    golden = ports.golden_clips()
    # What was learned from before is checked again: the golden set may have grown over it since.
    is_replacing = ports.is_replacing(run_id)
    if is_replacing or any(sample.is_new for sample in usable):
        findings = look_at([sample for sample in usable if not sample.is_new], golden, ports)
        usable = [s for s in usable if s.is_new or findings[s.sample_id].discard is None]
        overlaps = overlap_with_golden(usable, ports)
        usable = [sample for sample in usable if sample.sample_id not in overlaps]
        # A withdrawal while the run goes on lets copies of what it took wait again, all at once.
        copies = find_copies(usable, ports)
        usable = [sample for sample in usable if sample.sample_id not in copies]
    earlier = [sample for sample in usable if not sample.is_new]
    new = ports.cap([sample for sample in usable if sample.is_new], earlier, ports.caps)
    if not new and not (is_replacing and earlier):
        ports.record(run_id, {"n_items": 0, "n_new": 0})
        return None
    entries = sorted(map(_entry, [*earlier, *new]), key=lambda entry: entry.sample_id)
    sealed = SealedSamples(
        dataset_sha256=ports.seal(entries),
        new=tuple(entry.sample_id for entry in entries if entry.is_new),
        n_items=len(entries),
        audio_s=round(sum(entry.duration_s for entry in entries), 3),
    )
    write_atomically(run_folder(ports.home, run_id) / _SEALED, canonical_json(asdict(sealed)))
    ports.record(run_id, {"dataset_sha256": sealed.dataset_sha256, "n_items": sealed.n_items, "n_new": len(sealed.new)})
    return sealed


def read_sealed(run_id: str, ports: Ports) -> SealedSamples | None:
    """What `seal_batch` sealed last for this run, or None."""
    path = run_folder(ports.home, run_id) / _SEALED
    if not path.is_file():
        return None
    plain = json.loads(path.read_bytes())
    return SealedSamples(plain["dataset_sha256"], tuple(plain["new"]), plain["n_items"], plain["audio_s"])


def look_at(samples: Sequence[PipelineSample], golden: frozenset[str], ports: Ports) -> dict[str, Findings]:
    """What speaks against each sample, by id, in machine-readable words; a doubt that a person cleared is none.

    What nobody could look at stays held, whoever accepted it: only a look says that it can be decoded without harm.
    """
    found: dict[str, Findings] = {}
    for sample in samples:
        try:
            clean_transcript(sample.text)
        except DataError as error:
            found[sample.sample_id] = Findings(error.reason)
    readable = [sample for sample in samples if sample.sample_id not in found]
    for sample, look in zip(readable, ports.look(readable), strict=True):
        # By its sound, not by its file: the golden set may hold the same recording in another container.
        if look.content_key in golden:
            found[sample.sample_id] = Findings("golden-overlap")
            continue
        hold = tuple(reason for reason in look.findings.hold if reason not in sample.accepted - UNSEEN)
        found[sample.sample_id] = replace(look.findings, hold=hold)
    return found


def overlap_with_golden(samples: Sequence[PipelineSample], ports: Ports) -> dict[str, str]:
    """Samples that would be learned from and judged by at once, and why, by id.

    ``golden-overlap``: it sounds like a golden recording, however loud, noisy or fast it is played.
    ``golden-contributor``: whoever sent it speaks in the golden set, and would be known there by the voice.
    """
    found = dict.fromkeys(ports.near_golden(samples), GOLDEN_OVERLAP)
    judges = ports.golden_speakers()
    for sample in samples:
        if judges & {sample.contributor_id, speaker_of(sample.contributor_id)}:
            found.setdefault(sample.sample_id, GOLDEN_CONTRIBUTOR)
    return found


def find_copies(samples: Sequence[PipelineSample], ports: Ports) -> dict[str, Copy]:
    """Samples that say again what another one says, and that one, by id: earlier texts first, then the same sound."""
    found = superseded(samples)
    return found | dict(ports.copies([sample for sample in samples if sample.sample_id not in found]))


def run_folder(home: Path, run_id: str) -> Path:
    """Where a run keeps its batch, its log and its checkpoints."""
    return home / "runs" / run_id


def read_batch(home: Path, run_id: str) -> frozenset[str]:
    """Ids of the samples that waited when a run began; none if it took none yet."""
    path = run_folder(home, run_id) / _BATCH
    return frozenset(json.loads(path.read_bytes())) if path.is_file() else frozenset()


def _take_batch(ports: Ports, run_id: str) -> tuple[frozenset[str], str]:
    path = run_folder(ports.home, run_id) / _BATCH
    if not path.exists():
        write_atomically(path, canonical_json([sample.sample_id for sample in ports.waiting()]))
    content = path.read_bytes()
    return frozenset(json.loads(content)), sha256_hex(content)


def _hold(ports: Ports, run_id: str, findings: Mapping[str, Findings]) -> int:
    """Keep what was found, and tell a human if something waits for them; gives how many samples this run held."""
    ports.check()
    n_held = ports.note(findings, run_id)
    if n_held:
        body = "Nothing is trained on them until somebody accepts them. `projectone-server corpus review` says why."
        ports.notify(Message(key=f"{run_id}-held", subject=f"{n_held} new samples wait for a review", body=body))
    return n_held


def _discard(ports: Ports, run_id: str, reasons: dict[str, str | None]) -> None:
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for sample_id, reason in reasons.items():
        if reason is not None:
            by_reason[reason].append(sample_id)
    ports.check()
    for reason, sample_ids in sorted(by_reason.items()):
        ports.mark(sample_ids, "discarded", reason, run_id)


def _entry(sample: PipelineSample) -> DatasetEntry:
    return DatasetEntry(
        sample_id=sample.sample_id,
        clip_sha256=sample.clip_sha256,
        text=clean_transcript(sample.text),
        speaker=speaker_of(sample.contributor_id),
        duration_s=sample.duration_s,
        is_new=sample.is_new,
    )
