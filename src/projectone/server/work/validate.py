"""`projectone-server validate`: the hold-out suites on a model or on production; the exit code tells the verdict."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from projectone.assist.classifiers import load_classifier
from projectone.assist.embeddings import Numerics
from projectone.assist.encoder.bert_files import TOKENIZER
from projectone.assist.encoder.wordpiece import whole_words
from projectone.assist.holdout.answers import AnswerCase, AnswerRequirements, judge_answers, read_answer_cases
from projectone.assist.holdout.findings import Finding
from projectone.assist.holdout.intents import IntentRequirements, judge_intents
from projectone.assist.holdout.toxicity import SafetyRequirements, judge_safety
from projectone.assist.noise import RecognitionNoise
from projectone.assist.safety import load_safety
from projectone.errors import SettingsError
from projectone.server.evaluation.intents.golden_texts import read_rows
from projectone.server.settings import ServerSettings

SUMMARY = "Judge a classifier, an alarm or generated answers on what nobody learned from; exit code 1 if it fails."
EXAMPLES = """\
  projectone-server validate                        # the classifier that devices have, on the golden texts
  projectone-server validate --model out/intents --data other.jsonl --require accuracy=0.9
  projectone-server validate --family safety        # the safety classifier that devices have
  projectone-server validate --family safety --model out/safety --data comments.jsonl --json
  projectone-server validate --family answers       # the templates
  projectone-server validate --family answers --url http://127.0.0.1:8080/v1 --server-model small --safety out/safety"""

