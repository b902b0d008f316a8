"""Looks at clips in pages, on every core, in sealed processes; what was looked at once is not decoded again.

The parent reads a clip's bytes and checks their digest, a child that can open no file and no socket decodes and judges
them. So many pages are under way and no more, however many samples there are: memory does not grow with the corpus.
Results are kept in this process's memory alone, a bounded number of them, by the digest of what they were made from.
They describe a person's recording, so they are that person's data, and what is never written cannot outlive an erasure.

A clip at which whoever looks fails or ends is asked about again alone, and then held for a person: it takes neither its
page nor its run with it. However few clips there are, the parent decodes none: it holds keys, files and the run.

Each such clip costs processes and their time, so that a few of them from one person are enough: whatever else of that
person's is not known yet is held without a look.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from types import TracebackType
from typing import Self

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.validation import LOOK_FAILED, NOT_LOOKED_AT, Findings
from projectone.server.pipeline.ports import Look
from projectone.server.work.asking import ask_alone, send
from projectone.server.work.look import Engine, Question
from projectone.server.work.remembered import Remembered
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.fingerprint import Fingerprint

# Clips in a page: fewer would wait more often for a process to be told. Of half-minute ones so many bytes are 16. The
# first page is small and each next one twice as large, so that every process has something to do soon.
_FIRST_PAGE, _PAGE = 4, 32
_PAGE_BYTES = 15 << 20
# Under half a kilobyte each.
_REMEMBERED = 20_000
# A defect of ours may meet several clips of one device; more of them are somebody's purpose.
_MAX_FAILED = 3
_ANY_TEXT = "a"  # said in any clip that is long enough
_FAILED = Look(Findings(hold=(LOOK_FAILED,)))
_NOT_LOOKED_AT = Look(Findings(hold=(NOT_LOOKED_AT,)))

_Given = tuple[Question, str | None]
"""A question, and who sent what it is about."""


@dataclass(frozen=True)
class _Asked:
    """A page under way: what is known of it already, and what a process was asked, in its order."""

    given: list[_Given]
    answers: dict[Question, Look]
    asked: list[Question]
    future: Future[list[Look]] | None


class Looker:
    """Looks at any number of clips.

    Args:
        read: A clip's digest to the bytes that were kept under it, checked.
        engine: Looks at many clips; None for sealed processes, one on each core.
        n_remembered: So many answers are kept for the next time, the newest.
        max_failed: After so many clips of one person at which whoever looked failed or ended, nobody looks at others
            of that person's in this run.
    """

    def __init__(
        self,
        read: Callable[[str], bytes],
        *,
        engine: Engine | None = None,
        n_remembered: int = _REMEMBERED,
        max_failed: int = _MAX_FAILED,
    ) -> None:
        self._read = read
        self.engine = engine or SealedPool()
        self._known = Remembered(n_remembered)
        self._failed: set[Question] = set()
        self._n_failed_of: Counter[str] = Counter()
        self._max_failed = max_failed
        self.n_decoded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look_at(self, questions: Iterable[Question], givers: Iterable[str] | None = None) -> Iterator[Look]:
        """The answers, in the order of the questions; as many questions are taken as answers are under way.

        Args:
            questions: About clips.
            givers: Who sent each of them; None if nobody needs to be stopped.
        """
        waiting: deque[_Asked] = deque()
        under_way: set[Question] = set()
        given = zip(questions, repeat(None) if givers is None else givers, strict=False)
        n_clips = _FIRST_PAGE
        while (page := self._ask(islice(given, n_clips), under_way)).given:
            n_clips = min(2 * n_clips, _PAGE)
            waiting.append(page)
            if len(waiting) > self.engine.n_pages:
                yield from self._answer(waiting.popleft(), under_way)
        while waiting:
            yield from self._answer(waiting.popleft(), under_way)

    def hear(self, clip_sha256s: Iterable[str]) -> Iterator[Fingerprint | None]:
        """What clips sound like, in their order; None for one that cannot be read, holds no speech or was not heard."""
        questions = (Question(sha256, _ANY_TEXT, wants_fingerprint=True) for sha256 in clip_sha256s)
        return (answer.fingerprint for answer in self.look_at(questions))

    def forget_others(self, clip_sha256s: Iterable[str]) -> None:
        """Keep what is known of these clips alone; at what nobody could look, somebody may try again."""
        self._failed.clear()
        self._n_failed_of.clear()
        self._known.forget_others(set(clip_sha256s))

    def close(self) -> None:
        """End what the engine started."""
        self.engine.close()

    def _ask(self, given: Iterator[_Given], under_way: set[Question]) -> _Asked:
        """Take a page of at most what is given, and send what is not known yet to a process."""
        page: list[_Given] = []
        contents: list[tuple[Question, bytes]] = []
        answers: dict[Question, Look] = {}
        n_bytes = 0
        for question, giver in given:
            page.append((question, giver))
            if (known := self._recall(question)) is not None:
                answers[question] = known
            elif question not in under_way and not self._is_given_up(giver):
                found = self._content(question)
                if isinstance(found, Look):
                    answers[question] = found
                else:
                    contents.append((question, found))
                    under_way.add(question)
                    n_bytes += len(found)
            if n_bytes > _PAGE_BYTES:
                break
        self.n_decoded += len(contents)
        asked = [question for question, _ in contents]
        return _Asked(page, answers, asked, self._submit(contents) if contents else None)

    def _submit(self, contents: list[tuple[Question, bytes]]) -> Future[list[Look]] | None:
        """A page on its way to a process, None if there is none just now."""
        try:
            return send(partial(self.engine.submit, contents))
        except BrokenExecutor:
            return None

    def _answer(self, page: _Asked, under_way: set[Question]) -> Iterator[Look]:
        """The page's answers, those of its process among them."""
        page.answers.update(self._fresh(page))
        under_way.difference_update(page.asked)
        for question, giver in page.given:
            # One that an earlier page asked is known by now, unless too many others are.
            known = page.answers.get(question) or self._recall(question)
            yield known or (_NOT_LOOKED_AT if self._is_given_up(giver) else self._look_alone(question, giver))

    def _fresh(self, page: _Asked) -> dict[Question, Look]:
        """What a process says to what it was asked; nothing if it failed at one of them or ended: at which one?"""
        try:
            found = page.future.result() if page.future is not None else []
        except Exception:
            found = []
        if len(found) != len(page.asked):
            return {}
        answers = dict(zip(page.asked, found, strict=True))
        for question, answer in answers.items():
            self._known.put(question, answer)
        return answers

    def _look_alone(self, question: Question, giver: str | None) -> Look:
        """In a process that was asked nothing else.

        Raises:
            Exception: whatever it is that keeps processes from looking at anything.
        """
        content = self._content(question)
        if isinstance(content, Look):
            return content
        submit = self.engine.submit
        answers = ask_alone(lambda: submit([(question, content)]), lambda: submit([]), otherwise=None)
        if answers is None:
            self._failed.add(question)
            if giver is not None:
                self._n_failed_of[giver] += 1
            return _FAILED
        (answer,) = answers
        self._known.put(question, answer)
        return answer

    def _is_given_up(self, giver: str | None) -> bool:
        return giver is not None and self._n_failed_of[giver] >= self._max_failed

    def _recall(self, question: Question) -> Look | None:
        """What was found before; that it failed is kept for the run."""
        return _FAILED if question in self._failed else self._known.get(question)

    def _content(self, question: Question) -> bytes | Look:
        """The clip's bytes, or what the disk says instead of them: of the disk, so it is not remembered."""
        try:
            return self._read(question.clip_sha256)
        except DataError as error:
            return Look(Findings(error.reason))
        except DigestMismatchError:
            return Look(Findings("clip-damaged"))
