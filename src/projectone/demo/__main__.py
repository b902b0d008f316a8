"""`projectone-demo`: the whole loop on this machine, in one command."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from projectone import __version__
from projectone.errors import ProjectOneError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projectone.demo.screen import Screen
    from projectone.demo.story import Story

EXIT_OK, EXIT_BROKEN_PROMISE, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130
_MARK = ".projectone-demo"
_EXAMPLES = """\
examples:
  projectone-demo                                   synthetic voices, made on the spot
  projectone-demo --corpus speech/digits            your own recordings: a folder with a manifest.jsonl, in which
                                                    each line has audio, text and speaker (accent, split, duration_s)
  projectone-demo --corpus speech/digits --json     the summary as one JSON object on the last line
  projectone-demo --out out/monday --keep           leave what an earlier demo put there

Each speaker of the corpus is a user with a device. Everything happens below --out: a server, the devices, a report.
Exit codes: 0 done, 1 a promise was broken (the output says which), 2 an error, 130 interrupted."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="projectone-demo",
        description="People correct what a speech model heard, the model becomes better, and a poisoned batch does not "
        "get through: Hub, API, worker and devices, all on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="folder with a manifest.jsonl (default: synthetic)")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("out/demo"), help="default: out/demo")
    parser.add_argument("--json", action="store_true", help="print the summary as the last line on standard output")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep what an earlier demo left in --out: it is renamed to DIR-1, DIR-2, and so on",
    )
    parser.add_argument(
        "--base", default="starter", metavar="REF", help="version 1.0.0: `starter`, or a folder in the Hub's layout"
    )
    parser.add_argument("--seed", type=int, default=2, help="decides who is who (default 2)")
    parser.add_argument("--version", action="version", version=f"projectone-demo {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Play the demo; gives the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        with _ended_by_signals():
            return _play(arguments)
    except ProjectOneError as error:
        print(f"\nprojectone-demo: {error}", file=sys.stderr)
        logs = arguments.out / "logs"
        if logs.is_dir():
            print(f"projectone-demo: logs of every process: {logs}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("\nprojectone-demo: interrupted; its processes have ended", file=sys.stderr)
        return EXIT_INTERRUPTED


def _play(arguments: argparse.Namespace) -> int:
    # A second thread makes a small model's matrices hardly faster, and where it has to wait for a core, far slower.
    # So each device and each process gets one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Only now: `--help` needs none of the speech code, and the BLAS counts its threads when it is loaded.
    from projectone.demo.loop import run_demo
    from projectone.demo.report import summary_of, write_report
    from projectone.demo.screen import Screen
    from projectone.demo.stage import DemoOptions

    out = prepare_folder(arguments.out, arguments.corpus, is_kept=arguments.keep)
    screen = Screen(sys.stderr if arguments.json else sys.stdout)
    options = DemoOptions(
        corpus=arguments.corpus, out=out, environment=os.environ, model=arguments.base, seed=arguments.seed
    )
    story = run_demo(options, screen)
    page = write_report(story, out)
    is_kept_promise = _conclude(story, page, screen)
    if arguments.json:
        print(json.dumps(summary_of(story), ensure_ascii=False))
    return EXIT_OK if is_kept_promise else EXIT_BROKEN_PROMISE


def prepare_folder(out: Path, corpus: Path | None, *, is_kept: bool) -> Path:
    """An empty folder for the demo, absolute.

    Raises:
        SettingsError: if the folder holds something that no demo put there, or the corpus.
    """
    out = out.absolute()
    if corpus is not None and corpus.resolve().is_relative_to(out.resolve()):
        raise SettingsError(f"--out {out}: expected a folder beside the corpus, got one around it")
    try:
        if out.exists() and any(out.iterdir()):
            if not (out / _MARK).is_file():
                raise SettingsError(
                    f"--out {out}: expected an empty folder or one of an earlier demo; name another one"
                )
            _put_aside(out) if is_kept else shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        (out / _MARK).write_text("This folder is emptied when the demo starts again.\n")
    except OSError as error:
        raise SettingsError(f"--out {out}: {error.strerror or error}; name another folder") from error
    return out


def _put_aside(out: Path) -> None:
    number = next(number for number in range(1, 10_000) if not out.with_name(f"{out.name}-{number}").exists())
    out.rename(out.with_name(f"{out.name}-{number}"))


def _conclude(story: Story, page: Path, screen: Screen) -> bool:
    """The box at the end; says whether every promise was kept."""
    from projectone.demo.report import headline

    before, after = story.target_before, story.target_after
    broken = broken_promises(story)
    try:
        shown = page.relative_to(Path.cwd())
    except ValueError:
        shown = page
    screen.box(
        [
            *(f"BROKEN PROMISE: {promise}" for promise in broken),
            headline(story),
            "",
            f"never uploaded   {_rate(before.value)} → {_rate(after.value)}   word errors over {after.n_units} words",
            f"golden set       {_rate(story.golden_before.value)} → {_rate(story.golden_after.value)}",
            *_meaning_lines(story),
            f"in production    {story.production_after_poison}; the poisoned batch: {story.poisoned.status}",
            f"took             {story.wall_s:.0f} s",
            "",
            f"report           {shown}",
            f"numbers          {shown.with_name('summary.json')}",
            f"server           PROJECTONE_SERVER_HOME={shown.parent / 'server'} projectone-server status",
            f"somebody's app   PROJECTONE_HOME={shown.parent / 'devices' / 'device-2'} projectone ui",
            "next             README.md, and docs/map.md for where each thing lives",
        ]
    )
    return not broken


def _meaning_lines(story: Story) -> list[str]:
    found = story.meaning
    if found is None:
        return []
    return [
        f"understood       {found.n_right_before} → {found.n_right_after}   of {found.n_kept_back} sentences kept back"
    ]


def broken_promises(story: Story) -> list[str]:
    """What must never happen, and did."""
    broken = []
    if story.withheld.n_rows + story.withheld.n_hits:
        broken.append(f"the backend knows something of {story.withheld.user}, who did not consent")
    if story.poisoned.status == "deployed":
        broken.append("a model that learned from poisoned corrections went into production")
    elif not story.is_production_as_before:
        broken.append("production changed although nothing was deployed")
    return broken


def _rate(fraction: float) -> str:
    return f"{100 * fraction:5.1f} %"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: its processes first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
