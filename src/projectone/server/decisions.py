"""Reads what a run was decided on: rows, kept scores, and the golden recordings as far as the reader may know them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from projectone.contracts.assist import as_target
from projectone.contracts.releases import DEFAULT_TIER, channel_of, line_of
from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import ContractError, DataError
from projectone.server.approvals import Approvals, questions_of
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.golden_set import GoldenSets
from projectone.server.corpus.manifests import ManifestRow, read_manifest
from projectone.server.database import Engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.signing import load_signer
from projectone.server.evaluation.checks.protocol import INTENT_WORDS, SAFETY_WORDS, SPEECH_WORDS, Wording
from projectone.server.evaluation.decision import (
    Decision,
    TierDecision,
    compare_clips,
    compare_facts,
    compare_slices,
    read_tier,
)
from projectone.server.runs import Effects, RunRow, Runs
from projectone.storage.blobs import FileBlobs

# Where the trainer keeps what it judged.
_EVALUATION, _VERDICT = "model_evaluation", "verdict"
_DEPLOYMENT, _TIER = "deploy_model", "tier-"
_PLACES: Mapping[Family, str] = {"safety": "safety"}  # below the folder of evaluations
_WORDS: Mapping[Family, Wording] = {"speech": SPEECH_WORDS, "intents": INTENT_WORDS, "safety": SAFETY_WORDS}
_ALL_RUNS = 1_000_000
_MEDIA_TYPES = {".wav": "audio/wav", ".flac": "audio/flac"}


@dataclass(frozen=True)
class Sound:
    """A recording as a browser plays it."""

    content: bytes
    media_type: str


def open_approvals(engine: Engine, line: str) -> Approvals:
    """The questions and answers about what goes out on a channel, of every family, whichever line of it is named."""
    ledger = Ledger(engine)

    def released(family: Family) -> str | None:
        newest = ledger.newest(line_of(family, channel_of(line)))
        return None if newest is None else newest.manifest.weights_sha256

    return Approvals(engine, released=released)


def find_run(runs: Runs, named: str) -> RunRow:
    """The run whose id begins like this.

    Raises:
        DataError: if there is none, or more than one.
    """
    found = [run for run in runs.newest(_ALL_RUNS) if named and run.run_id.startswith(named)]
    if len(found) != 1:
        how_many = "none" if not found else f"{len(found)} of them"
        raise DataError("run-unknown", f"run {named!r}: expected the beginning of one run's id, found {how_many}")
    return found[0]


class DecisionReader:
    """Makes the report of a decision.

    Args:
        engine: The server's database.
        home: Of the server: kept scores and sealed recordings lie below it.
        golden: Manifest of the golden recordings that lie open, if there is one.
        golden_key: Where the key lies that signs the sealed golden set.
        tiers: The forms that a release of speech has beside the default one.
        catalog: Opens what people lent to the golden set. Without it their words stay closed: a file that is handed
            around is no place for them.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        home: Path,
        golden: Path | None,
        golden_key: Path,
        tiers: Sequence[str] = (),
        catalog: Catalog | None = None,
    ) -> None:
        self._engine = engine
        self._home = home
        self._golden = golden
        self._golden_key = golden_key
        self._tiers = tuple(tiers)
        self._catalog = catalog
        self._effects = Effects(engine, guard=lambda connection: None)  # it is only read here
        self._ledger = Ledger(engine)

    def read(self, run: RunRow) -> Decision:
        """The report of one run.

        Raises:
            DataError: ``not-judged`` if the run has no verdict on a model.
        """
        judged = self._effects.find(run.run_id, _EVALUATION, _VERDICT)
        if judged is None:
            raise DataError("not-judged", f"run {run.run_id}: is {run.state}, and no model of it was judged")
        names = (judged["production_sha256"], judged["candidate_sha256"])
        reports = self._reports(self._home / "evaluations" / _PLACES.get(run.family, ""), *names)
        versions = {item.manifest.weights_sha256: item.manifest.version for item in self._ledger.releases()}
        better, worse, n_same = (
            ((), (), 0) if reports is None else compare_clips(*reports, self._references(reports[0]))
        )
        return Decision(
            run_id=run.run_id,
            state=run.state,
            verdict=Verdict.model_validate(judged["verdict"]),
            approvals=tuple(approval.in_words for approval in questions_of(self._engine, run.run_id)),
            production=f"version {versions[names[0]]}" if names[0] in versions else "the base",
            candidate_sha256=names[1],
            slices=() if reports is None else compare_slices(*reports),
            better=better,
            worse=worse,
            n_same=n_same,
            facts=() if reports is None else compare_facts(*reports, _WORDS[run.family]),
            is_complete=reports is not None,
            tiers=self._read_tiers(run),
            wording=_WORDS[run.family],
        )

    def _read_tiers(self, run: RunRow) -> tuple[TierDecision, ...]:
        """Every form that was made, and those that will be while the run goes on."""
        if run.family != DEFAULT_FAMILY:
            return ()
        may_come = run.state in ("requested", "running", "waiting")
        found = []
        released = self._ledger.find(run.run_id)
        names = (*self._tiers, *(() if released is None else released.tiers))
        for tier in dict.fromkeys(name for name in names if name != DEFAULT_TIER):
            made = self._effects.find(run.run_id, _DEPLOYMENT, f"{_TIER}{tier}")
            if made is not None or (may_come and tier in self._tiers):
                found.append(read_tier(tier, made))
        return tuple(found)

    def play(self, clip_id: str) -> Sound:
        """A golden recording.

        Raises:
            DataError: ``clip-unknown`` if no recording that may be heard is called that.
        """
        row = self._manifest().get(clip_id)
        if row is not None and row.audio.suffix.lower() in _MEDIA_TYPES:
            return Sound(row.audio.read_bytes(), _MEDIA_TYPES[row.audio.suffix.lower()])
        lent = self._lent([clip_id])
        if self._catalog is None or clip_id not in lent:
            raise DataError("clip-unknown", f"golden clip {clip_id!r}: there is none of this name that may be heard")
        return Sound(read_clip(self._catalog, FileBlobs(self._home / "blobs"), lent[clip_id][1]), "audio/wav")

    def _reports(self, kept: Path, *names: str) -> tuple[EvaluationReport, EvaluationReport] | None:
        """Both reports on the same set, the newest that there are; None if a withdrawal took them."""
        folders = sorted(kept.glob("*"), key=lambda path: -path.stat().st_mtime)
        for folder in folders:
            found = [_read(folder / f"{name}.json") for name in names]
            if found[0] is not None and found[1] is not None:
                return found[0], found[1]
        return None

    def _references(self, report: EvaluationReport) -> dict[str, str]:
        """What is right, by clip. Of a classifier it is the label: the sentence itself is nobody's to read here."""
        if report.classifier is not None:
            return {answer.text_id: as_target(answer.wanted) for answer in report.classifier.answers}
        texts = {name: row.text for name, row in self._manifest().items()}
        lent = self._lent([heard.clip_id for heard in report.utterances if heard.clip_id not in texts])
        return texts | {name: text for name, (text, _) in lent.items()}

    def _manifest(self) -> dict[str, ManifestRow]:
        return {} if self._golden is None else {row.clip_id: row for row in read_manifest(self._golden)}

    def _lent(self, names: Collection[str]) -> dict[str, tuple[str, str]]:
        """Words and digest of clips that people lent to the golden set, of those who still do; of no other sample."""
        if self._catalog is None or not names or not self._golden_key.is_file():
            return {}
        sets = GoldenSets(self._engine, self._catalog)
        newest = sets.newest("main", load_signer(self._golden_key).trusted)
        listed = [] if newest is None else [item for item in newest.samples if str(item.sample_id) in names]
        return {str(row.sample_id): (row.text, row.clip_sha256) for row in sets.rows(listed)}


def _read(path: Path) -> EvaluationReport | None:
    try:
        return EvaluationReport.from_bytes(path.read_bytes())
    except (FileNotFoundError, ContractError):  # of another release, or gone with a withdrawal
        return None


@dataclass(frozen=True, kw_only=True)
class DecisionDesk:
    """What the console's pages about runs work on.

    Attributes:
        runs: The runs.
        reader: Makes reports.
        approvals: Take answers.
        open_golden: A golden recording, on the record under an operator's name.
    """

    runs: Runs
    reader: DecisionReader
    approvals: Approvals
    open_golden: Callable[[str, str], Sound]
