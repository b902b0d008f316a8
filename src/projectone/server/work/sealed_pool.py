"""Processes that look at clips: each can open no file and no socket, computes on one core, and gets clips by memory.

The parent reads a clip's bytes and checks their digest, and lays them into memory that it shares with the processes
alone: it has no name, so nothing of it is left when they end. What does not fit there goes through a pipe.

On Linux each is a copy of one that has loaded everything and was asked nothing: the first costs a second of computing,
each later one 0.1 s, so that a handful of clips has a process of its own, too.

A process may compute so long about a clip and no longer: then the kernel ends it, and whoever asked asks about that
clip alone. It counts what was computed, not the hours, so that a busy machine blames no clip.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from projectone.server.pipeline.ports import Look
from projectone.server.sandbox.seal import apply_limits, apply_seal, grant_cpu
from projectone.server.voices.installed import check_installed
from projectone.server.work.hear import voice_of_clips
from projectone.server.work.look import Page, Question, look
from projectone.waveform.quality import RATE_HZ, measure_quality
from projectone.waveform.wav import encode_wav

_MAX_PROCESSES = 8
_MEMORY_BYTES = 1 << 30
# What costs most, the voices of five clips of half a minute, takes 1.7 s on an AMD EPYC; a clip takes 0.8 s at most.
_CPU_S: Final = 30
# A page of half-minute clips; it takes memory only as far as it is written.
_SLOT_BYTES = 16 << 20
# glibc's mallopt: what to give back to the system, and from which size on to ask the system each time.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 << 20

A = TypeVar("A")
R = TypeVar("R")
Sent = Sequence[tuple[Question, "bytes | tuple[int, int]"]]
"""A page whose clips are here, or from where to where they lie in the shared memory."""


class SharedMemory:
    """Memory without a name; a process that is started with it as an argument has it too."""

    def __init__(self, size_bytes: int, file: int | None = None) -> None:
        self._size_bytes = size_bytes
        self._file = os.memfd_create("clips", os.MFD_CLOEXEC) if file is None else file
        if file is None:
            os.ftruncate(self._file, size_bytes)
        self.view = mmap.mmap(self._file, size_bytes)

    def __reduce__(self) -> tuple[Callable[[int, Any], SharedMemory], tuple[int, Any]]:
        return _receive, (self._size_bytes, DupFd(self._file))

    def close(self) -> None:
        """Let go of it here."""
        self.view.close()
        os.close(self._file)


def _receive(size_bytes: int, file: Any) -> SharedMemory:  # noqa: ANN401 - the class behind DupFd has no public name
    return SharedMemory(size_bytes, file.detach())


class SealedPool:
    """An `Engine` of sealed processes.

    Args:
        n_processes: None for one on each core.
        cpu_s: Seconds that a process may compute about one clip, or one account's voice, before it is ended.
    """

    def __init__(self, n_processes: int | None = None, *, cpu_s: int = _CPU_S) -> None:
        self._cpu_s = cpu_s
        self._n_processes = n_processes or min(os.cpu_count() or 1, _MAX_PROCESSES)
        self.n_pages = 2 * self._n_processes
        self._pool: ProcessPoolExecutor | None = None
        self._shared: SharedMemory | None = None
        self._free: list[int] = []
        self._hears_voices = False

    def submit(self, page: Page) -> Future[list[Look]] | None:
        """Begin to look at a page; None if the processes ended, and the next page gets new ones."""
        if any(question.holds_speakers for question, _ in page):
            self.hear_voices()
        self.processes()
        shared, free = self._shared, self._free
        if shared is None or not free:
            return self.call(_look_at_sent, page)
        slot = free.pop()  # the one that was freed last is in the processor's cache still
        future = self.call(_look_at_sent, _lay(page, shared.view, slot))
        if future is not None:
            future.add_done_callback(lambda _: free.append(slot))
        return future

    def call(self, function: Callable[[A], R], argument: A) -> Future[R] | None:
        """Begin to compute in a sealed process; None if the processes ended, and the next call gets new ones."""
        try:
            return self.processes().submit(_compute, function, argument)
        except BrokenProcessPool:
            self.close()
            return None

    def hear_voices(self) -> None:
        """Have processes that know the networks of voices; those that do not can load nothing more, and end.

        Raises:
            DigestMismatchError: if weights are installed that are not the ones they should be.
        """
        if not self._hears_voices:
            check_installed()
            self.close()
            self._hears_voices = True

    def close(self) -> None:
        """End the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()

    def processes(self) -> ProcessPoolExecutor:
        """The pool; it starts a process when a page finds none idle, up to one on each core."""
        if self._pool is None:
            if hasattr(os, "memfd_create"):  # Linux
                size_bytes = (self.n_pages + 1) * _SLOT_BYTES
                self._shared = SharedMemory(size_bytes)
                self._free = list(range(0, size_bytes, _SLOT_BYTES))
            keep_freed_memory()
            self._pool = ProcessPoolExecutor(
                self._n_processes,
                mp_context=_context(),
                initializer=_seal,
                initargs=(self._shared, self._hears_voices, self._cpu_s),
            )
        return self._pool


