"""How well the deterministic check tells grounded answers from tampered ones; no model takes part.

Numbers and dates: the notes that doctors wrote of 57 mock consultations (PriMock57), sentence by sentence, against what
was said in the consultation. Doctors also write what nobody said (a plan, a history), so a note that is flagged is not
always a false alarm: its share is an upper bound. Tampered: one number of a sentence whose numbers were all found is
exchanged for one of another sentence; by chance that may have been said here too, which counts as a miss. The shorthand
"3/7", "2/52", "4/12" is written out as days, weeks, months first.

Names: requests of SNIPS with the names they ask for. The answer repeats the names; tampered, one of them is
exchanged for another request's of the same kind.

    python benchmarks/grounding.py [--json]

Needs `../shared/data`, or PROJECTONE_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from projectone.assist.calibration import interval
from projectone.assist.grounding import Claim, Sources, claims, unsupported

ROOT = Path(__file__).parents[1]
_SHORTHAND = {"7": "days", "52": "weeks", "12": "months"}
_NAMED = ("artist", "playlist", "restaurant_name", "object_name", "movie_name", "city", "album", "poi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    arguments = parser.parse_args()
    data = Path(os.environ.get("PROJECTONE_DATA", ROOT.parent / "shared" / "data")) / "text"
    if not (data / "primock57").is_dir():
        print(json.dumps({"name": "grounding", "left_out": {"everything": f"PriMock57 is not at {data}"}}))
        return
    figures = {"numbers of notes": of_notes(data / "primock57"), "names of requests": of_requests(data / "snips")}
    if not arguments.json:
        for name, row in figures.items():
            for kind in ("as written", "tampered"):
                found = row[kind]
                low, high = (100 * bound for bound in found["between"])
                share = 100 * found["flagged"] / found["n"]
                print(f"{name:18} {kind:11} {share:5.1f} % flagged ({low:.1f} to {high:.1f}) of {found['n']}")
    print(json.dumps({"name": "grounding", "figures": figures}))


def of_notes(folder: Path) -> dict[str, Any]:
    """Sentences with numbers, as written and with one exchanged."""
    said = defaultdict(list)
    for row in _rows(folder / "utterances.jsonl"):
        said[row["consultation"]].append(row["text"])
    sentences: list[tuple[str, Sources]] = []
    for row in _rows(folder / "notes.jsonl"):
        key = f"day{row['day']}_consultation{row['consultation']:02d}"
        sources = Sources([*said[key], row["presenting_complaint"]])
        plain = re.sub(r"\b(\d+)/(7|52|12)\b", lambda match: f"{match[1]} {_SHORTHAND[match[2]]}", row["note"])
        sentences += [(line.strip(), sources) for line in re.split(r"\n|(?<=[.!?])\s+", plain) if _numbers(line)]
    numbers = sorted({claim.text for line, _ in sentences for claim in _numbers(line)})
    as_written, tampered = [], []
    for line, sources in sentences:
        chance = random.Random(f"0 {line}")  # of each sentence: two checks are compared on the same damage
        is_flagged = any(claim.kind != "name" for claim in sources.lack(line))
        as_written.append(is_flagged)
        if not is_flagged:
            old = chance.choice(_numbers(line)).text
            new = chance.choice([number for number in numbers if number != old])
            changed = re.sub(rf"(?<!\d){re.escape(old)}(?!\d)", new, line, count=1)
            tampered.append(any(claim.kind != "name" for claim in sources.lack(changed)))
    return {"as written": _share(as_written), "tampered": _share(tampered)}


def of_requests(folder: Path) -> dict[str, Any]:
    """Answers that repeat the names of a request, as they are and with one exchanged."""
    rows = [row for row in _rows(folder / "snips.jsonl") if any(slot in row["slots"] for slot in _NAMED)]
    by_slot = defaultdict(list)
    for row in rows:
        for slot in _NAMED:
            if slot in row["slots"]:
                by_slot[slot].append(row["slots"][slot])
    chance = random.Random(0)
    as_written, tampered = [], []
    for row in chance.sample(rows, min(2000, len(rows))):
        names = {slot: row["slots"][slot] for slot in _NAMED if slot in row["slots"]}
        as_written.append(bool(unsupported(_answer(list(names.values())), [row["text"]])))
        slot = chance.choice(sorted(names))
        others = [name for name in chance.sample(by_slot[slot], 20) if name.lower() not in row["text"].lower()]
        if others:
            tampered.append(bool(unsupported(_answer(list((names | {slot: others[0]}).values())), [row["text"]])))
    return {"as written": _share(as_written), "tampered": _share(tampered)}


def _answer(names: list[str]) -> str:
    """As a name is written: SNIPS has many in small letters."""
    capital = [" ".join(word[:1].upper() + word[1:] for word in name.split()) for name in names]
    return f"All right, here is what you asked for: {', and '.join(capital)}."


def _numbers(line: str) -> list[Claim]:
    return [claim for claim in claims(line) if claim.kind != "name"]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _share(flagged: list[bool]) -> dict[str, Any]:
    return {"flagged": sum(flagged), "n": len(flagged), "between": interval(sum(flagged), len(flagged))}


if __name__ == "__main__":
    main()
