"""Every disk that a power cut could leave behind, within a bounded family.

A `Recorder` watches real code at work on a real folder: before each step it compares the folder with what it was and
notes what changed, and what was fsynced. `crash_images` then cuts the power after each step. The model is POSIX's
minimum (ALICE, OSDI 2014): a file's bytes are sure only after an fsync of that file, a folder's names only after an
fsync of that folder; a rename is atomic, but neither its durability nor its order against unsynced bytes is given. Of
the changes that nothing pins, an image loses: none, all, each one alone, all but one, every suffix, all bytes, all
names, and half of each file's bytes; where few are loose and it is asked for, every subset of them, and each file's
bytes torn at more places.

What code promised on the way (`acknowledged`) comes with each image: whoever looks at it holds it to that.

SIGKILL keeps the page cache, so killing a process sees none of this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

_WATCHED = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.listdir"}
ROOT = 0

Tree = dict[int, dict[str, int]]
"""Folder to name to what it names; files are not among the keys."""


@dataclass(frozen=True)
class Bytes:
    """A file's content changed."""

    node: int
    content: bytes

    def pinned_by(self, synced: int) -> bool:
        return self.node == synced


@dataclass(frozen=True)
class Names:
    """Names changed in one step: created, removed or renamed. None says that the name is gone."""

    changes: tuple[tuple[int, str, int | None, bool], ...]  # folder, name, node, is it a folder

    def pinned_by(self, synced: int) -> bool:
        return any(folder == synced for folder, *_ in self.changes)


@dataclass(frozen=True)
class Synced:
    """An fsync of this file or folder ended."""

    node: int


@dataclass(frozen=True)
class Acknowledged:
    """Somebody was told that this is kept."""

    what: str


@dataclass(frozen=True)
class Whole:
    """Changes that are there together and for good, or not at all: somebody else's tests vouch for it."""

    steps: tuple[Bytes | Names, ...]


Step = Bytes | Names | Synced | Acknowledged | Whole
# Up to 64 subsets at each moment.
_FEW = 6


@dataclass
class Disk:
    """Folders and files by node."""

    folders: Tree = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> Disk:
        return Disk({node: dict(names) for node, names in self.folders.items()}, dict(self.files))

    def apply(self, step: Step) -> None:
        if isinstance(step, Bytes):
            self.files[step.node] = step.content
        elif isinstance(step, Names):
            for folder, name, node, is_folder in step.changes:
                names = self.folders.setdefault(folder, {})
                if node is None:
                    names.pop(name, None)
                    continue
                names[name] = node
                if is_folder:
                    self.folders.setdefault(node, {})
                else:
                    self.files.setdefault(node, b"")
        elif isinstance(step, Whole):
            for part in step.steps:
                self.apply(part)

    def tear(self, step: Bytes, share: float) -> None:
        """Apply the first part of what is new in a file; the rest stays as it was."""
        old = self.files.get(step.node, b"")
        pairs = enumerate(zip(old, step.content, strict=False))
        kept = next((n for n, (one, other) in pairs if one != other), min(len(old), len(step.content)))
        cut = kept + int((len(step.content) - kept) * share)
        self.files[step.node] = step.content[:cut] + old[cut:]

    def listing(self, node: int = ROOT, prefix: str = "") -> dict[str, bytes | None]:
        """Path to content, None for a folder: what somebody would find."""
        found: dict[str, bytes | None] = {}
        for name, child in self.folders.get(node, {}).items():
            path = f"{prefix}{name}"
            if child in self.folders:
                found[path] = None
                found |= self.listing(child, f"{path}/")
            else:
                found[path] = self.files.get(child, b"")
        return found


