"""What happened, as one page that needs nothing else, and as JSON."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from projectone.contracts.scores import Score
from projectone.demo.story import Meaning, Story, TrainingRun
from projectone.storage.files import write_atomically

PAGE, SUMMARY = "index.html", "summary.json"


def write_report(story: Story, folder: Path) -> Path:
    """Write the page and `summary.json` into `folder`; gives the page's path.

    Raises:
        StorageError: if the disk refused.
    """
    summary = json.dumps(summary_of(story), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / SUMMARY, f"{summary}\n".encode())
    write_atomically(folder / PAGE, render(story).encode())
    return folder / PAGE


def summary_of(story: Story) -> dict[str, Any]:
    """The numbers of the demo, ready for JSON."""
    deployed = next((version for version in reversed(story.versions) if version.is_released), None)
    return {
        "corpus": story.corpus,
        "seed": story.seed,
        "target_wer_before": _rate(story.target_before),
        "target_wer_after": _rate(story.target_after),
        "golden_wer_before": _rate(story.golden_before),
        "golden_wer_after": _rate(story.golden_after),
        "deployed_version": story.production_after_poison,
        "deployed_commit": deployed.commit if deployed else None,
        "deployed_tag": deployed.tag if deployed else None,
        "active_versions": {user.name: user.active_version for user in story.users},
        "withheld_user": story.withheld.user,
        "withheld_user_samples_on_server": story.withheld.n_rows + story.withheld.n_hits,
        "withheld_search": asdict(story.withheld),
        "learning_status": story.learning.status,
        "poisoned_batch_status": story.poisoned.status,
        "poisoned_samples": story.n_poisoned,
        "production_before_poison": story.production_before_poison,
        "production_after_poison": story.production_after_poison,
        "is_production_as_before": story.is_production_as_before,
        "corpus_taken": story.taken or "all of it",
        "users": [asdict(user) | {"before": _rate(user.before), "after": _rate(user.after)} for user in story.users],
        "runs": [_run(run) for run in (story.learning, story.poisoned)],
        "meaning": None if story.meaning is None else _meaning(story.meaning),
        "wall_s": round(story.wall_s, 1),
    }


def render(story: Story) -> str:
    """The page, with nothing to fetch: styles and drawings are inside."""
    from projectone.demo import plots

    environment = Environment(
        loader=PackageLoader("projectone.demo"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    return environment.get_template("report.html.j2").render(
        story=story,
        headline=headline(story),
        examples=[
            (example, compare(example.said, example.before), compare(example.said, example.after))
            for example in story.examples
        ],
        drawings={
            "versions": plots.versions_plot(story.versions),
            "users": plots.users_plot(story.users),
            "slices": plots.slices_plot(story.slices) if len(story.slices) > 1 else "",
            "loss": plots.loss_plot(story.learning.losses) if story.learning.losses else "",
            "timeline": plots.timeline_plot(story.acts),
        },
    )


def headline(story: Story) -> str:
    """The result in one sentence, whatever it is."""
    before, after = percent(story.target_before.value), percent(story.target_after.value)
    if story.learning.status != "deployed":
        return (
            f"No better model came out of these corrections, so nothing was released: "
            f"the word error rate stays at {before}."
        )
    if story.target_after.value < story.target_before.value:
        return f"On recordings that never left the devices, word errors fell from {before} to {after}."
    return (
        f"A model that is better on the golden set was released, but on recordings that never left the devices "
        f"word errors went from {before} to {after}."
    )


def percent(fraction: float) -> str:
    """A fraction for people: ``"12.3 %"``."""
    return f"{100 * fraction:.1f}\u202f%"


@dataclass(frozen=True)
class Piece:
    """A stretch of a transcript, and whether it is as it was said."""

    text: str
    is_right: bool


def compare(said: str, heard: str) -> list[Piece]:
    """What was heard, cut where it starts or stops being what was said; a dash stands for words that are missing."""
    reference, words = said.split(), heard.split()
    pieces: list[Piece] = []
    for kind, _, _, start, end in difflib.SequenceMatcher(None, reference, words, autojunk=False).get_opcodes():
        if kind == "delete":
            pieces.append(Piece("–", is_right=False))  # noqa: RUF001 - a dash for a gap, as in print
        else:
            pieces.append(Piece(" ".join(words[start:end]), is_right=kind == "equal"))
    return pieces


def _rate(score: Score) -> dict[str, float | int]:
    return {
        "value": round(score.value, 6),
        "low": round(score.low, 6),
        "high": round(score.high, 6),
        "n_words": score.n_units,
    }


def _meaning(meaning: Meaning) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(meaning).items()}


def _run(run: TrainingRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "status": run.status,
        "n_clips": run.n_clips,
        "audio_s": round(run.audio_s, 1),
        "wall_s": round(run.wall_s, 1),
        "discarded": run.discarded,
        "verdict": run.verdict.model_dump(mode="json") if run.verdict else None,
        "notification": run.notification,
    }
