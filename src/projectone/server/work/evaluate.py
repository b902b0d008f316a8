"""`projectone-server evaluate`: a model on any manifest, alone or against another."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from projectone.contracts.scores import EvaluationReport, Score, UtteranceScore
from projectone.errors import SettingsError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.golden import GoldenSet, load_golden
from projectone.server.evaluation.kept_hearings import KeptHearings, hear_all
from projectone.server.evaluation.scorer import SCORING, character_score, score_model, word_score
from projectone.server.settings import ServerSettings
from projectone.server.work.clips import open_decoder
from projectone.server.work.progress import ProgressLine
from projectone.server.work.references import resolve_model
from projectone.speech.int8 import Numerics
from projectone.speech.transcribe import TranscribeOptions

SUMMARY = "Score a model on any manifest of speech: word and character error rates with 95 % intervals."
EXAMPLES = """  projectone-server evaluate --model starter --data speech/manifest.jsonl
  projectone-server evaluate --model out/tuned --data speech/manifest.jsonl --against starter --json
  projectone-server evaluate --model starter --data speech/manifest.jsonl --numerics int8
  projectone-server evaluate --model starter --data speech/manifest.jsonl --keep out/heard"""

_LARGEST_TABLE = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    parser.add_argument("--model", required=True, help="folder, `starter`, or owner/name[@revision] on the Hub")
    parser.add_argument(
        "--data", required=True, type=Path, help="manifest.jsonl (or its folder): audio, text; speaker, accent, split"
    )
    parser.add_argument("--against", help="a second model: whether the first may replace it, and why")
    parser.add_argument("--split", help="only rows with this `split`")
    parser.add_argument("--language", default="en", help="language of the texts (default en)")
    parser.add_argument("--batch-size", type=int, default=16, help="clips decoded together (default 16)")
    parser.add_argument(
        "--numerics",
        choices=get_args(Numerics),
        default="float32",
        help="what the model computes in (default float32; int8 is faster on a CPU; the other model too)",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep what was heard there; the same command goes on where it was ended",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Score, compare if asked, print."""
    if arguments.batch_size < 1:
        raise SettingsError(f"--batch-size: expected 1 or more, got {arguments.batch_size}")
    folder = resolve_model(arguments.model, settings)
    other = resolve_model(arguments.against, settings) if arguments.against else None
    rows = read_manifest(arguments.data, split=arguments.split)
    line = ProgressLine(sys.stderr)
    with open_decoder() as decode:
        golden = load_golden(rows, _counted(decode, len(rows), line))
    options = replace(SCORING, language=arguments.language)
    report = _score(folder, golden, options, arguments, line, name=arguments.model)
    answer: dict[str, Any] = {
        "model": arguments.model,
        "data": str(arguments.data),
        "split": arguments.split,
        "numerics": arguments.numerics,
        **_plain(report),
    }
    if other is not None:
        theirs = _score(other, golden, options, arguments, line, name=arguments.against)
        verdict = judge(theirs, report)
        answer["against"] = {"model": arguments.against, **_plain(theirs)}
        answer["verdict"] = verdict.model_dump(mode="json")
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(_describe(answer))
    return 0


def _counted(decode: Callable[[Path], Any], n_clips: int, line: ProgressLine) -> Callable[[Path], Any]:
    n_done = 0

    def counting(path: Path) -> Any:  # noqa: ANN401 - passes on what the decoder gives
        nonlocal n_done
        n_done += 1
        line.show(f"reading {n_done}/{n_clips} clips", is_last=n_done == n_clips)
        return decode(path)

    return counting


def _score(
    folder: Path,
    golden: GoldenSet,
    options: TranscribeOptions,
    arguments: argparse.Namespace,
    line: ProgressLine,
    *,
    name: str,
) -> EvaluationReport:
    report = score_model(
        folder,
        golden,
        options=options,
        numerics=arguments.numerics,
        batch_size=arguments.batch_size,
        examine=arguments.against is not None,
        hear=hear_all if arguments.keep is None else KeptHearings(arguments.keep),
        on_progress=lambda n_done, n_clips: line.show(
            f"{name}: {n_done}/{n_clips} clips transcribed", is_last=n_done == n_clips
        ),
    )
    line.say(f"{name}: {report.n_clips} clips transcribed in {report.wall_s:.1f} s")
    return report


def _plain(report: EvaluationReport) -> dict[str, Any]:
    """The report as the command prints it: rates with their units, tables by speaker and accent."""
    silent = [u for u in report.utterances if not u.n_words]
    return {
        "model_sha256": report.model_sha256,
        "dataset_sha256": report.dataset_sha256,
        "wer": _rate(report.wer, "n_words"),
        "cer": _rate(report.cer, "n_characters"),
        "n_clips": report.n_clips,
        "audio_s": report.audio_s,
        "wall_s": report.wall_s,
        "silence": {"n_clips": len(silent), "n_with_words": sum(bool(u.hypothesis.strip()) for u in silent)},
        "speakers": _table(report.utterances, lambda utterance: utterance.speaker),
        "accents": _table(report.utterances, lambda utterance: utterance.slice),
    }


def _table(utterances: Sequence[UtteranceScore], key: Callable[[UtteranceScore], str]) -> dict[str, Any]:
    groups: dict[str, list[UtteranceScore]] = defaultdict(list)
    for utterance in utterances:
        if utterance.n_words:
            groups[key(utterance)].append(utterance)
    return {
        name: {
            "wer": _rate(word_score(own, n_resamples=2000), "n_words"),
            "cer": _rate(character_score(own, n_resamples=2000), "n_characters"),
            "n_clips": len(own),
        }
        for name, own in sorted(groups.items())
    }


def _rate(score: Score, unit: str) -> dict[str, float | int]:
    return {"value": score.value, "low": score.low, "high": score.high, unit: score.n_units}


def _describe(answer: dict[str, Any]) -> str:
    lines = [
        f"model     {answer['model']} (sha256 {answer['model_sha256'][:12]}), {answer['numerics']}",
        f"data      {answer['n_clips']} clips, {answer['audio_s']:.0f} s, in {answer['wall_s']:.1f} s",
        f"WER       {_rate_text(answer['wer'])} over {answer['wer']['n_words']} words",
        f"CER       {_rate_text(answer['cer'])} over {answer['cer']['n_characters']} characters",
    ]
    if answer["silence"]["n_clips"]:
        lines.append(f"silence   words on {answer['silence']['n_with_words']} of {answer['silence']['n_clips']} clips")
    for what in ("accents", "speakers"):
        table = answer[what]
        if 1 < len(table) <= _LARGEST_TABLE:
            width = max(len(name) for name in table)
            lines += [f"{what}:"] + [
                f"  {name:{width}}  {_rate_text(row['wer'])}  {row['n_clips']} clips" for name, row in table.items()
            ]
    if "against" in answer:
        lines.append(f"against   {answer['against']['model']}: WER {_rate_text(answer['against']['wer'])}")
        lines.append(f"verdict   {answer['verdict']['decision']}")
        lines += [f"  {reason}" for reason in answer["verdict"]["reasons"]]
    return "\n".join(lines)


def _rate_text(rate: dict[str, float]) -> str:
    return f"{100 * rate['value']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"
