"""Looks at clips in pages, on every core, in sealed processes; what was looked at once is not decoded again.

The parent reads a clip's bytes and checks their digest, a child that can open no file and no socket decodes and judges
them. So many pages are under way and no more, however many samples there are: memory does not grow with the corpus.
Results are kept in this process's memory alone, a bounded number of them, by the digest of what they were made from.
They describe a person's recording, so they are that person's data, and what is never written cannot outlive an erasure.

A clip at which whoever looks fails or ends is asked about again alone, and then held for a person: it takes neither its
page nor its run with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from itertools import chain, islice
from types import TracebackType
from typing import Self

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.validation import LOOK_FAILED, Findings
from projectone.server.pipeline.ports import Look
from projectone.server.work.look import Engine, Page, Question, look
from projectone.server.work.remembered import Remembered
from projectone.server.work.sealed_pool import SealedPool, warm_up

# A page of half-minute clips is 15 MB; a process takes half a second to start, so few clips are not worth one.
_PAGE = 16
_WORTH_A_POOL = 64
# Under half a kilobyte each.
_REMEMBERED = 20_000
# A process may end for another reason than its clip.
_TRIES_ALONE = 2
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
        self.n_decoded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look_at(self, questions: Iterable[Question]) -> Iterator[Look]:
        """The answers, in the order of the questions; as many questions are taken as answers are under way."""
        source = iter(questions)
        first = list(islice(source, _WORTH_A_POOL))
        if len(first) < _WORTH_A_POOL:
            yield from map(self._look_here, first)
            return
        waiting: deque[_Asked] = deque()
        under_way: set[Question] = set()
        for page in _pages(chain(first, source)):
            waiting.append(self._ask(page, under_way))
            if len(waiting) > self.engine.n_pages:
                yield from self._answer(waiting.popleft(), under_way)
        while waiting:
            yield from self._answer(waiting.popleft(), under_way)

    def forget_others(self, clip_sha256s: Iterable[str]) -> None:
        """Keep what is known of these clips alone."""
        self._known.forget_others(set(clip_sha256s))

    def close(self) -> None:
        """End what the engine started."""
        self.engine.close()

    def _ask(self, page: list[Question], under_way: set[Question]) -> _Asked:
        """Send what is not known yet to a process."""
        contents: list[tuple[Question, bytes]] = []
        answers: dict[Question, Look] = {}
        for question in page:
            if (known := self._known.get(question)) is not None:
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
        return _Asked(page, answers, asked, self.engine.submit(contents) if contents else None)

    def _answer(self, page: _Asked, under_way: set[Question]) -> Iterator[Look]:
        """The page's answers, those of its process among them."""
        if page.future is not None:
            try:
                found = page.future.result()
            except Exception:  # a process was killed, or failed at one of them: at which one?
                found = [self._look_alone(question) for question in page.asked]
            for question, fresh in zip(page.asked, found, strict=True):
                page.answers[question] = fresh
                if fresh is not _FAILED:
                    self._known.put(question, fresh)
        under_way.difference_update(page.asked)
        for question in page.questions:
            # One that an earlier page asked is remembered by now.
            yield page.answers.get(question) or self._look_here(question)

    def _look_alone(self, question: Question) -> Look:
        """In a process that was asked nothing else.

        Raises:
            Exception: whatever it is that keeps processes from looking at anything.
        """
        content = self._content(question)
        if isinstance(content, Look):
            return content
        for _ in range(_TRIES_ALONE):
            try:
                (answer,) = self._ask_now([(question, content)])
            except Exception:
                self._ask_now([])
            else:
                return answer
        return _FAILED

    def _ask_now(self, page: Page) -> list[Look]:
        """What a process answers; the first that is asked after others ended may not be there yet."""
        future = self.engine.submit(page) or self.engine.submit(page)
        if future is None:
            raise BrokenExecutor("no process that looks at clips can be started")
        return future.result()

    def _look_here(self, question: Question) -> Look:
        """In this process.

        Raises:
            Exception: if an ordinary clip cannot be looked at either.
        """
        if (known := self._known.get(question)) is not None:
            return known
        found = self._content(question)
        if isinstance(found, Look):
            return found
        self.n_decoded += 1
        try:
            answer = look(found, question)
        except Exception:
            warm_up()
            return _FAILED
        self._known.put(question, answer)
        return answer

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
