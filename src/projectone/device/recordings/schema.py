"""The tables of recordings and of data points, as they came to be."""

from __future__ import annotations

M001_RECORDINGS = """
CREATE TABLE recordings (
    recording_id TEXT PRIMARY KEY,
    audio_sha256 TEXT NOT NULL,
    duration_s REAL NOT NULL,
    text TEXT NOT NULL,
    model_version TEXT NOT NULL,
    recorded_at TEXT NOT NULL
) STRICT;
CREATE TABLE data_points (
    sample_id TEXT PRIMARY KEY,
    recording_id TEXT REFERENCES recordings(recording_id),
    kind TEXT NOT NULL CHECK (kind IN ('correction', 'donation')),
    audio_sha256 TEXT NOT NULL,
    duration_s REAL NOT NULL,
    text TEXT NOT NULL,
    heard TEXT,
    heard_by TEXT,
    script_id TEXT,
    created_at TEXT NOT NULL,
    is_superseded INTEGER NOT NULL DEFAULT 0 CHECK (is_superseded IN (0, 1)),
    uploaded INTEGER NOT NULL DEFAULT 0 CHECK (uploaded IN (0, 1))
) STRICT;
CREATE INDEX data_points_by_recording ON data_points(recording_id);
"""

M008_WORDS = """
ALTER TABLE recordings ADD COLUMN words TEXT NOT NULL DEFAULT '[]';
ALTER TABLE recordings ADD COLUMN signals TEXT;
"""

# Sounds that were taken back. A row leaves with the first start that finds its file gone: neither a kill nor a power
# cut between a deletion and the removal of the file keeps a sound here.
M015_REMOVED_SOUNDS = """
CREATE TABLE removed_sounds (audio_sha256 TEXT PRIMARY KEY) STRICT
"""

# One more kind: a text, and what was meant by it. SQLite changes no CHECK, so the table is made anew.
M017_INTENTS = """
CREATE TABLE data_points_next (
    sample_id TEXT PRIMARY KEY,
    recording_id TEXT REFERENCES recordings(recording_id),
    kind TEXT NOT NULL CHECK (kind IN ('correction', 'donation', 'intent')),
    audio_sha256 TEXT NOT NULL,
    duration_s REAL NOT NULL,
    text TEXT NOT NULL,
    heard TEXT,
    heard_by TEXT,
    script_id TEXT,
    created_at TEXT NOT NULL,
    is_superseded INTEGER NOT NULL DEFAULT 0 CHECK (is_superseded IN (0, 1)),
    uploaded INTEGER NOT NULL DEFAULT 0 CHECK (uploaded IN (0, 1)),
    others_present INTEGER CHECK (others_present IN (0, 1)),
    utterance TEXT,
    ask_id TEXT
) STRICT;
INSERT INTO data_points_next SELECT *, NULL, NULL FROM data_points ORDER BY rowid;
DROP TABLE data_points;
ALTER TABLE data_points_next RENAME TO data_points;
CREATE INDEX data_points_by_recording ON data_points(recording_id);
CREATE INDEX data_points_by_ask ON data_points(ask_id);
CREATE TRIGGER vocabulary_forgets AFTER UPDATE OF is_superseded ON data_points WHEN NEW.is_superseded = 1
BEGIN
    DELETE FROM vocabulary_origins WHERE sample_id = NEW.sample_id;
    DELETE FROM vocabulary WHERE is_by_hand = 0 AND folded NOT IN (SELECT folded FROM vocabulary_origins);
END;
"""