class Recorder:
    """Notes what code does to a folder between `with recorder:` and its end."""

    _active: Recorder | None = None
    _is_hooked = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps: list[Step] = []
        self._nodes: dict[int, int] = {}  # the kernel's number to ours: it may give a freed one again
        self._n_nodes = 0
        self._is_looking = False
        self.disk = Disk()
        self._look()
        self.start = self.disk.copy()
        self.steps.clear()

    def __enter__(self) -> Recorder:
        if not Recorder._is_hooked:
            sys.addaudithook(Recorder._on_event)  # cannot be taken back, so there is only ever one
            Recorder._is_hooked = True
        Recorder._active = self
        self._fsync = os.fsync
        os.fsync = self._noted_fsync
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync = self._fsync
        Recorder._active = None
        self._look()

    def acknowledge(self, what: str) -> None:
        """Note that somebody was told that `what` is kept."""
        self._look()
        self.steps.append(Acknowledged(what))

    @staticmethod
    def _on_event(event: str, arguments: tuple[object, ...]) -> None:
        active = Recorder._active
        if active is not None and event in _WATCHED and not active._is_looking:
            active._look()

    def _noted_fsync(self, descriptor: int) -> None:
        self._look()
        self._fsync(descriptor)
        node = self._nodes.get(os.fstat(descriptor).st_ino)
        if node is not None:
            self.steps.append(Synced(node))

    def _look(self) -> None:
        """Note every difference between the folder and what is known of it."""
        self._is_looking = True
        try:
            seen, kinds = self._walk()
        finally:
            self._is_looking = False
        changes: list[tuple[int, str, int | None, bool]] = []
        for folder in [*seen, *(node for node in self.disk.folders if node not in seen)]:
            now, before = seen.get(folder, {}), self.disk.folders.get(folder, {})
            changes += [(folder, name, None, False) for name in before if name not in now]
            changes += [(folder, name, node, kinds[node]) for name, node in now.items() if before.get(name) != node]
        if changes:
            self._note(Names(tuple(changes)))
        for node, content in self._contents.items():
            if self.disk.files.get(node, b"") != content:
                self._note(Bytes(node, content))
        alive = {node for names in seen.values() for node in names.values()} | {ROOT}
        self._nodes = {inode: node for inode, node in self._nodes.items() if node in alive}

    def _walk(self) -> tuple[Tree, dict[int, bool]]:
        seen: Tree = {}
        kinds: dict[int, bool] = {}
        self._contents: dict[int, bytes] = {}
        self._nodes.setdefault(self.root.stat().st_ino, ROOT)
        waiting = [(self.root, ROOT)]
        while waiting:
            path, folder = waiting.pop()
            names = seen.setdefault(folder, {})
            with os.scandir(path) as entries:
                for entry in entries:
                    names[entry.name] = node = self._node(entry.stat(follow_symlinks=False).st_ino)
                    kinds[node] = entry.is_dir()
                    if kinds[node]:
                        waiting.append((Path(entry.path), node))
                    else:
                        self._contents[node] = Path(entry.path).read_bytes()
        return seen, kinds

    def _node(self, inode: int) -> int:
        if inode not in self._nodes:
            self._n_nodes += 1
            self._nodes[inode] = self._n_nodes
        return self._nodes[inode]

    def _note(self, step: Step) -> None:
        self.disk.apply(step)
        self.steps.append(step)


Image = dict[str, bytes | None]


def crash_images(recorder: Recorder) -> Iterator[Image]:
    """Every different folder that a power cut during the recorded work could leave."""
    known: set[frozenset[tuple[str, bytes | None]]] = set()
    for image, _ in crash_states(recorder):
        key = frozenset(image.items())
        if key not in known:
            known.add(key)
            yield image


def crash_states(
    recorder: Recorder, *, tears: tuple[float, ...] = (0.5,), is_thorough: bool = False
) -> Iterator[tuple[Image, frozenset[str]]]:
    """Every different folder that a power cut could leave, with what had been acknowledged by then.

    Args:
        recorder: Its work is done.
        tears: How much of a torn file's new bytes is there.
        is_thorough: Every subset of the changes that nothing pins, where they are few.
    """
    known: set[tuple[frozenset[tuple[str, bytes | None]], frozenset[str]]] = set()
    for end in range(len(recorder.steps) + 1):
        steps = recorder.steps[:end]
        said = frozenset(step.what for step in steps if isinstance(step, Acknowledged))
        for lost, torn in _losses(steps, is_thorough):
            for share in tears if torn is not None else (0.0,):
                image = _image(recorder.start, steps, lost, torn, share)
                key = (frozenset(image.items()), said)
                if key not in known:
                    known.add(key)
                    yield image, said


def _image(start: Disk, steps: list[Step], lost: set[int], torn: int | None, share: float) -> Image:
    disk = start.copy()
    for number, step in enumerate(steps):
        if number == torn and isinstance(step, Bytes):
            disk.tear(step, share)
        elif number not in lost:
            disk.apply(step)
    return disk.listing()


def _losses(steps: list[Step], is_thorough: bool) -> Iterator[tuple[set[int], int | None]]:
    """Which steps an image loses, and which one it keeps in part."""
    loose = [
        number
        for number, step in enumerate(steps)
        if isinstance(step, Bytes | Names)
        and not any(isinstance(later, Synced) and step.pinned_by(later.node) for later in steps[number + 1 :])
    ]
    yield set(), None
    yield set(loose), None
    if is_thorough and len(loose) <= _FEW:
        for n_lost in range(1, len(loose)):
            yield from ((set(lost), None) for lost in combinations(loose, n_lost))
    yield {number for number in loose if isinstance(steps[number], Bytes)}, None
    yield {number for number in loose if isinstance(steps[number], Names)}, None
    for position, number in enumerate(loose):
        yield {number}, None
        yield set(loose) - {number}, None
        yield set(loose[position:]), None
        if isinstance(steps[number], Bytes):
            yield set(), number


def write_image(image: Image, folder: Path) -> None:
    """Make the image a real folder."""
    folder.mkdir()
    for path, content in image.items():
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
