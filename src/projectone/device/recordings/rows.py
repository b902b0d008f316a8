"""Rows about recordings and data points, and the sounds that they name.

Audio lies in a blob store under its digest, as canonical 16 kHz mono WAV: what else a file carried (names, places,
software) was left behind when it was taken in. Its owner alone removes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import cast

from projectone.contracts.corrections import SampleKind
from projectone.device.heard import Signals, Word, signals_from_json, signals_to_json, words_from_json, words_to_json
from projectone.device.recordings.records import Clip, FineTuningDataPoint, Recording
from projectone.errors import DataError
from projectone.storage.blobs import FileBlobs
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

_SHORTEST_PREFIX = 4
LAST = "last"
_NEWEST_FIRST = "ORDER BY r.recorded_at DESC, r.rowid DESC"
_CORRECTED = (
    "(SELECT d.text FROM data_points d WHERE d.recording_id = r.recording_id"
    " AND d.kind = 'correction' AND d.is_superseded = 0)"
)


class Recordings:
    """Rows about recordings and data points; the sound itself lies in the blob store."""

    def __init__(self, database: Database, audio: FileBlobs) -> None:
        self._database = database
        self.sounds = audio

    def keep_audio(self, clip: Clip) -> str:
        """Keep the sound and give its digest; durable when this returns."""
        return self.sounds.put([clip.wav])

    def audio(self, sha256: str) -> bytes:
        """The canonical WAV of a recording.

        Raises:
            StorageError: if the file is gone.
            DigestMismatchError: if the disk gives other bytes than were kept.
        """
        return self.sounds.get(sha256)

    def has_audio(self, sha256: str) -> bool:
        """Whether a sound is still here: what was taken back is not, unless something else is the same."""
        return self.sounds.has(sha256)

    def add(
        self,
        clip: Clip,
        *,
        text: str,
        model_version: str,
        recorded_at: datetime,
        words: tuple[Word, ...] = (),
        signals: Signals | None = None,
    ) -> Recording:
        """Keep a recording and what was heard in it."""
        recording = Recording(
            str(uuid.uuid4()),
            text,
            model_version,
            clip.duration_s,
            self.keep_audio(clip),
            recorded_at,
            words=words,
            signals=signals,
        )
        values = (
            recording.recording_id,
            recording.audio_sha256,
            recording.duration_s,
            text,
            model_version,
            recorded_at.isoformat(),
            words_to_json(words),
            signals_to_json(signals),
        )
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO recordings (recording_id, audio_sha256, duration_s, text, model_version, recorded_at,"
                " words, signals) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            if not self.has_audio(recording.audio_sha256):  # the same sound was removed for another row meanwhile
                self.keep_audio(clip)
        return recording

    def find(self, recording_id: str) -> Recording:
        """The recording with this id, or the only one whose id begins so, or the ``last`` one.

        Raises:
            DataError: if there is none, or more than one.
        """
        if recording_id == LAST:
            found = self._select(f"1 {_NEWEST_FIRST} LIMIT 1", ())
        elif len(recording_id) >= _SHORTEST_PREFIX and set(recording_id) <= set("0123456789abcdef-"):
            found = self._select("r.recording_id GLOB ? LIMIT 2", (f"{recording_id}*",))
        else:
            found = []
        if len(found) == 1:
            return found[0]
        problem = "several recordings begin so; give more of the id" if found else "no such recording"
        raise DataError("recording-unknown", f"{recording_id!r}: {problem} (`projectone recordings` lists them)")

    def said_at(self, moment: datetime) -> Recording | None:
        """The recording of what was said at this very moment, if there is one."""
        found = self._select("r.recorded_at = ? LIMIT 1", (moment.isoformat(),))
        return found[0] if found else None

    def newest(self, limit: int = 50, *, skip: int = 0) -> list[Recording]:
        """The last recordings, newest first; without the `skip` newest of them."""
        return self._select(f"1 {_NEWEST_FIRST} LIMIT ? OFFSET ?", (limit, skip))

    def with_text(self, is_wanted: Callable[[str], bool]) -> Iterator[Recording]:
        """Every recording of whose text this holds, newest first: what was heard, and what was said in a line below it.

        The others are not read whole: the times of words are most of a row.
        """
        rows = self._database.query(
            f"SELECT r.recording_id, r.text, {_CORRECTED} AS corrected FROM recordings r WHERE 1 {_NEWEST_FIRST}"
        )
        for row in rows:
            if is_wanted(f"{row['text']}\n{row['corrected'] or ''}"):
                yield from self._select("r.recording_id = ?", (row["recording_id"],))  # none: deleted meanwhile

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[Recording]:
        rows = self._database.query(
            f"SELECT r.*, {_CORRECTED} AS corrected FROM recordings r WHERE {condition}", parameters
        )
        return [
            Recording(
                row["recording_id"],
                row["text"],
                row["model_version"],
                row["duration_s"],
                row["audio_sha256"],
                datetime.fromisoformat(row["recorded_at"]),
                row["corrected"],
                words_from_json(row["words"]),
                signals_from_json(row["signals"]),
            )
            for row in rows
        ]

    def add_point(self, point: FineTuningDataPoint) -> None:
        """Keep a data point; an earlier one of the same recording is superseded by it."""
        with self._database.transaction():
            if point.ask_id is not None or point.recording_id is not None:
                self._database.execute(
                    "UPDATE data_points SET is_superseded = 1 WHERE ask_id = ?1"
                    " OR (?1 IS NULL AND recording_id = ?2 AND kind = 'correction')",
                    (point.ask_id, point.recording_id),
                )
            self._database.execute(
                "INSERT INTO data_points (sample_id, recording_id, kind, audio_sha256, duration_s, text, heard,"
                " heard_by, script_id, created_at, uploaded, others_present, utterance, ask_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    str(point.sample_id),
                    point.recording_id,
                    point.kind,
                    point.audio_sha256,
                    point.duration_s,
                    point.text,
                    point.heard,
                    point.heard_by,
                    point.script_id,
                    point.created_at.isoformat(),
                    int(point.uploaded),
                    point.others_present,
                    point.utterance,
                    point.ask_id,
                ),
            )

    def point_of(self, recording_id: str) -> FineTuningDataPoint | None:
        """The correction of a recording that counts, if it was corrected."""
        rows = self._database.query(
            "SELECT * FROM data_points WHERE recording_id = ? AND kind = 'correction' AND is_superseded = 0",
            (recording_id,),
        )
        return _to_point(rows[0]) if rows else None

    def every_point_of(self, recording_id: str, kind: SampleKind = "correction") -> list[FineTuningDataPoint]:
        """Every correction that a recording ever had, oldest first, also those that count no more."""
        rows = self._database.query(
            "SELECT * FROM data_points WHERE recording_id = ? AND kind = ? ORDER BY rowid", (recording_id, kind)
        )
        return [_to_point(row) for row in rows]

    def meant(self, ask_id: str) -> FineTuningDataPoint | None:
        """What the person says they meant by something they asked; None if they did not say."""
        rows = self._database.query("SELECT * FROM data_points WHERE ask_id = ? AND is_superseded = 0", (ask_id,))
        return _to_point(rows[0]) if rows else None

    def forget_utterance(self, ask_id: str) -> None:
        """Keep of what was asked only that it was corrected, where the correction was taken back before."""
        self._database.execute("UPDATE data_points SET utterance = NULL WHERE ask_id = ?", (ask_id,))

    def points(self, kind: SampleKind | None = None) -> list[FineTuningDataPoint]:
        """Every data point that counts, oldest first."""
        rows = self._database.query(
            "SELECT * FROM data_points WHERE is_superseded = 0 AND (?1 IS NULL OR kind = ?1) ORDER BY rowid", (kind,)
        )
        return [_to_point(row) for row in rows]

    def point(self, sample_id: uuid.UUID) -> FineTuningDataPoint:
        """A data point, whether or not it still counts."""
        (row,) = self._database.query("SELECT * FROM data_points WHERE sample_id = ?", (str(sample_id),))
        return _to_point(row)

    def counts_yet(self, sample_id: uuid.UUID) -> bool:
        """Whether nothing took a data point's place, and nobody took it back."""
        found = self._database.query(
            "SELECT 1 FROM data_points WHERE sample_id = ? AND is_superseded = 0", (str(sample_id),)
        )
        return bool(found)

    def find_point(self, named: str) -> FineTuningDataPoint:
        """The data point with this id, or the only one whose id begins so, or the ``last`` one that counts.

        Raises:
            DataError: if there is none, or more than one.
        """
        if named == LAST:
            rows = self._database.query("SELECT * FROM data_points WHERE is_superseded = 0 ORDER BY rowid DESC LIMIT 1")
        elif len(named) >= _SHORTEST_PREFIX and set(named) <= set("0123456789abcdef-"):
            rows = self._database.query("SELECT * FROM data_points WHERE sample_id GLOB ? LIMIT 2", (f"{named}*",))
        else:
            rows = []
        if len(rows) == 1:
            return _to_point(rows[0])
        problem = "several begin so; give more of the id" if rows else "no such correction or donation"
        raise DataError("sample-unknown", f"{named!r}: {problem} (`projectone sent` lists what was sent)")

    def donation_of(self, audio_sha256: str, text: str) -> FineTuningDataPoint | None:
        """The donation of this very sound with these words, if it was not taken back."""
        rows = self._database.query(
            "SELECT * FROM data_points WHERE is_superseded = 0 AND kind = 'donation' AND audio_sha256 = ? AND text = ?"
            " ORDER BY rowid DESC LIMIT 1",
            (audio_sha256, text),
        )
        return _to_point(rows[0]) if rows else None

    def newest_donation(self) -> FineTuningDataPoint | None:
        """The donation that was made last and not taken back."""
        rows = self._database.query(
            "SELECT * FROM data_points WHERE is_superseded = 0 AND kind = 'donation' ORDER BY rowid DESC LIMIT 1"
        )
        return _to_point(rows[0]) if rows else None

    def read_scripts(self) -> set[str]:
        """Ids of the scripts that were given and not taken back."""
        return {point.script_id for point in self.points("donation") if point.script_id is not None}

    def take_back(self, sample_id: uuid.UUID) -> None:
        """A data point counts no more."""
        with self._database.transaction():
            self._database.execute("UPDATE data_points SET is_superseded = 1 WHERE sample_id = ?", (str(sample_id),))
            self._database.execute(
                "INSERT OR IGNORE INTO removed_sounds SELECT audio_sha256 FROM data_points"
                " WHERE sample_id = ? AND kind <> 'intent'",
                (str(sample_id),),
            )

    def delete(self, recording_id: str) -> None:
        """Forget a recording and all that was heard and written of it. Its corrections were taken back before."""
        with self._database.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO removed_sounds SELECT audio_sha256 FROM recordings WHERE recording_id = ?",
                (recording_id,),
            )
            self._database.execute(
                "UPDATE data_points SET recording_id = NULL, text = '', heard = NULL, heard_by = NULL, utterance = NULL"
                " WHERE recording_id = ?",
                (recording_id,),
            )
            self._database.execute("DELETE FROM recordings WHERE recording_id = ?", (recording_id,))

    def remove_audio(self, sha256: str) -> bool:
        """Remove a sound that was taken back; False if something else on this device is the same."""
        with self._database.transaction():  # nothing else takes the same sound in meanwhile
            named = self._database.query(
                "SELECT 1 FROM recordings WHERE audio_sha256 = ?1 UNION ALL"
                " SELECT 1 FROM data_points WHERE audio_sha256 = ?1 AND is_superseded = 0 LIMIT 1",
                (sha256,),
            )
            if not named:
                self.sounds.delete(sha256)
        return not named

    def sweep_audio(self) -> None:
        """Remove the sounds that were taken back and are here yet, because this program was killed too soon."""
        for row in self._database.query("SELECT audio_sha256 FROM removed_sounds"):
            sha256 = str(row["audio_sha256"])
            if not self.has_audio(sha256) or not self.remove_audio(sha256):
                self._database.execute("DELETE FROM removed_sounds WHERE audio_sha256 = ?", (sha256,))

    def mark_uploaded(self, sample_id: uuid.UUID, *, is_uploaded: bool = True) -> None:
        """Note that the server has this data point, or has it no longer."""
        self._database.execute(
            "UPDATE data_points SET uploaded = ? WHERE sample_id = ?", (int(is_uploaded), str(sample_id))
        )

    def counts(self) -> dict[str, int]:
        """How many recordings, corrections, donations and uploaded data points there are."""
        (row,) = self._database.query(
            "SELECT (SELECT count(*) FROM recordings) AS recordings, count(*) FILTER (WHERE kind = 'correction')"
            " AS corrections, count(*) FILTER (WHERE kind = 'donation') AS donations,"
            " count(*) FILTER (WHERE kind = 'intent') AS intents,"
            " count(*) FILTER (WHERE uploaded) AS uploaded FROM data_points WHERE is_superseded = 0"
        )
        return {key: int(row[key]) for key in row.keys()}  # noqa: SIM118 - a Row iterates over its values


def _to_point(row: Row) -> FineTuningDataPoint:
    return FineTuningDataPoint(
        sample_id=uuid.UUID(row["sample_id"]),
        recording_id=row["recording_id"],
        kind=cast(SampleKind, row["kind"]),
        audio_sha256=row["audio_sha256"],
        duration_s=row["duration_s"],
        text=row["text"],
        heard=row["heard"],
        heard_by=row["heard_by"],
        script_id=row["script_id"],
        created_at=datetime.fromisoformat(row["created_at"]),
        uploaded=bool(row["uploaded"]),
        others_present=None if row["others_present"] is None else bool(row["others_present"]),
        utterance=row["utterance"],
        ask_id=row["ask_id"],
    )
