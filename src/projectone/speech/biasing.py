"""A list of terms as a lean of the decoder: a trie of their tokens, walked beside each row as it is written.

This is shallow fusion with failure arcs. A row that has written the beginning of a term leans towards the token that
goes on with it, the more the longer that beginning is; a row that turns away falls back to the longest beginning that
its last tokens still are, and the lean of the one it left is gone. What a finished term earned it keeps: a longer one
that begins with it is not pulled harder than from there.

The lean never touches a token that the model itself holds for all but impossible, so that a term is written only where
something like it was said. Scores stay as they are: what is counted and compared is always the model's own opinion.

Sources: Aho and Corasick (1975) for the arcs; `build_context_graph` in k2-fsa/icefall and Zhao et al. (2019),
"Shallow-Fusion End-to-End Contextual Biasing", for the lean taken back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from projectone.speech.logit_rules import Scores
from projectone.speech.near_terms import NearTerms
from projectone.speech.tokenizer import Tokenizer

Ids = np.ndarray[Any, np.dtype[np.int64]]

START, _ROOT = 0, 1
"""The state of a row in which nothing is written yet, and that of a row which is in no term."""


@dataclass(frozen=True, kw_only=True)
class BiasOptions:
    """How far decoding leans towards a list of terms. The values were chosen by `benchmarks/vocabulary.py`.

    Attributes:
        boost: Nats for each token of a term's beginning, the one to be written included.
        max_boost: The most that a beginning can come to, in nats.
        floor: A continuation that the model gives less than this probability is left alone.
        margin: What a term may cost afterwards, in nats of the model's own opinion for each of its tokens.
        max_margin: The most that one term may cost.
        max_near: For so many terms that a text comes near to, the model is asked as well.
        max_terms: Longer lists are cut: the first terms count.
        is_guarded: Whether a text with terms is held against the one without. Off only to show what that is worth.
    """

    boost: float = 1.0
    max_boost: float = 4.0
    floor: float = 0.005
    margin: float = 1.0
    max_margin: float = 8.0
    max_near: int = 4
    max_terms: int = 1000
    is_guarded: bool = True

    def __post_init__(self) -> None:
        for name in ("boost", "max_boost", "margin", "max_margin"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)!r}")
        if not 0 <= self.floor < 1:
            raise ValueError(f"floor: expected 0 <= floor < 1, got {self.floor!r}")
        if self.max_terms < 1:
            raise ValueError(f"max_terms: expected at least 1, got {self.max_terms!r}")


class TermTrie:
    """Sequences of tokens, and where a row stands in them.

    A state is the longest beginning of a sequence that the row's last tokens are. `START` stands for the beginning of a
    text, where terms may also be written without the blank before them.

    Args:
        sequences: That may stand anywhere.
        at_start: That may stand at the beginning of a text only.
        boost: As in `BiasOptions`.
        max_boost: As in `BiasOptions`.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        at_start: Sequence[Sequence[int]] = (),
        *,
        boost: float,
        max_boost: float,
    ) -> None:
        self._next: list[dict[int, int]] = [{}, {}]
        self._depth = [0, 0]
        self._is_end = [False, False]
        for root, some in ((_ROOT, sequences), (START, at_start)):
            for tokens in some:
                self._add(root, tokens)
        self._fail = [_ROOT] * len(self._next)
        self._kept = [0] * len(self._next)  # depth of the longest whole term on the way to a state
        self._link()
        self._boost, self._max_boost = boost, max_boost
        self._leans: dict[int, tuple[Ids, Scores]] = {}

    @property
    def n_states(self) -> int:
        """How many beginnings there are, the two empty ones included."""
        return len(self._next)

    def advance(self, state: int, token: int) -> int:
        """Where a row stands that was in `state` and wrote `token`."""
        while token not in self._next[state]:
            if state == _ROOT:
                return _ROOT
            state = self._fail[state]
        return self._next[state][token]

    def lean(self, state: int) -> tuple[Ids, Scores]:
        """The tokens that go on with a term from a state, and by how many nats each is ahead of those that do not.

        Computed when a state is first reached, and kept.
        """
        if state not in self._leans:
            ahead: dict[int, float] = {}
            kept = self._nats(self._kept[state])
            at, is_own = state, True
            while True:
                for token, target in self._next[at].items():
                    # Along a failure arc the beginning that was left gives back what no whole term has earned.
                    gain = self._nats(self._depth[target]) - (kept if is_own else 0.0)
                    ahead.setdefault(token, gain)
                if at == _ROOT:
                    break
                at, is_own = self._fail[at], False
            tokens = np.fromiter(ahead, np.int64, len(ahead))
            self._leans[state] = tokens, np.fromiter(ahead.values(), np.float32, len(ahead))
        return self._leans[state]

    def _nats(self, depth: int) -> float:
        return min(self._boost * depth, self._max_boost)

    def _add(self, root: int, tokens: Sequence[int]) -> None:
        state = root
        for token in tokens:
            if token not in self._next[state]:
                self._next[state][token] = len(self._next)
                self._next.append({})
                self._depth.append(self._depth[state] + 1)
                self._is_end.append(False)
            state = self._next[state][token]
        if state > _ROOT:
            self._is_end[state] = True

    def _link(self) -> None:
        """Set the failure arc of every state, the nearest first: each needs those of the shorter ones."""
        waiting = deque([_ROOT, START])
        while waiting:
            state = waiting.popleft()
            for token, target in self._next[state].items():
                if state != _ROOT:
                    self._fail[target] = self.advance(self._fail[state], token)
                self._kept[target] = self._depth[target] if self._is_end[target] else self._kept[state]
                waiting.append(target)


