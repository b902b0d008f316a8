"""What happened in the demo, as plain values: the loop fills them in, the report and `summary.json` read them."""

from __future__ import annotations

from dataclasses import dataclass, field

from projectone.contracts.scores import Score, Verdict


@dataclass(frozen=True, kw_only=True)
class Act:
    """One step of the story, for the timeline: seconds since the start, and how long it took."""

    title: str
    started_s: float
    wall_s: float


@dataclass(frozen=True, kw_only=True)
class Example:
    """One recording that never left its device: what was said, and what each model made of it."""

    user: str
    said: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class User:
    """One person with one device.

    Attributes:
        name: The corpus's speaker.
        accent: Where known.
        has_consented: Whether anything of theirs may leave.
        n_recordings: Recordings made to correct.
        n_corrected: Those whose transcript the person changed.
        n_sent: Samples that reached the server.
        n_kept_back: Recordings that were never uploaded, on which this person's model is measured.
        before: Word error rate on those with the first model; `after` with the model in use at the end.
        active_version: The model on this device at the end.
    """

    name: str
    accent: str | None
    has_consented: bool
    n_recordings: int
    n_corrected: int
    n_sent: int
    n_kept_back: int
    before: Score
    after: Score
    active_version: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """One model that was judged on the golden set: the first, the better one, the poisoned one."""

    name: str
    golden: Score
    target: Score | None
    is_released: bool
    commit: str | None = None
    tag: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One run of the AI Model Trainer.

    Attributes:
        status: ``"deployed"``, ``"quarantined"``, ``"no-data"``, ``"no-train"`` or ``"failed"``.
        losses: (step, nats per token), as the trainer logged them.
        discarded: Reason of the ingestion node to how many samples it discarded.
        notification: What a human was told.
        candidate_sha256: Digest of the weights that it made, if it got so far.
    """

    run_id: str
    status: str
    n_clips: int
    audio_s: float
    wall_s: float
    losses: tuple[tuple[int, float], ...]
    discarded: dict[str, int]
    verdict: Verdict | None
    notification: str | None
    candidate_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """The user who said no, and what a search of every file and every sealed sample found of them."""

    user: str
    n_rows: int
    n_hits: int
    n_files_searched: int
    n_bytes_searched: int
    n_samples_opened: int


@dataclass(frozen=True, kw_only=True)
class Understood:
    """One sentence that never left its device: what was meant, and what each classifier made of it."""

    said: str
    meant: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class FirstAnswer:
    """An approved answer that a device chose by itself, and why."""

    said: str
    text: str
    reason: str
    took_ms: float


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The act about what people mean.

    Attributes:
        status: What became of the run on corrected intents, as of a `TrainingRun`.
        version: The classifier on the devices at the end.
        reasons: The gate's, for people.
        n_sent: Corrected intents that reached the server.
        n_kept_back: Sentences that never left a device, on which the classifiers are measured.
        n_right_before: How many of these the first one understood; `n_right_after` the last one.
        changed: Some of those on which the two differ.
        first_answers: Two answers of an approved set, chosen on a device.
        template: A question, the answer in words, and who gave it.
    """

    status: str
    version: str
    reasons: tuple[str, ...]
    n_sent: int
    n_kept_back: int
    n_right_before: int
    n_right_after: int
    changed: tuple[Understood, ...]
    first_answers: tuple[FirstAnswer, ...]
    template: tuple[str, str, str]
    wall_s: float


@dataclass(frozen=True, kw_only=True)
class Story:
    """The whole demo.

    Attributes:
        target_before: Word error rate of the first model on recordings that were never uploaded, over all users;
            `target_after` of the models in use at the end.
        slices: Accent (or speaker) to word error rates before and after on those recordings.
        learning: The run on honest corrections; `poisoned` the run on the poisoned ones.
        n_poisoned: How many poisoned corrections arrived.
        production_before_poison: The version in production when the poisoned ones arrived.
        production_after_poison: The version in production at the end.
        weights_before_poison: Digest of its weights; `weights_after_poison` of those in production at the end.
        taken: How much of the corpus was taken, in words; empty where it was all of it.
        golden_from: Where the golden set is from, in words.
        meaning: What people mean; None where no encoder is installed.
        folders: What to look at next, name to path below the output folder.
    """

    corpus: str
    seed: int
    wall_s: float
    acts: tuple[Act, ...]
    users: tuple[User, ...]
    versions: tuple[Version, ...]
    target_before: Score
    target_after: Score
    golden_before: Score
    golden_after: Score
    slices: dict[str, tuple[Score, Score]]
    examples: tuple[Example, ...]
    learning: TrainingRun
    poisoned: TrainingRun
    n_poisoned: int
    production_before_poison: str
    production_after_poison: str
    weights_before_poison: str
    weights_after_poison: str
    withheld: Withheld
    taken: str = ""
    golden_from: str = ""
    meaning: Meaning | None = None
    folders: dict[str, str] = field(default_factory=dict)

    @property
    def is_production_as_before(self) -> bool:
        """Whether the poisoned corrections changed nothing for anybody."""
        return self.weights_before_poison == self.weights_after_poison
