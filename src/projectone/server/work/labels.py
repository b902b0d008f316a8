"""`projectone-server corpus labels`: which intents this server teaches, and how many people gave sentences for each."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projectone.contracts.assist import label_of
from projectone.contracts.texts import printable
from projectone.errors import SettingsError
from projectone.server.corpus.labels import Labels
from projectone.server.corpus.tables import SampleRow
from projectone.server.database import Engine
from projectone.server.home import open_catalog
from projectone.server.settings import ServerSettings
from projectone.server.work.quarantine import user_name
from projectone.storage.blobs import FileBlobs
from projectone.storage.given_files import read_given

EXAMPLES = """\
  projectone-server corpus labels                         intents that are taught, and what was given for each
  projectone-server corpus labels --add weather --add timer
  projectone-server corpus labels --from classifier.json  those of a classifier, or of a text file with one a line
  projectone-server corpus labels --remove timer"""

ACTIONS = ("labels",)
EXIT_FINE = 0
_MAX_FILE_BYTES = 1_000_000


def add_arguments(actions: Any) -> list[argparse.ArgumentParser]:  # noqa: ANN401 - argparse's own action has no public name
    """Declare `labels`."""
    listing = actions.add_parser(
        "labels", help="intents that corrected ones may name; a released classifier adds its own"
    )
    listing.add_argument("--add", action="append", default=[], metavar="LABEL", help="teach it; may be repeated")
    listing.add_argument("--from", dest="file", type=Path, metavar="FILE", help="add those of a file")
    listing.add_argument(
        "--remove", action="append", default=[], metavar="LABEL", help="take it no more; may be repeated"
    )
    return [listing]


def execute(
    arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, blobs: FileBlobs
) -> tuple[int, dict[str, Any], str]:
    """Change the list if that is asked, and print it; gives the exit code, the facts, and the same as a text.

    Raises:
        SettingsError: if the file holds no labels, or one is to be added and removed at once.
        DataError: ``label`` if one cannot be the name of an intent.
    """
    labels = Labels(engine)
    wanted = [*arguments.add, *([] if arguments.file is None else read_labels(arguments.file))]
    if both := sorted({*wanted} & {*arguments.remove}):  # one of the two would be done in silence
        raise SettingsError(f"{both[0]!r:.60}: expected it to be added or removed, not both")
    n_added, n_gone = labels.change(add=wanted, remove=arguments.remove, now=datetime.now(UTC), by=user_name())
    rows = (row for page in open_catalog(settings, engine).usable_pages(family="intents") for row in page)
    given = _given(rows)
    facts = [{"label": label, "n_samples": given[label][0], "n_people": given[label][1]} for label in labels.all()]
    none = {"n_samples": given[None][0], "n_people": given[None][1]}
    lines = [
        f"{item['n_samples']:6}  from {item['n_people']:4} people  {printable(str(item['label']))}" for item in facts
    ]
    lines.append(f"{none['n_samples']:6}  from {none['n_people']:4} people  none of these")
    if not facts:
        lines.append("no label is taught yet: corrected intents are refused, but for none of these")
    if n_added or n_gone:
        lines.append(f"{n_added} added, {n_gone} removed")
    return EXIT_FINE, {"labels": facts, "none_of_these": none, "added": n_added, "removed": n_gone}, "\n".join(lines)


def read_labels(path: Path) -> list[str]:
    """The labels of a file: a `classifier.json`, or one a line.

    Raises:
        SettingsError: if it holds none.
    """
    content = read_given(path, max_bytes=_MAX_FILE_BYTES, expected="labels")
    try:
        text = content.decode()
        found = json.loads(text)["labels"] if text.lstrip().startswith("{") else text.splitlines()
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{str(path)!r}: expected a classifier.json, or labels one a line") from error
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise SettingsError(f"{str(path)!r}: expected labels as texts")
    kept = [label.strip() for label in found if label.strip()]
    if not kept:
        raise SettingsError(f"{str(path)!r}: expected labels, found none")
    return kept


def _given(rows: Iterable[SampleRow]) -> defaultdict[str | None, tuple[int, int]]:
    """How many samples that may be learned from name a label, and of how many people."""
    people: defaultdict[str | None, list[str]] = defaultdict(list)
    for row in rows:
        people[label_of(row.text)].append(row.contributor_id)
    found = {label: (len(own), len(set(own))) for label, own in people.items()}
    return defaultdict(lambda: (0, 0), found)