class TermBias:
    """A list of terms, in the tokens of one model.

    Args:
        terms: As they are to be written; blank ones and repetitions are left out.
        tokenizer: Of the model.
        options: How far to lean.
    """

    def __init__(self, terms: Sequence[str], tokenizer: Tokenizer, options: BiasOptions | None = None) -> None:
        self.options = options or BiasOptions()
        cleaned = dict.fromkeys(" ".join(term.split()) for term in terms)
        cleaned.pop("", None)
        self.terms = tuple(cleaned)[: self.options.max_terms]
        spelled = [spelling for term in self.terms for spelling in spellings(term)]
        self.near = NearTerms(self.terms)
        self.trie = TermTrie(
            [tokenizer.encode(f" {spelling}") for spelling in spelled],
            [tokenizer.encode(spelling) for spelling in spelled],
            boost=self.options.boost,
            max_boost=self.options.max_boost,
        )


def spellings(term: str) -> tuple[str, ...]:
    """A term as it is given, and in the cases that a model may write it in: small, with capitals, at a beginning."""
    small = term.lower()
    titled = " ".join(word[:1].upper() + word[1:] for word in small.split(" "))
    return tuple(dict.fromkeys((term, small, titled, small[:1].upper() + small[1:], term.upper())))


def prompt_of(terms: Sequence[str], tokenizer: Tokenizer, *, n_most: int) -> str:
    """The terms as a text that came before, for models that were trained to read one: as many as fit.

    The list is given the newest first, and the newest is what the model reads last.

    Args:
        terms: The most important first.
        tokenizer: Of the model.
        n_most: Tokens at most.
    """
    chosen: list[str] = []
    for term in terms:
        longer = [term, *chosen]
        if len(tokenizer.encode(f" {', '.join(longer)}")) > n_most:
            break
        chosen = longer
    return ", ".join(chosen)


class BiasedRows:
    """The rows of one decoding run in the trie: which token is written instead of the likeliest, if any.

    Args:
        bias: The list.
        n_rows: How many rows there are.
        is_written: Whether the token is changed, or it is only noted that it would have been.

    Attributes:
        is_turned: For each row, whether the list changed what it wrote, or would have.
    """

    def __init__(self, bias: TermBias, n_rows: int, *, is_written: bool) -> None:
        self._trie = bias.trie
        # A floor of 0 is none.
        self._floor = float(np.log(bias.options.floor)) if bias.options.floor else -np.inf
        self._is_written = is_written
        self._states = [START] * n_rows
        self.is_turned = [False] * n_rows

    def choose(self, row: int, scores: Scores, total: float, token: int) -> int:
        """The token to write in a row.

        Args:
            row: Which row.
            scores: (vocab,) after the rules.
            total: Their log of the sum of exponentials.
            token: The likeliest one.
        """
        state = self._states[row]
        if not self.is_turned[row] or self._is_written:
            tokens, ahead = self._trie.lean(state)
            own = scores[tokens]
            lifted = np.where(own - total >= self._floor, own + ahead, -np.inf)
            best = int(lifted.argmax()) if lifted.size else 0
            if lifted.size and lifted[best] > scores[token] and tokens[best] != token:
                self.is_turned[row] = True
                token = int(tokens[best]) if self._is_written else token
        self._states[row] = self._trie.advance(state, token)
        return token
