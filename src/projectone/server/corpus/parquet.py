"""Clips and texts as Parquet that Hugging Face `datasets` opens as audio. Needs the extra `export`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from projectone.errors import SettingsError

_ROWS_AT_ONCE = 100
_RATE_HZ = 16_000
_VALUES = ("id", "text", "speaker", "language", "accent")


def write_parquet(path: Path, rows: Iterator[tuple[Mapping[str, Any], bytes]]) -> None:
    """Write the file, a group of rows at a time.

    Args:
        path: The file; its folder is made.
        rows: A sample's columns (`id`, `text`, `speaker`, `language`, `accent`, `duration_s`), and its WAV file.

    Raises:
        SettingsError: if pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # only who exports to Parquet needs it
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        message = "Parquet: needs pyarrow; run `pip install 'projectone[export]'`, or use --format audiofolder"
        raise SettingsError(message) from error
    schema = pa.schema(
        [
            ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            *((name, pa.string()) for name in _VALUES),
            ("duration_s", pa.float64()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": _features()}})},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:
        while group := list(islice(rows, _ROWS_AT_ONCE)):
            plain = [
                {"audio": {"bytes": wav, "path": f"{columns['id'][:32]}.wav"}, **columns} for columns, wav in group
            ]
            writer.write_table(pa.Table.from_pylist(plain, schema=schema))


def _features() -> dict[str, Any]:
    """What the columns are, as `datasets` keeps it in a file's own metadata."""
    values: dict[str, Any] = {name: {"dtype": "string", "_type": "Value"} for name in _VALUES}
    audio = {"audio": {"sampling_rate": _RATE_HZ, "_type": "Audio"}}
    return audio | values | {"duration_s": {"dtype": "float64", "_type": "Value"}}
