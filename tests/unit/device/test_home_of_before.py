"""A home that an older version made opens with everything that was in it."""

from __future__ import annotations

from pathlib import Path

from projectone.device.migrations import MIGRATIONS
from projectone.device.recordings import M017_INTENTS
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.storage.database import Database

BEFORE = MIGRATIONS[: MIGRATIONS.index(M017_INTENTS)]


def test_data_points_of_before_are_the_same_where_their_table_is_made_anew(tmp_path: Path) -> None:
    rows = Database(tmp_path / "device.sqlite", BEFORE)
    columns = [row["name"] for row in rows.query("PRAGMA table_info(data_points)")]
    given = {
        "sample_id": "00000000-0000-0000-0000-000000000001",
        "kind": "donation",
        "audio_sha256": "a" * 64,
        "duration_s": 1.5,
        "text": "call Ana",
        "heard_by": "1.0.0",
        "script_id": "s-1",
        "created_at": "2026-01-02T03:04:05+00:00",
        "uploaded": 1,
        "others_present": 0,
    }
    rows.execute(
        f"INSERT INTO data_points ({', '.join(given)}) VALUES ({', '.join('?' * len(given))})", tuple(given.values())
    )
    before = dict(rows.query("SELECT * FROM data_points")[0])
    rows.close()
    with open_client(DeviceSettings(home=tmp_path)) as client:
        after = dict(client._rooms.database.query("SELECT * FROM data_points")[0])
        assert {name: after[name] for name in columns} == before
        assert (after["utterance"], after["ask_id"]) == (None, None)
        assert client.given.donations().n == 1
