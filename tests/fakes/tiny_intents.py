"""A classifier of two intents over a BERT of random weights, as a folder and as a model on a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.fakes.release_server import make_release
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import Head, save_classifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.device.installed import Installed

LABELS = ("music", "weather")
EXAMPLES = ("play some song", "is it warm weather")


def tiny_intents(folder: Path, *, labels: tuple[str, str] = LABELS, threshold: float = -1.0) -> Path:
    """A classifier in a new folder. With `labels` turned round it says the opposite; at a threshold above 1 nothing."""
    directions = SentenceEmbedder(tiny_bert()).embed(EXAMPLES)
    save_classifier(folder, tiny_bert(), Head(labels, np.ascontiguousarray(directions), 20.0, threshold, {}), bits=8)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """What is in it, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def install_intents(home: Path, made: Path, *, seq: int = 1, version: str = "1.0.0") -> None:
    """The classifier in `made`, on a device; it is tried when it is first asked, or at once where there is another."""
    release = make_release(files_of(made), seq=seq, version=version, channel="stable.intents")
    package = made.parent / f"{seq}.zip"
    package.write_bytes(release.package)
    installed = Installed(home / "intents")
    with installed.changing():
        installed.begin_trial(installed.add(package, release.manifest))
