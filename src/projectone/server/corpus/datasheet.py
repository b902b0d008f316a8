"""A snapshot's datasheet: the questions of "Datasheets for Datasets", answered from rows and consent texts.

Source: Gebru et al., Datasheets for Datasets, Communications of the ACM 64 (12), 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from projectone.contracts.consent import CONSENT_WORDS
from projectone.server.corpus.snapshots import Snapshot
from projectone.server.corpus.statistics import MIN_PEOPLE, Group, Statistics

PICTURE = "statistics.svg"


def datasheet_of(snapshot: Snapshot, statistics: Statistics) -> str:
    """The datasheet as Markdown; it refers to the picture `PICTURE` beside it."""
    parts = [
        f"# Datasheet of snapshot {snapshot.snapshot_id[:12]}",
        "Made from the rows of the corpus by `projectone-server corpus datasheet`. No figure here is about fewer than "
        f"{MIN_PEOPLE} people: smaller groups are put together as *others*, or left out.",
        _motivation(),
        _composition(snapshot, statistics),
        _collection(statistics),
        _preparation(snapshot),
        _uses(statistics),
        _distribution(),
        _maintenance(snapshot),
    ]
    return "\n\n".join(parts) + "\n"


def _motivation() -> str:
    return (
        "## Motivation\n\n"
        "The dataset was made to fine-tune a speech model on what the people who use it say and how they say it. It "
        "holds what they corrected, or read aloud for this purpose; it was made by the operator of this server, from "
        "the people who use their devices."
    )


def _composition(snapshot: Snapshot, statistics: Statistics) -> str:
    manifest = snapshot.manifest
    lines = [
        "## Composition",
        "",
        f"![Hours by accent, samples by length, and words]({PICTURE})",
        "",
        "An instance is one recording of one person, 16 kHz mono PCM, and the text that the person says it holds.",
        "",
        "| | |",
        "|---|---|",
        f"| samples | {statistics.n_samples:,} |",
        f"| to learn from, held back | {statistics.n_train:,}, {statistics.n_dev:,} ({_split(manifest.split)}) |",
        f"| people | {statistics.n_people:,} |",
        f"| hours | {statistics.audio_s / 3600:.2f} |",
    ]
    if not statistics.is_told_apart:
        return "\n".join([*lines, "", f"There are fewer than {MIN_PEOPLE} people, so nothing more is told of them."])
    lines += [
        f"| minutes of the person in the middle | {(statistics.median_person_s or 0) / 60:.1f} |",
        f"| samples of which it is known what a model heard | {statistics.n_heard:,} |",
        "",
    ]
    for title, groups in (
        ("accent, as people said themselves", statistics.accents),
        ("kind", statistics.kinds),
        ("language", statistics.languages),
        ("length", statistics.lengths),
    ):
        lines += _table(title, groups)
    words = ", ".join(f"{_cell(word)} ({n:,})" for word, n in statistics.terms) or "none"
    lines += [
        f"Words that at least {MIN_PEOPLE} people said, the most frequent first: {words}. "
        f"{statistics.n_terms_withheld:,} other words were said by fewer people and are not shown: they may be names.",
        "",
        "Voices are biometric data: whoever holds the recordings can recognise people by them. Age, sex and health are "
        "not asked. Errors: a text is what a person says it is; nobody else has listened to each one.",
    ]
    return "\n".join(lines)


def _collection(statistics: Statistics) -> str:
    lines = [
        "## Collection process",
        "",
        "Each sample was sent from a person's own device, one by one, under a consent that was asked again in the "
        "transaction that stored it. People were asked in these words (the newest version of each):",
        "",
    ]
    for scope in statistics.scopes:
        words = max((text for text in CONSENT_WORDS if text.scope == scope), key=lambda text: text.version)
        lines += [f"> **{scope}, version {words.version}.** {words.text}", ""]
    if statistics.months is not None:
        lines.append(f"Recorded from {statistics.months[0]} to {statistics.months[1]}.")
    return "\n".join(lines).rstrip()


def _preparation(snapshot: Snapshot) -> str:
    return (
        "## Preprocessing, cleaning, labelling\n\n"
        "Recordings are decoded, mixed to one channel, resampled to 16 kHz and kept as 16-bit PCM; the files as they "
        "were sent are not kept. Silence, clipping, damaged sound, recordings without speech, texts that are too long "
        "for their sound or hold what no text should, and clips of the golden set were left out, each with its reason "
        "(`projectone-server corpus list --state discarded`). Texts are in Unicode NFC and otherwise as written.\n\n"
        f"Which samples are held back was decided when the snapshot was made: {_split(snapshot.manifest.split)}."
    )


def _uses(statistics: Statistics) -> str:
    return (
        "## Uses\n\n"
        f"Agreed to: {', '.join(statistics.scopes) or 'nothing'}. Nothing else is: not recognising who speaks, not "
        "cloning a voice, not guessing age, health or mood. Accents and words are those of this operator's people; "
        "error rates on others may be higher."
    )


def _distribution() -> str:
    return (
        "## Distribution\n\n"
        "The dataset stays with the operator. A copy out of the vault is made by `projectone-server corpus export`, "
        "which keeps a record of it; whoever holds a copy has to delete it when a withdrawal lists it."
    )


def _maintenance(snapshot: Snapshot) -> str:
    manifest = snapshot.manifest
    lines = [
        "## Maintenance",
        "",
        "A snapshot never changes. When a person withdraws, it is re-issued without them, and the one before is gone.",
        "",
        "| | |",
        "|---|---|",
        f"| snapshot | `{snapshot.snapshot_id}` |",
        f"| made at | {manifest.made_at:%Y-%m-%d %H:%M} UTC |",
        f"| dataset | `{manifest.dataset_sha256}` |",
        f"| Merkle root | `{manifest.merkle_root}` |",
        f"| signed by | `{snapshot.signed.key_id}` |",
    ]
    if manifest.replaces is not None:
        lines.append(f"| re-issue of | `{manifest.replaces}`, without what was withdrawn |")
    return "\n".join(lines)


def _split(kind: str) -> str:
    return {
        "speakers": "no person is on both sides",
        "clips": "some recordings of each person, because there are few people",
        "none": "none held back, because there are few samples",
    }[kind]


def _table(title: str, groups: Sequence[Group]) -> list[str]:
    if not groups:
        return [f"By {title}: not told, because a group would be too small.", ""]
    lines = [f"| {title} | samples | people | hours |", "|---|---:|---:|---:|"]
    lines += [f"| {_cell(g.name)} | {g.n_samples:,} | {g.n_people:,} | {g.audio_s / 3600:.2f} |" for g in groups]
    return [*lines, ""]


def _cell(text: str) -> str:
    """What somebody wrote, so that it neither breaks a table nor becomes a link or a tag."""
    plain = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#!" else sign for sign in plain)
