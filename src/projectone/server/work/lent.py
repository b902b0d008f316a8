"""Sentences that people lent to judge classifiers, for whoever judges outside of a run."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_sentence
from projectone.server.corpus.golden_seals import PARTS
from projectone.server.corpus.golden_set import GoldenSets
from projectone.server.corpus.vault import Vault
from projectone.server.database import open_engine
from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.home import open_keys
from projectone.server.settings import ServerSettings
from projectone.server.work.golden import GOLDEN_KEY, SealedTexts
from projectone.storage.blobs import FileBlobs


def lent_sentences(settings: ServerSettings) -> list[GoldenText]:
    """Those of the part that decides, as they were sealed last; the secret part decides nothing here either.

    Raises:
        StorageError: if the home's database or disk refused.
    """
    if not (settings.keys_folder / GOLDEN_KEY).is_file():  # nothing was ever sealed
        return []
    engine = open_engine(settings.database_url)
    try:
        with closing(open_keys(settings, can_open=True)) as keys:
            catalog = Catalog(engine, Vault(keys))
            read = partial(read_sentence, catalog, FileBlobs(settings.home / "blobs"))
            return SealedTexts(GoldenSets(engine, catalog, "intents"), PARTS[0], read, settings.keys_folder).texts()
    finally:
        engine.dispose()
