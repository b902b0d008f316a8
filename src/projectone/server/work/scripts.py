"""`projectone-server scripts`: what the model gets wrong, and the sentences that people are asked to read for it.

The needs come from production's scores on the golden set and from the corrections whose consent holds. The sheet that
devices fetch is signed and made anew by the worker after every run; this command shows it, and makes it at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from projectone.contracts.scores import EvaluationReport
from projectone.contracts.signatures import SCRIPTS
from projectone.errors import DataError, SettingsError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.corpus.tables import SampleRow
from projectone.server.delivery.signing import load_signer
from projectone.server.evaluation.golden import GoldenSet, load_golden
from projectone.server.evaluation.scorer import score_model
from projectone.server.home import RELEASE_KEY, SCRIPT_SHEET
from projectone.server.scripts.needs import KINDS, MIN_SPEAKERS, Listening, Need, Pronounce, find_needs
from projectone.server.scripts.picker import Pick
from projectone.server.scripts.sentences import read_sentences
from projectone.server.scripts.sheet import Coverage, ScriptPicker, Unit
from projectone.server.scripts.sounds import sounds_of
from projectone.server.settings import ServerSettings
from projectone.server.work.clips import open_decoder
from projectone.server.work.references import resolve_model
from projectone.server.work.workshop import Workshop
from projectone.speech.normalize import normalize_text
from projectone.speech.synthesis import pronounce
from projectone.storage.files import write_atomically

SUMMARY = "Show what the model gets wrong, and which sentences people are asked to read because of it."
EXAMPLES = """  projectone-server scripts
  projectone-server scripts --count 10 --json
  projectone-server scripts --model starter --data speech/manifest.jsonl     any model, without a home"""

LANGUAGE = "en"  # of the corpus of sentences
_MAX_SHOWN = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--count", type=int, default=10, metavar="N", help="sentences to show (default 10)")
    parser.add_argument("--top", type=int, default=12, metavar="N", help="needs of each kind to show (default 12)")
    parser.add_argument("--model", help="look at this model (folder, `starter`, owner/name) instead of production")
    parser.add_argument("--data", type=Path, help="with --model: manifest.jsonl of recordings to try it on")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Show needs and sentences; without --model, make the sheet for devices too."""
    for name in ("count", "top"):
        if not 1 <= getattr(arguments, name) <= _MAX_SHOWN:
            raise SettingsError(f"--{name}: expected 1 to {_MAX_SHOWN}, got {getattr(arguments, name)}")
    if (arguments.model is None) != (arguments.data is None):
        raise SettingsError("--model and --data: expected both or none")
    if arguments.model is None:
        workshop = Workshop(settings)
        try:
            needs, picker = publish_scripts(workshop)
        finally:
            workshop.close()
    else:
        with open_decoder() as decode:
            golden = load_golden(read_manifest(arguments.data), decode)
        report = score_model(resolve_model(arguments.model, settings), golden)
        needs, picker = find_needs(listenings_of(golden, report), _speaker_of_words()), _picker(golden)
    shown = picker.choose(needs, arguments.count)
    coverage = picker.coverage(needs, arguments.count)
    print(json.dumps(_facts(needs, picker, shown, coverage)) if arguments.json else _text(arguments, needs, picker))
    return 0


def publish_scripts(workshop: Workshop) -> tuple[tuple[Need, ...], ScriptPicker]:
    """Find the needs of production, and put the signed sheet where the API finds it.

    Without a golden set, and without corrections of enough people, the sheet has sentences with many different sounds.
    """
    golden = workshop.scores.golden() if workshop.settings.golden is not None else None
    heard: list[Listening] = list(corrections_heard(chain.from_iterable(workshop.catalog.usable_pages())))
    if golden is not None:
        heard += listenings_of(golden, workshop.score(workshop.production().weights_sha256))
    picker = _picker(golden)
    needs = find_needs(heard, _speaker_of_words())
    sheet = picker.sheet(needs, language=LANGUAGE, now=datetime.now(UTC))
    signer = load_signer(workshop.settings.keys_folder / RELEASE_KEY)
    write_atomically(workshop.home / SCRIPT_SHEET, signer.sign(SCRIPTS, sheet).to_bytes())
    return needs, picker


def listenings_of(golden: GoldenSet, report: EvaluationReport) -> Iterable[Listening]:
    """What a model made of the clips it was judged on."""
    hypotheses = {utterance.clip_id: utterance.hypothesis for utterance in report.utterances}
    for clip in golden.clips:
        if clip.clip_id in hypotheses:
            yield Listening(clip.text, hypotheses[clip.clip_id], clip.speaker, clip.slice)


def corrections_heard(rows: Iterable[SampleRow]) -> Iterable[Listening]:
    """What people corrected. A donation was heard by no model."""
    for row in rows:
        if row.kind == "correction" and row.heard is not None:
            yield Listening(row.text, row.heard, row.contributor_id, row.accent)


def _picker(golden: GoldenSet | None) -> ScriptPicker:
    taboo = {normalize_text(clip.text) for clip in golden.clips} if golden is not None else set()
    return ScriptPicker(read_sentences(), _speaker_of_words(), taboo=taboo)


@cache
def _speaker_of_words() -> Pronounce:
    """Sounds by espeak-ng; without its wheel words alone are counted."""

    @cache
    def speak(word: str) -> tuple[str, ...]:
        return sounds_of(pronounce(word))

    try:
        speak("one")
    except (ImportError, DataError):
        return lambda word: ()
    return speak


def _facts(
    needs: tuple[Need, ...], picker: ScriptPicker, shown: list[Pick[Unit]], coverage: Coverage
) -> dict[str, Any]:
    known = {need.unit: need for need in needs}
    return {
        "min_speakers": MIN_SPEAKERS,
        "needs": [asdict(need) for need in needs],
        "scripts": [
            {
                "script_id": choice.name,
                "text": picker.text_of(choice.name),
                "why": picker.why(choice, known),
                "gain": choice.gain,
            }
            for choice in shown
        ],
        "coverage": asdict(coverage),
    }


def _text(arguments: argparse.Namespace, needs: tuple[Need, ...], picker: ScriptPicker) -> str:
    known = {need.unit: need for need in needs}
    lines = []
    if not needs:
        lines.append(f"nothing is known to be misheard by {MIN_SPEAKERS} people or more: variety of sounds decides")
    for kind in KINDS:
        own = [need for need in needs if need.kind == kind]
        if own:
            lines += [f"{kind:<14}{'misheard':>9}{'said':>7}{'people':>8}{'share':>8}  taken for"]
            lines += [
                f"{need.name:<14}{need.n_wrong:>9}{need.n:>7}{need.n_speakers:>8}{need.weight:>8.1%}"
                f"  {need.heard_as or ''}".rstrip()
                for need in own[: arguments.top]
            ]
            lines.append("")
    for number, choice in enumerate(picker.choose(needs, arguments.count), start=1):
        lines += [f"{number:>3}. {picker.text_of(choice.name)}  ({choice.name})", f"     {picker.why(choice, known)}"]
    coverage = picker.coverage(needs, arguments.count)
    if needs:
        lines.append(
            f"\nthese {coverage.n_sentences} cover {coverage.chosen:.0%} of the needs; as many drawn by chance "
            f"{coverage.random_mean:.0%} on average, {coverage.random_best:.0%} in the best of 1000 draws"
        )
    return "\n".join(lines)
