"""From rows, logs and counts to the demo's `Story`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projectone.contracts.scores import Score, UtteranceScore, Verdict
from projectone.demo.backend import Backend, InProduction
from projectone.demo.people import Participant
from projectone.demo.story import Act, Example, Meaning, Story, TrainingRun, User, Version, Withheld
from projectone.server.evaluation.scorer import word_score
from projectone.server.runs import RunRow

_N_EXAMPLES = 12
_STATUS = {
    "succeeded": "deployed",
    "quarantined": "quarantined",
    "no-data": "no-data",
    "no-train": "no-train",
    "failed": "failed",
}
_NODES = {
    None: "waiting for the worker",
    "data_ingestion_and_validation": "reading and checking the samples",
    "model_fine_tuning": "training",
    "model_evaluation": "judging on the golden set",
    "deploy_model": "deploying",
    "quarantine_and_notify": "setting aside",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the acts left behind; `learned` is in production after the honest run, `production` at the end."""

    corpus: str
    seed: int
    model: str
    out: Path
    wall_s: float
    acts: tuple[Act, ...]
    people: Sequence[Participant]
    first_version: str
    first_sha256: str
    learning: TrainingRun
    learned: InProduction
    poisoned: TrainingRun
    n_poisoned: int
    production: InProduction
    withheld: Withheld
    taken: str = ""
    golden_from: str = ""
    meaning: Meaning | None = None


def percent(score: Score) -> str:
    """A rate with its interval, for a table."""
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"


def progress_line(row: RunRow) -> str:
    """Where a run is, in one line."""
    where = _NODES.get(row.node, row.node)
    if row.node == "model_fine_tuning" and row.progress_total:
        done = round(20 * (row.progress_step or 0) / row.progress_total)
        return f"{where} {'█' * done}{'░' * (20 - done)} {row.progress_message}"
    return f"{where} …"


def describe_run(row: RunRow, backend: Backend) -> TrainingRun:
    """One ended run: its row, the trainer's log and what was sealed."""
    folder = backend.home / "runs" / row.run_id
    log, sealed = folder / "train.jsonl", folder / "sealed.json"
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    started_at, ended_at = row.started_at or row.requested_at, row.finished_at
    assert ended_at is not None, "only ended runs are described"
    return TrainingRun(
        run_id=row.run_id,
        status=_STATUS[row.state],
        n_clips=row.n_items or 0,
        audio_s=json.loads(sealed.read_bytes())["audio_s"] if sealed.is_file() else 0.0,
        wall_s=(ended_at - started_at).total_seconds(),
        losses=tuple((event["step"], event["loss"]) for event in events if event["event"] == "step"),
        discarded=backend.discarded(row.run_id),
        verdict=None if row.verdict is None else Verdict.model_validate(row.verdict),
        notification=None if row.state == "no-data" else backend.notification(row.run_id),
        candidate_sha256=row.candidate_sha256,
    )


def tell(facts: Facts, backend: Backend) -> Story:
    """The whole story.

    Raises:
        BackendError: if the Hub or the trainer does not have what the story speaks of.
    """
    before, after = _scores(facts.people)
    is_better_released = facts.learning.status == "deployed"
    versions = _versions(facts, backend, word_score(before), word_score(after))
    return Story(
        corpus=facts.corpus,
        seed=facts.seed,
        wall_s=facts.wall_s,
        acts=facts.acts,
        users=tuple(_user(who) for who in facts.people),
        versions=tuple(versions),
        target_before=word_score(before),
        target_after=word_score(after),
        golden_before=versions[0].golden,
        golden_after=versions[1].golden if is_better_released else versions[0].golden,
        slices=_slices(before, after),
        examples=_examples(facts.people),
        learning=facts.learning,
        poisoned=facts.poisoned,
        n_poisoned=facts.n_poisoned,
        production_before_poison=facts.learned.version,
        production_after_poison=facts.production.version,
        weights_before_poison=facts.learned.weights_sha256,
        weights_after_poison=facts.production.weights_sha256,
        withheld=facts.withheld,
        taken=facts.taken,
        golden_from=facts.golden_from,
        meaning=facts.meaning,
        folders=_folders(facts, backend),
    )


def _versions(facts: Facts, backend: Backend, before: Score, after: Score) -> list[Version]:
    tags = backend.hub_tags()
    first_tag = f"v{facts.first_version}"
    versions = [
        Version(
            name=f"{facts.first_version} ({Path(facts.model).name})",
            golden=backend.report_on(facts.first_sha256).wer,
            target=before,
            is_released=True,
            commit=tags.get(first_tag),
            tag=first_tag,
        )
    ]
    for run, name in ((facts.learning, "honest corrections"), (facts.poisoned, "poisoned corrections")):
        if run.candidate_sha256 is None or run.verdict is None:
            continue
        is_released = run.status == "deployed"
        version = facts.learned.version if run is facts.learning else facts.production.version
        tag = f"v{version}" if is_released else None
        versions.append(
            Version(
                name=f"{version} ({name})" if is_released else f"refused ({name})",
                golden=backend.report_on(run.candidate_sha256).wer,
                target=after if is_released and run is facts.learning else None,
                is_released=is_released,
                commit=tags.get(tag) if tag else None,
                tag=tag,
            )
        )
    return versions


def _scores(people: Sequence[Participant]) -> tuple[list[UtteranceScore], list[UtteranceScore]]:
    before = [score for who in people for score in who.before]
    after = [score for who in people for score in who.after]
    return before, after


def _user(who: Participant) -> User:
    return User(
        name=who.person.name,
        accent=who.person.accent,
        has_consented=who.person.has_consented,
        n_recordings=who.n_recorded,
        n_corrected=who.n_corrected,
        n_sent=who.n_sent,
        n_kept_back=len(who.kept_back),
        before=word_score(who.before),
        after=word_score(who.after),
        active_version=who.client.status().model_version or "none",
    )


def _slices(before: Sequence[UtteranceScore], after: Sequence[UtteranceScore]) -> dict[str, tuple[Score, Score]]:
    names = sorted({score.slice for score in before})
    return {
        name: (
            word_score([score for score in before if score.slice == name]),
            word_score([score for score in after if score.slice == name]),
        )
        for name in names
    }


def _examples(people: Sequence[Participant]) -> tuple[Example, ...]:
    """A few recordings of each person on which the two models differ, those with the largest change first."""
    found: list[tuple[int, int, Example]] = []
    for who in people:
        own = []
        for (_, spoken), before, after in zip(who.kept_back, who.before, who.after, strict=True):
            if before.word_errors != after.word_errors:
                example = Example(
                    user=who.person.name, said=spoken.text, before=before.hypothesis, after=after.hypothesis
                )
                own.append((after.word_errors - before.word_errors, example))
        # Of each person what became worse, too: a report that shows only gains cannot be trusted.
        own.sort(key=lambda pair: pair[0])
        picked = own if len(own) <= 2 else [own[0], own[-1], *own[1:-1]]
        found += [(rank, change, example) for rank, (change, example) in enumerate(picked)]
    found.sort(key=lambda item: item[0])
    return tuple(example for _, _, example in found[:_N_EXAMPLES])


def _folders(facts: Facts, backend: Backend) -> dict[str, str]:
    places = {
        "the server's home: rows, clips, models, runs": backend.home,
        "what was set aside, with model, log and reason": backend.home / "quarantine",
        "the Hub's repositories": backend.home / "hub",
        "the golden set": facts.out / "golden",
        "each person's device": facts.out / "devices",
        "output of every process": facts.out / "logs",
    }
    return {name: path.relative_to(facts.out).as_posix() for name, path in places.items()}
