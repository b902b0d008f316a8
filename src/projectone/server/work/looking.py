"""Looks at clips in pages, on every core, in sealed processes; what was looked at once is not decoded again.

The parent reads a clip's bytes and checks their digest, a child that can open no file and no socket decodes and judges
them. So many pages are under way and no more, however many samples there are: memory does not grow with the corpus.
Results are kept in this process's memory alone, a bounded number of them, by the digest of what they were made from.
They describe a person's recording, so they are that person's data, and what is never written cannot outlive an erasure.

A clip at which whoever looks fails or ends is asked about again alone, and then held for a person: it takes neither its
page nor its run with it. However few clips there are, the parent decodes none: it holds keys, files and the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.validation import LOOK_FAILED, Findings
from projectone.server.pipeline.ports import Look
from projectone.server.work.asking import ask_alone, send
from projectone.server.work.look import Engine, Question
from projectone.server.work.remembered import Remembered
from projectone.server.work.sealed_pool import SealedPool

# A page of half-minute clips is 15 MB.
_PAGE = 16
# Under half a kilobyte each.
_REMEMBERED = 20_000
_FAILED = Look(Findings(hold=(LOOK_FAILED,)))


@dataclass(frozen=True)
class _Asked:
    """A page under way: what is known of it already, and what a process was asked, in its order."""

    questions: list[Question]
    answers: dict[Question, Look]
    asked: list[Question]
    future: Future[list[Look]] | None


class Looker:
    """Looks at any number of clips.

    Args:
        read: A clip's digest to the bytes that were kept under it, checked.
        engine: Looks at many clips; None for sealed processes, one on each core.
        n_remembered: So many answers are kept for the next time, the newest.
    """

    def __init__(
        self, read: Callable[[str], bytes], *, engine: Engine | None = None, n_remembered: int = _REMEMBERED
    ) -> None:
        self._read = read
        self.engine = engine or SealedPool()
        self._known = Remembered(n_remembered)
        self._failed: set[Question] = set()
        self.n_decoded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look_at(self, questions: Iterable[Question]) -> Iterator[Look]:
        """The answers, in the order of the questions; as many questions are taken as answers are under way."""
        waiting: deque[_Asked] = deque()
        under_way: set[Question] = set()
        for page in _pages(questions):
            waiting.append(self._ask(page, under_way))
            if len(waiting) > self.engine.n_pages:
                yield from self._answer(waiting.popleft(), under_way)
        while waiting:
            yield from self._answer(waiting.popleft(), under_way)

    def forget_others(self, clip_sha256s: Iterable[str]) -> None:
        """Keep what is known of these clips alone; at what nobody could look, somebody may try again."""
        self._failed.clear()
        self._known.forget_others(set(clip_sha256s))

    def close(self) -> None:
        """End what the engine started."""
        self.engine.close()

    def _ask(self, page: list[Question], under_way: set[Question]) -> _Asked:
        """Send what is not known yet to a process."""
        contents: list[tuple[Question, bytes]] = []
        answers: dict[Question, Look] = {}
        for question in page:
            if (known := self._recall(question)) is not None:
                answers[question] = known
            elif question not in under_way:
                found = self._content(question)
                if isinstance(found, Look):
                    answers[question] = found
                else:
                    contents.append((question, found))
                    under_way.add(question)
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
        for question, fresh in zip(page.asked, self._fresh(page), strict=True):
            page.answers[question] = fresh
        under_way.difference_update(page.asked)
        for question in page.questions:
            # One that an earlier page asked is known by now, unless too many others are.
            yield page.answers.get(question) or self._recall(question) or self._look_alone(question)

    def _fresh(self, page: _Asked) -> list[Look]:
        """What a process says to what it was asked."""
        try:
            found = page.future.result() if page.future is not None else []
        except Exception:  # a process was killed, or failed at one of them: at which one?
            found = []
        if len(found) != len(page.asked):
            return [self._look_alone(question) for question in page.asked]
        for question, answer in zip(page.asked, found, strict=True):
            self._known.put(question, answer)
        return found

    def _look_alone(self, question: Question) -> Look:
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
            return _FAILED
        (answer,) = answers
        self._known.put(question, answer)
        return answer

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


def _pages(questions: Iterable[Question]) -> Iterator[list[Question]]:
    source = iter(questions)
    while page := list(islice(source, _PAGE)):
        yield page
