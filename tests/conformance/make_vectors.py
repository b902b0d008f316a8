"""Writes the portable vectors: what a client in any language must do, as JSON below `vectors/`.

    python -m tests.conformance.make_vectors --write

`vectors/README.md` says how to read them; `vectors/updates/` has a script of its own, `update_vectors`.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from tests.conformance.portable.bytes_of_contracts import TOPIC as CONTRACTS
from tests.conformance.portable.crashes import IMAGES, OPERATIONS
from tests.conformance.portable.deltas import FILES, FUSE, ROUNDING
from tests.conformance.portable.outboxes import STATES
from tests.conformance.portable.proofs import MEMBERSHIP, TREES
from tests.conformance.portable.rollouts import BUCKETS, TURNS
from tests.conformance.portable.signing import DOCUMENTS, REQUESTS
from tests.conformance.portable.texts_and_sound import PATHS, SOUND, TEXT
from tests.conformance.portable.tickets import BLINDING, TICKETS, WEEKLY
from tests.conformance.portable.topics import Topic, text_of

FOLDER = Path(__file__).parent / "vectors"
TOPICS: tuple[Topic, ...] = (
    CONTRACTS,
    REQUESTS,
    DOCUMENTS,
    TREES,
    MEMBERSHIP,
    BLINDING,
    TICKETS,
    WEEKLY,
    ROUNDING,
    FUSE,
    FILES,
    BUCKETS,
    TURNS,
    TEXT,
    PATHS,
    SOUND,
    STATES,
    OPERATIONS,
    IMAGES,
)


@cache
def made() -> dict[str, str]:
    """Every file, by its path below `FOLDER`."""
    return {f"{topic.name}.json": text_of(topic.document()) for topic in TOPICS}


def main() -> None:
    """Write what our own code says now, and remove topics that are gone."""
    for path, content in made().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(content)
    for there in FOLDER.glob("*/*.json"):
        if there.relative_to(FOLDER).as_posix() not in made() and there.parent.name != "updates":
            there.unlink()


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    main()
