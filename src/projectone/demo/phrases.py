"""What people of the demo ask their devices for: six intents in many words, and what may be answered.

The first classifier is taught two plain commands of each intent. People say it in their own ways, with other words.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Phrase = tuple[str, str | None]
"""A sentence, and what is meant by it; None for none of the intents."""

KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "lights": ("turn on the lights", "switch off the lamp"),
    "timer": ("set a timer for five minutes", "start a timer"),
    "music": ("play some music", "play the next song"),
    "weather": ("what is the weather today", "show me the weather forecast"),
    "shopping": ("add bread to my shopping list", "what is on the shopping list"),
    "call": ("call my mother", "start a phone call"),
}
_PATTERNS: Final[dict[str, tuple[str, ...]]] = {
    "lights": (
        "it is too dark in the {room}", "the {room} is far too bright", "i can see nothing in the {room}",
        "make the {room} a bit brighter", "dim the {room} please", "light up the {room}",
    ),
    "timer": (
        "tell me when {n} minutes are over", "the {dish} needs {n} minutes", "let me know in {n} minutes",
        "count down from {n}", "ring when {n} minutes have passed", "how long until the {dish} is done",
    ),
    "music": (
        "i want to hear some {style}", "put on a bit of {style}", "something with {style} would be nice",
        "i am in the mood for {style}", "let us listen to {style}", "more {style} please",
    ),
    "weather": (
        "do i need an umbrella {day}", "will it be cold {day}", "is it going to rain {day}",
        "should i take a coat {day}", "how warm does it get {day}", "is there any sun {day}",
    ),
    "shopping": (
        "we are out of {food}", "there is no {food} left", "remember to buy {food}", "i used up the last {food}",
        "we still need {food}", "put {food} on it",
    ),
    "call": (
        "get {name} on the phone", "i have to talk to {name}", "ring up {name} for me", "can you reach {name}",
        "connect me with {name}", "dial the number of {name}",
    ),
}  # fmt: skip
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "room": ("kitchen", "hall", "bedroom", "cellar", "office", "garden", "bathroom", "attic"),
    "n": ("three", "seven", "ten", "twelve", "twenty", "forty", "ninety", "fifteen"),
    "dish": ("rice", "pasta", "cake", "pizza", "tea", "soup", "roast", "egg"),
    "style": ("jazz", "piano", "rock", "opera", "guitar", "folk", "soul", "techno"),
    "day": ("today", "tomorrow", "tonight", "on sunday", "this evening", "on friday", "next week", "at noon"),
    "food": ("milk", "butter", "apples", "flour", "coffee", "cheese", "onions", "salt"),
    "name": ("anna", "boris", "my sister", "the dentist", "carla", "our neighbour", "david", "grandma"),
}
_OUTSIDE: Final = (
    "who wrote {book}", "how far is {place}", "translate {thing} into french", "how old is {who}",
    "what does {thing} cost", "when was {place} built", "what is {book} about", "how do you spell {thing}",
    "is {who} still alive", "how many people live in {place}", "where was {who} born", "book a flight to {place}",
    "what do you think of {book}", "tell me a joke about {who}", "where can i buy {thing}", "is {place} worth a visit",
)  # fmt: skip
_OUTSIDE_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "book": ("hamlet", "moby dick", "the odyssey", "emma", "ulysses", "dracula", "faust", "candide"),
    "place": ("paris", "the moon", "cairo", "lima", "the old bridge", "oslo", "rome", "the station"),
    "thing": ("thank you", "a ticket", "a bicycle", "good night", "a stamp", "a passport", "the museum", "a haircut"),
    "who": ("the king", "the pope", "my cat", "this tree", "the queen", "the mayor", "einstein", "the captain"),
}
_ANSWERS: Final[dict[str, tuple[str, str]]] = {
    "lights": ("I will see to the lights.", "The lights again: I will see to them."),
    "timer": ("I will count the minutes.", "Another timer: I will count."),
    "music": ("Music is coming.", "More music is coming."),
    "weather": ("Let me look at the sky.", "Let me look at the sky once more."),
    "shopping": ("I have noted it on your list.", "That is on your list, too, now."),
    "call": ("I will try to reach them.", "I will try to reach them again."),
}
_N_MEASURED, _N_GOLDEN, _N_OUTSIDE = 8, 20, 64


@dataclass(frozen=True)
class Phrases:
    """No sentence is in two of them.

    Attributes:
        learned: What the first classifier is taught, and every later one too.
        measured_on: What thresholds are chosen on.
        golden: What judges.
        said: What people say.
    """

    learned: tuple[Phrase, ...]
    measured_on: tuple[Phrase, ...]
    golden: tuple[Phrase, ...]
    said: tuple[Phrase, ...]


def draw_phrases(seed: int) -> Phrases:
    """Who says what; the same seed gives the same."""
    chance = random.Random(f"{seed}-phrases")
    outside = _filled(_OUTSIDE, _OUTSIDE_WORDS, chance)
    measured_on: list[Phrase] = [(text, None) for text in outside[:_N_OUTSIDE]]
    golden: list[Phrase] = [(text, None) for text in outside[_N_OUTSIDE : 2 * _N_OUTSIDE]]
    said: list[Phrase] = []
    for label, patterns in _PATTERNS.items():
        own = [(text, label) for text in _filled(patterns, _WORDS, chance)]
        measured_on += own[:_N_MEASURED]
        golden += own[_N_MEASURED : _N_MEASURED + _N_GOLDEN]
        said += own[_N_MEASURED + _N_GOLDEN :]
    chance.shuffle(said)
    learned = [(text, label) for label, texts in KNOWN.items() for text in texts]
    return Phrases(tuple(learned), tuple(measured_on), tuple(golden), tuple(said))


def write_phrases(phrases: Phrases, folder: Path) -> dict[str, Path]:
    """The files that an operator would keep: what is taught, what judges, and what may be answered."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text, "label": label} for text, label in phrases.learned]
    rows += [{"text": text, "label": label, "split": "dev"} for text, label in phrases.measured_on]
    golden = [{"text": text, "label": label} for text, label in phrases.golden]
    files = {"data": folder / "intents.jsonl", "golden": folder / "golden.jsonl", "policies": folder / "policies.json"}
    files["data"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    files["golden"].write_text("".join(json.dumps(row) + "\n" for row in golden))
    files["policies"].write_text(json.dumps({"policies": [_policy(label) for label in _ANSWERS]}, indent=1))
    return files


def _filled(patterns: tuple[str, ...], words: dict[str, tuple[str, ...]], chance: random.Random) -> list[str]:
    """Every pattern with eight different words, in a drawn order."""
    found = []
    for pattern in patterns:
        names = [name for name in words if f"{{{name}}}" in pattern]
        orders = {name: chance.sample(words[name], len(words[name])) for name in names}
        found += [pattern.format(**{name: orders[name][n] for name in names}) for n in range(8)]
    chance.shuffle(found)
    return found


def _policy(label: str) -> dict[str, Any]:
    always, again = _ANSWERS[label]
    return {
        "policy_id": label,
        "text": f"What is said to whoever asks for {label}.",
        "examples": list(KNOWN[label]),
        "intents": [label],
        "responses": [
            {"response_id": f"{label}-always", "text": always},
            {"response_id": f"{label}-again", "text": again, "when": "again"},
        ],
    }
