"""A snapshot's datasheet: the questions of "Datasheets for Datasets", answered from rows and consent texts.

Source: Gebru et al., Datasheets for Datasets, Communications of the ACM 64 (12), 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from projectone.contracts.consent import CONSENT_WORDS
from projectone.server.corpus.datasheet_words import WORDINGS, Wording
from projectone.server.corpus.snapshots import Snapshot
from projectone.server.corpus.statistics import MIN_PEOPLE, Group, Statistics

PICTURE = "statistics.svg"


def datasheet_of(snapshot: Snapshot, statistics: Statistics) -> str:
    """The datasheet as Markdown; it refers to the picture `PICTURE` beside it."""
    words = WORDINGS[statistics.family]
    parts = [
        f"# Datasheet of snapshot {snapshot.snapshot_id[:12]}",
        "Made from the rows of the corpus by `projectone-server corpus datasheet`. No figure here is about fewer than "
        f"{MIN_PEOPLE} people: smaller groups are put together as *others*, or left out.",
        _motivation(words),
        _composition(snapshot, statistics, words),
        _collection(statistics),
        _preparation(snapshot, words),
        _uses(statistics, words),
        _distribution(),
        _maintenance(snapshot),
    ]
    return "\n\n".join(parts) + "\n"


def _motivation(words: Wording) -> str:
    return (
        "## Motivation\n\n"
        f"The dataset was made to {words.purpose}; it was made by the operator of this server, from the people who use "
        "their devices."
    )


def _composition(snapshot: Snapshot, statistics: Statistics, words: Wording) -> str:
    manifest, is_sound = snapshot.manifest, statistics.family != "intents"
    lines = [
        "## Composition",
        "",
        f"![{words.picture}]({PICTURE})",
        "",
        words.instance,
        "",
        "| | |",
        "|---|---|",
        f"| samples | {statistics.n_samples:,} |",
        f"| to learn from, held back | {statistics.n_train:,}, {statistics.n_dev:,} ({_split(manifest.split)}) |",
        f"| people | {statistics.n_people:,} |",
        *([f"| hours | {statistics.audio_s / 3600:.2f} |"] if is_sound else []),
    ]
    if not statistics.is_told_apart:
        return "\n".join([*lines, "", f"There are fewer than {MIN_PEOPLE} people, so nothing more is told of them."])
    if is_sound:
        lines.append(f"| minutes of the person in the middle | {(statistics.median_person_s or 0) / 60:.1f} |")
    lines += [f"| samples of which it is known what a model {words.guessed} | {statistics.n_heard:,} |", ""]
    for title, groups in _groups(statistics):
        lines += _table(title, groups, is_sound=is_sound)
    if is_sound:
        shown = ", ".join(f"{_cell(word)} ({n:,})" for word, n in statistics.terms) or "none"
        lines += [
            f"Words that at least {MIN_PEOPLE} people said, the most frequent first: {shown}. "
            f"{statistics.n_terms_withheld:,} other words were said by fewer people and are not shown: they may be "
            "names.",
            "",
        ]
    return "\n".join([*lines, words.care])


def _groups(statistics: Statistics) -> tuple[tuple[str, Sequence[Group]], ...]:
    common = (("kind", statistics.kinds), ("language", statistics.languages))
    if statistics.family == "intents":
        return (("label", statistics.labels), *common)
    return (
        ("accent, as people said themselves", statistics.accents),
        *common,
        ("length", statistics.lengths),
    )


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


def _preparation(snapshot: Snapshot, words: Wording) -> str:
    return (
        "## Preprocessing, cleaning, labelling\n\n"
        f"{words.preparation} (`projectone-server corpus list --state discarded`). Texts are in Unicode NFC and "
        "otherwise as written.\n\n"
        f"Which samples are held back was decided when the snapshot was made: {_split(snapshot.manifest.split)}."
    )


def _uses(statistics: Statistics, words: Wording) -> str:
    agreed = ", ".join(statistics.scopes) or "nothing"
    return f"## Uses\n\nAgreed to: {agreed}. Nothing else is: {words.limits}"


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


def _table(title: str, groups: Sequence[Group], *, is_sound: bool) -> list[str]:
    if not groups:
        return [f"By {title}: not told, because a group would be too small.", ""]
    head, rule = ("| hours |", "---:|") if is_sound else ("|", "")
    lines = [f"| {title} | samples | people {head}", f"|---|---:|---:|{rule}"]
    for group in groups:
        hours = f" {group.audio_s / 3600:.2f} |" if is_sound else ""
        lines.append(f"| {_cell(group.name)} | {group.n_samples:,} | {group.n_people:,} |{hours}")
    return [*lines, ""]


def _cell(text: str) -> str:
    """What somebody wrote, so that it neither breaks a table nor becomes a link or a tag."""
    plain = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#!" else sign for sign in plain)
