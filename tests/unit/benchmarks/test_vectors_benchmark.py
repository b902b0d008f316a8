"""The benchmark of vectors, small and without servers."""

from __future__ import annotations

from tests.unit.benchmarks.test_speed_benchmarks import result_of


def test_every_store_is_timed_in_turns_and_its_recall_counted() -> None:
    result = result_of("vectors", "--stores", "sqlite", "matrix")
    rows = result["figures"]["2000"]
    assert set(rows) == {"numpy, one matrix", "sqlite", "matrix"}
    assert all(row["recall"] == row["other_recall"] == 1 for row in rows.values())
    assert all(row["ms"] > 0 and row["other_ms"] > 0 and row["put_per_s"] > 0 for row in rows.values())
    assert rows["sqlite"]["disk_mb"] > 0 == rows["matrix"]["disk_mb"]
    assert rows["sqlite"]["first_ms"] > 0
    assert result["left_out"]["sqlite-vec, by owner"] == "not asked for"