FAMILIES = ("intents", "safety", "answers")
EXIT_FAILED = 1
_ANSWER_S = 60.0
Requirements = TypeVar("Requirements", IntentRequirements, SafetyRequirements, AnswerRequirements)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    parser.add_argument("--family", choices=FAMILIES, default="intents", help="what is judged (default intents)")
    parser.add_argument("--model", metavar="DIR", help="a classifier's folder (default: what devices have)")
    parser.add_argument("--data", type=Path, metavar="FILE", help="JSON lines: text, label (default: the golden texts)")
    parser.add_argument("--suite", action="append", metavar="NAME", help="only this suite; several times for several")
    parser.add_argument(
        "--require", action="append", default=[], metavar="NAME=SHARE", help="ask for more, or for less"
    )
    parser.add_argument("--numerics", choices=get_args(Numerics), default="float32", help="what is computed in")
    parser.add_argument(
        "--url", metavar="URL", help="answers: an OpenAI-compatible server, such as http://127.0.0.1:8080/v1"
    )
    parser.add_argument(
        "--server-model", default="default", metavar="NAME", help="answers: as that server calls its model"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="answers: what opens that server")
    parser.add_argument("--local", type=Path, metavar="DIR", help="answers: a language model in a folder")
    parser.add_argument("--safety", type=Path, metavar="DIR", help="answers: a safety classifier that reads them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Judge, print, and say by the exit code whether anything failed."""
    ask = {"intents": _intents, "safety": _safety, "answers": _answers}[arguments.family]
    subject, findings = ask(arguments, settings)
    known = [finding.suite for finding in findings]
    if strangers := sorted(set(arguments.suite or ()) - set(known)):
        raise SettingsError(f"--suite: expected some of {', '.join(known)}, got {strangers[0]!r}")
    kept = [finding for finding in findings if not arguments.suite or finding.suite in arguments.suite]
    failed = [finding for finding in kept if finding.outcome == "failed"]
    is_judged = any(finding.outcome == "met" for finding in kept)
    report = {
        "family": arguments.family,
        "subject": subject,
        "passed": not failed and is_judged,
        "reason": failed[0].reason if failed else None if is_judged else "nothing could be judged",
        "findings": [asdict(finding) for finding in kept],
    }
    print(json.dumps(report) if arguments.json else describe(report))
    return 0 if report["passed"] else EXIT_FAILED


def describe(report: dict[str, Any]) -> str:
    """The report for people."""
    marks = {"met": "ok  ", "failed": "FAIL", "not-judged": "-   "}
    width = max((len(row["suite"]) for row in report["findings"]), default=0)
    lines = [f"{marks[row['outcome']]}  {row['suite']:{width}}  {row['reason']}" for row in report["findings"]]
    verdict = "passed" if report["passed"] else f"failed: {report['reason']}"
    return "\n".join([f"{report['family']}: {report['subject']}", *lines, verdict])


def _intents(arguments: argparse.Namespace, settings: ServerSettings) -> tuple[str, Sequence[Finding]]:
    own = settings.of_family("intents")
    folder, subject = _classifier(arguments, own)
    data = arguments.data or (Path(own.golden) if own.golden else None)
    rows = [] if data is None else _rows(data)
    if arguments.data is None:  # as the gate judges: by what people lent, too
        rows += _lent(own)
    if not rows and data is None:
        raise SettingsError(
            "--data: expected texts that nobody learned from, or PROJECTONE_SERVER_INTENTS_GOLDEN, or sentences that "
            "people lent (`projectone-server golden --family intents`)"
        )
    classifier = load_classifier(folder, numerics=arguments.numerics)
    return subject, judge_intents(classifier, rows, _noise(folder), _required(IntentRequirements(), arguments))


def _classifier(arguments: argparse.Namespace, settings: ServerSettings) -> tuple[Path, str]:
    """The folder that was named, or that of the classifier which devices have; and what it is called."""
    if arguments.model is not None:
        return Path(arguments.model), arguments.model
    from projectone.server.work.references import PRODUCTION, resolve_model  # only here is there a database

    return resolve_model(PRODUCTION, settings), PRODUCTION


def _lent(settings: ServerSettings) -> list[tuple[str, str | None]]:
    """Sentences that people lent to judge classifiers, as they were sealed last; none where nothing was sealed."""
    from projectone.server.work.lent import lent_sentences  # only here is there a database

    return [(text.text, text.label) for text in lent_sentences(settings)]


def _safety(arguments: argparse.Namespace, settings: ServerSettings) -> tuple[str, Sequence[Finding]]:
    own = settings.of_family("safety")
    if arguments.data is None and own.golden is None:
        raise SettingsError("--data: expected texts that nobody learned from, or PROJECTONE_SERVER_SAFETY_GOLDEN")
    folder, subject = _classifier(arguments, own)
    guard = load_safety(folder, numerics=arguments.numerics)
    asked = _required(SafetyRequirements(), arguments)
    return subject, judge_safety(guard, _rows(arguments.data or Path(str(own.golden))), _noise(folder), asked)


def _answers(arguments: argparse.Namespace, _: ServerSettings) -> tuple[str, Sequence[Finding]]:
    flags = load_safety(arguments.safety, numerics=arguments.numerics).flags if arguments.safety else None
    asked = _required(AnswerRequirements(), arguments)
    with _generator(arguments) as (subject, generate):
        return subject, judge_answers(generate, read_answer_cases(), flags=flags, requirements=asked)


@contextmanager
def _generator(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[AnswerCase], str]]]:
    """Alone, without a chain round it: a fallback would answer for who is judged, and a cache would repeat for it."""
    from projectone.assist.generation.hosted import HostedGenerator, HostedServer
    from projectone.assist.generation.local.language_model import LocalGenerator
    from projectone.assist.generation.protocol import GenerationRequest, Generator
    from projectone.assist.generation.templates import TemplateGenerator
    from projectone.assist.generation.wordings import WORDINGS
    from projectone.assist.vectors.protocol import Owner

    opened = ExitStack()
    generator: Generator = TemplateGenerator(WORDINGS)
    if arguments.url and arguments.local:
        raise SettingsError("expected --url or --local, not both")
    if arguments.url:
        key = arguments.key_file.read_text().strip() if arguments.key_file else ""
        server = HostedServer(base_url=arguments.url, model=arguments.server_model, api_key=key)
        generator = opened.enter_context(closing(HostedGenerator(server)))
    elif arguments.local:
        generator = LocalGenerator(arguments.local)
    owner = Owner(tenant="validate", user="validate")

    def generate(case: AnswerCase) -> str:
        facts = "\n".join(f"{name}: {value}" for name, value in case.facts.items())
        request = GenerationRequest(
            owner=owner,
            prompt=case.prompt,
            kind=case.kind,
            facts=case.facts,
            system=f"{_SYSTEM}\n\nFacts:\n{facts or 'none'}",
            deadline_s=_ANSWER_S,
        )
        return generator.generate(request).text

    with opened:
        yield f"{generator.name} {generator.model_version}", generate


_SYSTEM = (
    "Answer in one or two sentences, with these facts alone. If they do not answer the question, or it is none to be "
    "answered, say that you cannot answer it."
)


def _rows(path: Path) -> list[tuple[str, str | None]]:
    return [(row["text"], row["label"]) for _, row in read_rows(path)]


def _noise(folder: Path) -> RecognitionNoise:
    return RecognitionNoise(whole_words((folder / TOKENIZER).read_bytes()))


def _required(standard: Requirements, arguments: argparse.Namespace) -> Requirements:
    changed: dict[str, float] = {}
    names = [field.name for field in fields(standard)]
    for word in arguments.require:
        name, _, share = word.partition("=")
        try:
            changed[name.replace("-", "_")] = float(share)
        except ValueError:
            raise SettingsError(f"--require: expected NAME=SHARE, got {word!r}") from None
    for name, share in changed.items():
        if name not in names or not 0 <= share <= 1:
            raise SettingsError(f"--require: expected one of {', '.join(names)} and a share, got {name}={share}")
    return replace(standard, **changed)