def _context() -> BaseContext:
    """How processes are started; a copy of one that computed may not compute on a Mac.

    Sealed processes end with the one that they are copied from, and that one with this process.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _lay(page: Page, memory: mmap.mmap, slot: int) -> Sent:
    """Write a page's clips into a slot, as many as it holds."""
    sent: list[tuple[Question, bytes | tuple[int, int]]] = []
    end = slot
    for question, content in page:
        start, stop = end, end + len(content)
        if stop > slot + _SLOT_BYTES:
            sent.append((question, content))
            continue
        memory[start:stop] = content
        sent.append((question, (start, stop)))
        end = stop
    return sent


_shared: SharedMemory | None = None
"""In a process that looks: what its parent writes clips into."""

_cpu_s: int = _CPU_S
"""In a process that looks: how long it may compute about a clip."""


def _compute(function: Callable[[A], R], argument: A) -> R:
    """In a process that looks: the answer, if it comes in time."""
    grant_cpu(_cpu_s)
    return function(argument)


def _look_at_sent(page: Sent) -> list[Look]:
    """In a process that looks: the answers to a page, each in its own time."""
    found = []
    for question, content in page:
        grant_cpu(_cpu_s)
        # Read where it lies: the parent leaves a page alone until it is answered.
        found.append(look(content if isinstance(content, bytes) else _laid(*content), question))
    return found


def _laid(start: int, stop: int) -> memoryview:
    assert _shared is not None
    return memoryview(_shared.view)[start:stop]


def _seal(shared: SharedMemory | None, hears_voices: bool, cpu_s: int) -> None:
    """In a new process: load what will be needed, then give up files, network and children."""
    global _shared, _cpu_s
    _shared, _cpu_s = shared, cpu_s
    compute_on_one_core()
    warm_up(hears_voices=hears_voices)
    apply_limits(memory_bytes=_MEMORY_BYTES)
    apply_seal()
    let_parent_end()


def let_parent_end() -> None:
    """Close the pipe that keeps the process alive that this one is a copy of.

    That one ends once nobody holds the pipe. If only the worker does, it ends however the worker ended, and the kernel
    ends its sealed copies with it.
    """
    alive: int | None = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)
    if alive is not None:
        os.close(alive)


def warm_up(*, hears_voices: bool = False) -> Look:
    """Look once at what goes through everything: a sung sentence, corrected.

    What Python loads when it is first used is loaded by this, because a sealed process can load nothing more; the
    networks of voices, too, if they are installed and will be asked.
    """
    time_s = np.arange(int(4.5 * RATE_HZ)) / RATE_HZ
    turns = np.cumsum(150 + 50 * np.sin(2 * np.pi * 0.5 * time_s)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * turns * harmonic) / harmonic for harmonic in range(1, 20))
    clip = (0.2 * voice * (0.1 + np.sin(2 * np.pi * 1.5 * time_s) ** 2)).astype(np.float32)
    measure_quality(clip, closely=True)  # a glance is enough for this clip, others need the full look
    text = "call me at ten past five, please"
    question = Question("", text, heard="call me ate", wants_fingerprint=True, holds_speakers=hears_voices)
    content = encode_wav(clip)
    if hears_voices:
        voice_of_clips([content])
    return look(content, question)


_SET_THREADS: Final = ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads")


def compute_on_one_core() -> None:
    """Let this process's BLAS use one thread: there is a process for each core already.

    More threads would wait for each other, and that by computing.
    """
    for path in sorted((Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*")):
        library = ctypes.CDLL(str(path))  # it is loaded already: this finds it
        for name in _SET_THREADS:
            with suppress(AttributeError):
                getattr(library, name)(1)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Keep memory that was freed for the next clip: pages that the system clears again cost as much as a look."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library than glibc
            libc = ctypes.CDLL(None)
            libc.mallopt(_MMAP_THRESHOLD, _KEPT_BYTES // 2)
            libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
