"""What the nodes need from outside, as callables in one frozen value.

The nodes decide; the ports touch rows, disk, models and the network. Whoever builds the ports binds them to one run's
lease, so that a worker that lost it cannot write through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from projectone.contracts.evidence import Recall
from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.server.approvals import Approval, Question
from projectone.server.corpus.caps import CapLimits, cap_release
from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.validation import Findings
from projectone.server.evaluation.triage import Triage
from projectone.server.evaluation.triggers import Scan
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.tier_ports import TierPorts
from projectone.waveform.fingerprint import Fingerprint

Samples = npt.NDArray[np.float32]
SampleOutcome = Literal["used", "discarded", "quarantined"]  # `held` is given by `note` alone


@dataclass(frozen=True)
class Look:
    """What was seen in a sample.

    Attributes:
        findings: What speaks against it.
        content_key: What every copy of it has, too, whatever file it came in: `sound_key` of its sound, None if it has
            none; `words_digest` where a sample is words.
        fingerprint: What it sounds like, if that was asked and nothing speaks against it.
    """

    findings: Findings
    content_key: str | None = None
    fingerprint: Fingerprint | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class PipelineSample:
    """One (audio, text) pair of the catalog. `is_new`: it waits; otherwise a released model has learned from it.

    Attributes:
        recording_sha256: Of the recording as the device sent it; its corrections share it.
        recorded_at: When the text was given.
        heard: What a model made of the recording, if the text corrects it.
        cluster: Who became known together with the contributor, as one name; None if that is not known.
        accepted: Reasons to hold it that a person has looked at and found harmless.
    """

    sample_id: str
    contributor_id: str
    clip_sha256: str
    recording_sha256: str
    text: str
    duration_s: float
    recorded_at: datetime
    is_new: bool
    language: str = "en"
    heard: str | None = None
    cluster: str | None = None
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """One pair of a sealed dataset. `split`: to learn from, or held back to choose the checkpoint."""

    sample_id: str
    clip_sha256: str
    text: str
    speaker: str
    duration_s: float
    is_new: bool
    split: Literal["train", "dev"] = "train"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far training is. `loss` is in nats per token, where it is known."""

    step: int
    total: int
    loss: float | None
    message: str


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What to train, and where.

    Attributes:
        base_sha256: Weights to start from.
        entries: The pairs.
        work_folder: Checkpoints; a run that was killed goes on from there.
        out: Folder of the candidate; it must not exist yet.
        log_path: JSON lines, kept after the run.
        on_progress: Called at every step; what it raises ends the training.
    """

    base_sha256: str
    entries: Sequence[DatasetEntry]
    work_folder: Path
    out: Path
    log_path: Path
    on_progress: Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Production:
    """The model that devices get now; before the first release it is the base, without a version."""

    weights_sha256: str
    version: str | None


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A model to hand out.

    Attributes:
        run_id: Whose it is: it keys the commit and the release.
        weights_sha256: The candidate.
        version: The version it gets.
        verdict: The judgement that lets it out, if it was judged.
        report: Its own scores, if it was scored.
        dataset_sha256: What it learned from, if it did; then also how many clips, how many of them new, how long.
        is_minimum: Whether everything released before it is retired.
    """

    run_id: str
    weights_sha256: str
    base_sha256: str
    version: str
    verdict: Verdict | None = None
    report: EvaluationReport | None = None
    production_report: EvaluationReport | None = None
    dataset_sha256: str | None = None
    n_clips: int = 0
    n_new_clips: int = 0
    audio_s: float = 0.0
    is_minimum: bool = False


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The outside of the graph.

    Attributes:
        home: Folder of the server; runs, models and quarantine lie below it.
        check: Raises LeaseError if this worker may no longer write.
        once: Has an outside effect once per (run, node, name, inputs) and remembers its small JSON result.
        find_effect: The newest result of an effect of a run.
        enter: Writes that a run is in a node now.
        record: Writes columns of the run's row.
        progress: Shows how far training is; raises if the worker has to stop.
        waiting: Samples that nothing learned from yet, oldest first.
        usable: Waiting and used samples whose consent still holds.
        read_clip: 16 kHz mono samples of a clip.
        look: What speaks against each of the samples, with the figures of its clip, in their order.
        note: Keeps what was found about samples that wait; gives how many the run holds for a person.
        golden_clips: `sound_key` of every recording that must never be trained on.
        golden_speakers: Names of those who speak in them; nobody's voice may be on both sides.
        near_golden: Ids of samples that sound like a golden recording.
        copies: Samples, in the order in which they came, that sound like another of them; and that one, by id.
        mark: Writes what became of samples: ids, outcome, reason, run id.
        mark_copies: Discards copies, each with the sample that stands for it, for a run.
        seal: Keeps a dataset and gives its digest.
        read_dataset: The entries of a dataset; raises ConsentError once a withdrawal has erased it.
        base: Digest of the fixed base's weights; its folder is in the model store.
        train: Trains; gives the digest of the weights in the folder `out`.
        score: A model over the golden set; remembered by model and set.
        judge: Production's and the candidate's report to a verdict.
        asks_person: Whether a person decides about a verdict before anything goes out.
        ask: Puts a question to a person, and lets its run wait.
        find_answer: What became of a question.
        canary: The candidate over the secret second set; None if there is none. It is shown and decides nothing.
        production: The model in production.
        register: Commits and tags a model on the Hub; gives repository, commit and tag.
        package: Packs a model; gives the digest and size of the package and its files.
        release: Writes the signed release row, of the package and of those under its `tiers`; gives its number.
        notify: Says something to a human, once per key.
        is_withdrawn: Whether a sealed dataset names a sample that was withdrawn since.
        retract: Undoes what a run handed out that is not released; gives what a human should know.
        start_anew: Asks for another run in place of this one.
        is_replacing: Whether a run is to replace a model that learned from something withdrawn since: it needs no new
            sample, and no gain.
        triage: Weighs the new pairs of a dataset before training; None trains whatever they are.
        scan: Tries out whether the candidate learned a backdoor from a dataset, by production's and its own report;
            None tries nothing.
        recall: What the candidate gives away of the new pairs that it learned from, beside those held back from it, by
            production's and its own report; None asks nothing.
        tiers: Forms of a model beside the default one; None makes none.
        rate: What the error rate of a report is called.
        cap: Picks of new samples, beside those that were learned from, what a run takes of them.
        caps: What a run takes of one person and of one phrase; the others wait.
    """

    home: Path
    check: Callable[[], None]
    once: Callable[[str, str, str, object, Callable[[], dict[str, Any]]], dict[str, Any]]
    find_effect: Callable[[str, str, str], dict[str, Any] | None]
    enter: Callable[[str, str], None]
    record: Callable[[str, Mapping[str, object]], None]
    progress: Callable[[str, Progress], None]
    waiting: Callable[[], Sequence[PipelineSample]]
    usable: Callable[[], Sequence[PipelineSample]]
    read_clip: Callable[[str], Samples]
    look: Callable[[Sequence[PipelineSample]], Iterable[Look]]
    note: Callable[[Mapping[str, Findings], str], int]
    golden_clips: Callable[[], frozenset[str]]
    golden_speakers: Callable[[], frozenset[str]]
    near_golden: Callable[[Sequence[PipelineSample]], frozenset[str]]
    copies: Callable[[Sequence[PipelineSample]], Mapping[str, Copy]]
    mark: Callable[[Sequence[str], SampleOutcome, str | None, str], None]
    mark_copies: Callable[[Mapping[str, Copy], str], None]
    seal: Callable[[Sequence[DatasetEntry]], str]
    read_dataset: Callable[[str], Sequence[DatasetEntry]]
    base: Callable[[], str]
    train: Callable[[TrainingRequest], str]
    score: Callable[[str], EvaluationReport]
    judge: Callable[[EvaluationReport, EvaluationReport], Verdict]
    production: Callable[[], Production]
    register: Callable[[Deployment], dict[str, Any]]
    package: Callable[[str], dict[str, Any]]
    release: Callable[[Deployment, Mapping[str, Any], Mapping[str, Any]], int]
    notify: Callable[[Message], None]
    is_withdrawn: Callable[[str], bool]
    retract: Callable[[str], Sequence[str]]
    start_anew: Callable[[str], None]
    is_replacing: Callable[[str], bool] = lambda run_id: False
    cap: Callable[[Sequence[PipelineSample], Sequence[PipelineSample], CapLimits], list[PipelineSample]] = cap_release
    caps: CapLimits = field(default_factory=CapLimits)
    rate: str = "word error rate"
    triage: Callable[[Sequence[DatasetEntry]], Triage] | None = None
    scan: Callable[[Sequence[DatasetEntry], EvaluationReport, EvaluationReport], Scan] | None = None
    recall: Callable[[Sequence[DatasetEntry], EvaluationReport, EvaluationReport], Recall] | None = None
    canary: Callable[[str], EvaluationReport | None] = lambda weights_sha256: None
    tiers: TierPorts | None = None
    asks_person: Callable[[str], bool] = lambda decision: False
    ask: Callable[[Question], None] = lambda question: None
    find_answer: Callable[[str], Approval | None] = lambda subject_sha256: None
