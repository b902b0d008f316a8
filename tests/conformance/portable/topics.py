"""What every portable vector is: a topic has cases, a case is an input and what any client must make of it.

    {"topic": "rollout/buckets", "about": "...", "cases": [{"name": "...", "input": {...}, "expected": {...}}]}

What must be refused is expected as `{"refused": "..."}`. Each topic also names mistakes: our own code with one thing
done wrong. The vectors of a topic are good enough only if every mistake fails at least one of its cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Value = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One input, by name."""

    name: str
    input: Value


@dataclass(frozen=True)
class Mistake:
    """Something that another client could do wrong: `wrong` in the place of `owner.attribute`."""

    name: str
    owner: Any
    attribute: str
    wrong: Any

    def made(self) -> ExitStack:
        """Our code makes this mistake in the block."""
        stack = ExitStack()
        stack.enter_context(patch.object(self.owner, self.attribute, self.wrong))
        return stack


@dataclass(frozen=True)
class Topic:
    """Cases of one kind.

    Attributes:
        name: Folder and file below `vectors/`.
        about: How to read input and expected.
        run: What our own code makes of an input.
        cases: All of them.
        mistakes: Each must fail a case.
    """

    name: str
    about: str
    run: Callable[[Value], Value]
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]

    def document(self) -> Value:
        """The file: what our own code says is what is expected."""
        return {
            "topic": self.name,
            "about": self.about,
            "cases": [
                {"name": case.name, "input": case.input, "expected": self.run(case.input)} for case in self.cases
            ],
        }


def text_of(document: Mapping[str, Any]) -> str:
    """A document as it lies in its file."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
