"""The table of what is to be sent, as it came to be."""

from __future__ import annotations

M003_OUTBOX = """
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('consent', 'withdrawal', 'sample')),
    scope TEXT NOT NULL,
    receipt_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    audio_sha256 TEXT,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'refused', 'withdrawn')),
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    reason TEXT,
    detail TEXT,
    UNIQUE (entry_id, kind)
) STRICT;
CREATE INDEX outbox_by_state ON outbox(state);
"""

# One more kind: a sample that left and is taken back. SQLite changes no CHECK, so the table is made anew.
M006_DELETIONS = """
CREATE TABLE outbox_next (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('consent', 'withdrawal', 'deletion', 'sample')),
    scope TEXT NOT NULL,
    receipt_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    audio_sha256 TEXT,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'refused', 'withdrawn')),
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    reason TEXT,
    detail TEXT,
    UNIQUE (entry_id, kind)
) STRICT;
INSERT INTO outbox_next SELECT * FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_next RENAME TO outbox;
CREATE INDEX outbox_by_state ON outbox(state)
"""

# When its bytes began to leave, the last time; unknown for what left before this was noted.
M009_LEFT_AT = "ALTER TABLE outbox ADD COLUMN left_at TEXT"
