import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from projectone.errors import LeaseError, StorageError
from projectone.server.pipeline.checkpoints import SealedSerializer, assert_strict_reader, load_key, open_checkpointer

CONFIG: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}}
PERMISSIVE = """
import langgraph.checkpoint.serde.jsonplus
from projectone.errors import StorageError
from projectone.server.pipeline.checkpoints import assert_strict_reader
try:
    assert_strict_reader()
except StorageError as error:
    assert "LANGGRAPH_STRICT_MSGPACK" in str(error)
    print("refused")
"""


RUNS_CODE = """
import sys
import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
call = ormsgpack.packb(("os", "mkdir", sys.argv[1]))
JsonPlusSerializer().loads_typed(("msgpack", ormsgpack.packb(ormsgpack.Ext(0, call))))
"""


def test_saved_state_cannot_run_code(tmp_path: Path) -> None:
    # Not above: a test that imports langgraph before the pipeline switches the strict reader off for everybody.
    import ormsgpack
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    target = tmp_path / "made-by-a-checkpoint"
    call = ormsgpack.packb(("os", "mkdir", str(target)))
    payload = ormsgpack.packb(ormsgpack.Ext(0, call))  # 0: call with a single argument
    assert JsonPlusSerializer().loads_typed(("msgpack", payload)) == str(target)
    assert not target.exists()
    assert_strict_reader()


def test_control_read_as_it_comes_saved_state_runs_code(tmp_path: Path) -> None:
    target = tmp_path / "made-by-a-checkpoint"
    environment = {name: value for name, value in os.environ.items() if name != "LANGGRAPH_STRICT_MSGPACK"}
    subprocess.run([sys.executable, "-c", RUNS_CODE, str(target)], env=environment, check=True, capture_output=True)
    assert target.is_dir()


def test_control_without_seals_the_row_of_another_run_is_believed() -> None:
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    kind, content = JsonPlusSerializer().dumps_typed({"run_id": "another"})
    assert JsonPlusSerializer().loads_typed((kind, content)) == {"run_id": "another"}
    with pytest.raises(StorageError):
        SealedSerializer(b"mine").loads_typed((kind, content))


def test_a_reader_that_was_imported_without_the_switch_is_refused() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LANGGRAPH_STRICT_MSGPACK"}
    command = [sys.executable, "-c", PERMISSIVE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"


def test_the_memory_is_durable(tmp_path: Path) -> None:
    with open_checkpointer(tmp_path / "c.sqlite", "t", b"key", lambda: None) as saver:
        saver.setup()
        assert saver.conn.execute("PRAGMA synchronous").fetchone() == (2,)
        assert saver.conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_node_s_writes_appear_together_or_not_at_all(tmp_path: Path) -> None:
    with open_checkpointer(tmp_path / "c.sqlite", "t", b"key", lambda: None) as saver:
        saver.setup()
        saver.conn.execute("INSERT INTO writes VALUES ('t', '', 'c', 'task', 0, 'channel', 'null', NULL, '')")
        assert saver.conn.in_transaction
        saver.conn.rollback()
        assert saver.conn.execute("SELECT count(*) FROM writes").fetchone() == (0,)


def test_a_stale_worker_saves_nothing(tmp_path: Path) -> None:
    def stale() -> None:
        raise LeaseError("stale")

    with open_checkpointer(tmp_path / "c.sqlite", "t", b"key", stale) as saver:
        saver.setup()
        with pytest.raises(LeaseError):
            saver.put_writes(CONFIG, [("channel", 1)], "task")
        with pytest.raises(LeaseError):
            saver.put(CONFIG, {"id": "c"}, {}, {})  # type: ignore[typeddict-item]
        assert saver.conn.execute("SELECT count(*) FROM writes").fetchone() == (0,)
        assert saver.conn.execute("SELECT count(*) FROM checkpoints").fetchone() == (0,)


def test_a_locked_memory_is_an_error_that_is_tried_again_later(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with open_checkpointer(path, "t", b"key", lambda: None) as saver, closing(sqlite3.connect(path)) as other:
        saver.setup()
        saver.conn.execute("PRAGMA busy_timeout=20")
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="database is locked; the run goes on from its last checkpoint"):
            saver.put(CONFIG, {"id": "c"}, {}, {})  # type: ignore[typeddict-item]
        with pytest.raises(StorageError, match="database is locked"):
            saver.put_writes(CONFIG, [("channel", 1)], "task")
        other.execute("ROLLBACK")
        saver.put(CONFIG, {"id": "c"}, {}, {})  # type: ignore[typeddict-item]
        assert saver.get_tuple(CONFIG) is not None


def test_a_memory_that_cannot_be_opened_or_read_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with open_checkpointer(path, "t", b"key", lambda: None) as saver, closing(sqlite3.connect(path)) as other:
        saver.conn.execute("PRAGMA busy_timeout=20")
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="database is locked"):
            saver.get_tuple(CONFIG)  # its tables are not made yet
        other.execute("ROLLBACK")
        assert saver.get_tuple(CONFIG) is None
        saver.conn.execute("DROP TABLE checkpoints")
        with pytest.raises(StorageError, match="no such table"):
            saver.get_tuple(CONFIG)


def test_a_node_s_result_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    with open_checkpointer(tmp_path / "c.sqlite", "t", b"key", lambda: None) as saver:
        saver.setup()
        saver.conn.execute(
            "CREATE TRIGGER full BEFORE INSERT ON writes WHEN new.idx = 1 BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        with pytest.raises(StorageError, match="disk full"):
            saver.put_writes(CONFIG, [("one", 1), ("two", 2)], "task")
        assert saver.conn.execute("SELECT count(*) FROM writes").fetchone() == (0,)


@pytest.mark.parametrize("change", ["content", "type", "cut", "unsealed", "another run's", "another server's"])
def test_a_row_that_this_run_did_not_save_is_refused(change: str) -> None:
    mine, others = SealedSerializer(b"mine"), SealedSerializer(b"other")
    kind, content = mine.dumps_typed({"run_id": "r"})
    plain = super(SealedSerializer, mine).dumps_typed({"run_id": "r"})
    changed = {
        "content": (kind, content[:-1] + b"x"),
        "type": ("bytes", content),
        "cut": (kind, content[:-1]),
        "unsealed": plain,
        "another run's": others.dumps_typed({"run_id": "r"}),
        "another server's": others.dumps_typed({"run_id": "s"}),
    }[change]
    assert mine.loads_typed((kind, content)) == {"run_id": "r"}
    with pytest.raises(StorageError, match="not one that this run saved"):
        mine.loads_typed(changed)


def test_a_row_moved_from_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    for thread in ("t", "other"):
        with open_checkpointer(path, thread, b"key", lambda: None) as saver:
            config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
            saver.put(config, {"id": "1", "v": 4, "channel_values": {"run_id": thread}}, {}, {})  # type: ignore[typeddict-item]
    with open_checkpointer(path, "t", b"key", lambda: None) as saver:
        config = {"configurable": {"thread_id": "t"}}
        assert saver.get_tuple(config) is not None
        saver.conn.execute(
            "UPDATE checkpoints SET checkpoint = (SELECT checkpoint FROM checkpoints WHERE thread_id = 'other')"
        )
        saver.conn.commit()
        with pytest.raises(StorageError):
            saver.get_tuple(config)


def test_the_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.key"
    assert load_key(path) == load_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match="32 bytes"):
        load_key(path)
