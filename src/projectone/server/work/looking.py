"""Looks at clips in pages, on every core, in sealed processes; what was looked at once is not decoded again.

The parent reads a clip's bytes and checks their digest, a child that can open no file and no socket decodes and judges
them. So many pages are under way and no more, however many samples there are: memory does not grow with the corpus.
Results are kept in this process's memory alone, a bounded number of them, by the digest of what they were made from.
They describe a person's recording, so they are that person's data, and what is never written cannot outlive an erasure.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from types import TracebackType
from typing import Self

import numpy as np

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.validation import Findings, check_sample
from projectone.server.evaluation.golden import pcm_digest
from projectone.server.pipeline.ports import Look
from projectone.server.sandbox.seal import apply_limits, apply_seal
from projectone.waveform.wav import encode_wav, parse_wav

# A page of half-minute clips is 15 MB; a process takes half a second to start, so few clips are not worth one.
_PAGE = 16
_WORTH_A_POOL = 64
_MAX_PROCESSES = 8
_MEMORY_BYTES = 1 << 30
# About 1 kB each.
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Question:
    """What is asked about one sample; the same question has the same answer for ever."""

    clip_sha256: str
    text: str
    language: str = "en"
    heard: str | None = None
    holds_personal: bool = True


def look(content: bytes, question: Question) -> Look:
    """One clip decoded and judged."""
    try:
        samples = parse_wav(content).samples[:, 0]
    except DataError as error:
        return Look(Findings(error.reason))
    found = check_sample(
        samples,
        question.text,
        language=question.language,
        heard=question.heard,
        holds_personal=question.holds_personal,
    )
    return Look(found, pcm_digest(samples))


Page = Sequence[tuple[Question, bytes]]


def look_at_page(page: Page) -> list[Look]:
    """What a process is asked at once."""
    return [look(content, question) for question, content in page]


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
        n_processes: None for one on each core.
        n_remembered: So many answers are kept for the next time, the newest.
    """

    def __init__(
        self, read: Callable[[str], bytes], *, n_processes: int | None = None, n_remembered: int = _REMEMBERED
    ) -> None:
        self._read = read
        self._n_processes = n_processes or min(os.cpu_count() or 1, _MAX_PROCESSES)
        self._n_remembered = n_remembered
        self._known: OrderedDict[Question, Look] = OrderedDict()
        self._pool: ProcessPoolExecutor | None = None
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
            if len(waiting) > 2 * self._n_processes:
                yield from self._answer(waiting.popleft(), under_way)
        while waiting:
            yield from self._answer(waiting.popleft(), under_way)

    def forget_others(self, clip_sha256s: Iterable[str]) -> None:
        """Keep what is known of these clips alone."""
        wanted = set(clip_sha256s)
        for question in [question for question in self._known if question.clip_sha256 not in wanted]:
            del self._known[question]

    def close(self) -> None:
        """End the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
            self._maker.shutdown()

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
        return _Asked(page, answers, asked, self._submit(contents) if contents else None)

    def _answer(self, page: _Asked, under_way: set[Question]) -> Iterator[Look]:
        """The page's answers, those of its process among them."""
        if page.future is not None:
            try:
                found = page.future.result()
            except (BrokenProcessPool, CancelledError):  # a child was killed: what it was asked is answered here
                self.close()
                found = []
            for question, fresh in zip(page.asked, found, strict=False):
                page.answers[question] = fresh
                self._remember(question, fresh)
        under_way.difference_update(page.asked)
        for question in page.questions:
            # One that an earlier page asked is remembered by now.
            yield page.answers.get(question) or self._look_here(question)

    def _look_here(self, question: Question) -> Look:
        """In this process."""
        if (known := self._known.get(question)) is not None:
            return known
        found = self._content(question)
        if isinstance(found, Look):
            return found
        self.n_decoded += 1
        answer = look(found, question)
        self._remember(question, answer)
        return answer

    def _content(self, question: Question) -> bytes | Look:
        """The clip's bytes, or what the disk says instead of them: of the disk, so it is not remembered."""
        try:
            return self._read(question.clip_sha256)
        except DataError as error:
            return Look(Findings(error.reason))
        except DigestMismatchError:
            return Look(Findings("clip-damaged"))

    def _submit(self, contents: list[tuple[Question, bytes]]) -> Future[list[Look]] | None:
        try:
            return self._processes().submit(look_at_page, contents)
        except BrokenProcessPool:
            self.close()  # the next page gets new processes
            return None

    def _processes(self) -> ProcessPoolExecutor:
        """The pool; made by a thread that lives as long, because sealed children end with the thread that made them."""
        if self._pool is None:
            self._maker = ThreadPoolExecutor(1)
            self._pool = self._maker.submit(self._start).result()
        return self._pool

    def _start(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(self._n_processes, mp_context=get_context("spawn"), initializer=_seal)
        pool.submit(look_at_page, [])  # starts them all
        return pool

    def _remember(self, question: Question, answer: Look) -> None:
        self._known[question] = answer
        self._known.move_to_end(question)
        while len(self._known) > self._n_remembered:
            self._known.popitem(last=False)


def _pages(questions: Iterable[Question]) -> Iterator[list[Question]]:
    source = iter(questions)
    while page := list(islice(source, _PAGE)):
        yield page


def _seal() -> None:
    """In a new process: load what will be needed, then give up files, network and children."""
    tone = 0.3 * np.sin(np.arange(8_000) / 5) * np.hanning(8_000)
    look(encode_wav(tone.astype(np.float32)), Question("", "warm up"))
    apply_limits(memory_bytes=_MEMORY_BYTES)
    apply_seal()
