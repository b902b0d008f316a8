"""What was seen in clips, kept small: a server that looks at a hundred thousand clips remembers the newest of them."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from projectone.server.corpus.validation import Findings
from projectone.server.pipeline.ports import Look
from projectone.server.work.look import Question
from projectone.waveform.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class _Packed:
    """A `Look` in a fifth of its bytes: the names of the figures are shared by all that have the same ones."""

    discard: str | None
    hold: tuple[str, ...]
    names: tuple[str, ...]
    figures: bytes
    key: bytes | None
    fingerprint: Fingerprint | None


class Remembered:
    """Answers by their questions; of too many the oldest go.

    Args:
        n_most: So many are kept.
    """

    def __init__(self, n_most: int) -> None:
        self._n_most = n_most
        self._packed: OrderedDict[tuple[bytes, bytes], _Packed] = OrderedDict()
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def get(self, question: Question) -> Look | None:
        """The answer, equal in every bit to the one that was given; None if it is not known any more."""
        packed = self._packed.get(_key(question))
        if packed is None:
            return None
        figures = array("d", packed.figures)
        findings = Findings(packed.discard, packed.hold, dict(zip(packed.names, figures, strict=True)))
        return Look(findings, packed.key.hex() if packed.key else None, packed.fingerprint)

    def put(self, question: Question, answer: Look) -> None:
        """Keep an answer as the newest one."""
        found = answer.findings
        names = tuple(found.measures)
        key = _key(question)
        self._packed[key] = _Packed(
            found.discard,
            found.hold,
            self._names.setdefault(names, names),
            array("d", found.measures.values()).tobytes(),
            bytes.fromhex(answer.content_key) if answer.content_key else None,
            answer.fingerprint,
        )
        self._packed.move_to_end(key)
        while len(self._packed) > self._n_most:
            self._packed.popitem(last=False)

    def forget_others(self, clip_sha256s: Collection[str]) -> None:
        """Keep what is known of these clips alone."""
        wanted = {bytes.fromhex(sha256) for sha256 in clip_sha256s}
        for key in [key for key in self._packed if key[0] not in wanted]:
            del self._packed[key]


def _key(question: Question) -> tuple[bytes, bytes]:
    """The clip, and a digest of what else was asked."""
    asked = (
        question.text,
        question.language,
        question.heard,
        question.holds_personal,
        question.wants_fingerprint,
        question.holds_speakers,
    )
    return bytes.fromhex(question.clip_sha256), hashlib.blake2b(repr(asked).encode(), digest_size=16).digest()
