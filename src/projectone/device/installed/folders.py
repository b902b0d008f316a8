"""Installing, trying, falling back, going back, cleaning up: each a change of `state.json`, whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import NotedRelease, ReleaseManifest, ReleaseUpdate
from projectone.device.installed.bases import Bases
from projectone.device.installed.package import MANIFEST_FILE, find_damage, unpack
from projectone.device.installed.rebuilding import find_file, rebuild
from projectone.device.installed.state import CRASH_LOOP, MAX_TRIES, USER_WENT_BACK, InstallState, Slot
from projectone.errors import (
    ArtifactError,
    ContractError,
    LeaseError,
    PostponedError,
    ProjectOneError,
    SettingsError,
    StorageError,
)
from projectone.storage.files import building_directory, sweep_temporary, write_atomically
from projectone.storage.locks import exclusive_lock

T = TypeVar("T")
_BUSY: Final = (
    "one is fetched, tried or changed already, by the app in the browser, a timer or another command; "
    "it goes on by itself: try again when it is done"
)


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a trial: what `check` gave and the model it was given for, or why it failed."""

    slot: Slot
    result: T | None
    reason: str | None = None


class Installed:
    """The models on this device. `recover` comes first, at every start, and may run as often as wished."""

    def __init__(self, folder: Path, *, noun: str = "model") -> None:
        """Look at a folder.

        Args:
            folder: For the models of one family alone.
            noun: What people call one of them.
        """
        self.folder = folder
        self.noun = noun
        self._releases = folder / "releases"
        self._state_file = folder / "state.json"
        self._bases = Bases(folder / "bases")

    def state(self) -> InstallState:
        """What `state.json` says.

        Raises:
            StorageError: if it cannot be read. It is only ever replaced whole, so the disk itself is damaged.
        """
        try:
            return InstallState.from_bytes(self._state_file.read_bytes())
        except FileNotFoundError:
            return InstallState()
        except (OSError, ContractError) as error:
            raise StorageError(
                f"{self._state_file}: {error}; remove the folder {self.folder.name!r} and run `projectone update`"
            ) from error

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """The right to install or try a model.

        Raises:
            LeaseError: if another process has it.
        """
        with exclusive_lock(self.folder / "update.lock", what=f"updating the {self.noun}", busy=_BUSY):
            yield

    def path_of(self, slot: Slot) -> Path:
        """The folder of an installed model."""
        return self._releases / slot.folder

    def damage(self, slot: Slot) -> str | None:
        """What is wrong with a model's files; None if each is as it was signed."""
        return find_damage(self.path_of(slot), slot.manifest_sha256)

    def recover(self) -> InstallState:
        """Bring the folder back to order after any interruption, and give the state.

        A trial that crashed twice, or whose files are damaged, is dropped. What no state names is removed. While
        another process is changing things, nothing is touched.

        Raises:
            StorageError: if the disk refused.
        """
        try:
            with self.changing():
                return self._recover()
        except LeaseError:
            return self.state()

    def _recover(self) -> InstallState:
        state = self.state()
        if state.trial is not None:
            is_damaged = self.damage(state.trial) is not None
            if state.tries >= MAX_TRIES:
                state = self._save(state.dropped(CRASH_LOOP))
            elif is_damaged:
                state = self._save(state.without_trial())
        self._collect(state)
        return state

    def add(self, package: Path, manifest: ReleaseManifest) -> Slot:
        """Unpack a package into a folder of its own; nothing is in use yet. Only inside `changing`.

        Raises:
            ArtifactError: if the package is not what was signed.
            StorageError: if the disk refused.
        """
        return self._build(manifest, lambda folder: unpack(package, manifest, folder))

    def file_of(self, path: str, sha256: str) -> Path | None:
        """A file of a model or a base that is here, by what it holds; None if none has it."""
        return find_file(self._folders(), path, sha256)

    def add_base(self, package: Path, way: ReleaseUpdate, manifest: ReleaseManifest) -> None:
        """Unpack the base that `way` leads from, out of its own package. Only inside `changing`.

        Raises:
            ArtifactError: if the package is not that base.
            StorageError: if the disk refused.
        """
        self._bases.add(package, way, manifest)

    def rebuild(self, update: Path, base: Path, way: ReleaseUpdate, manifest: ReleaseManifest) -> Slot:
        """As `add`, from weights that are here and a short way; the other files are copied.

        Raises:
            ArtifactError: if another file of the release is not here, or what comes out is not what was signed.
            StorageError: if the disk refused.
        """
        return self._build(manifest, lambda folder: rebuild(folder, self._folders(), update, base, way, manifest))

    def _folders(self) -> list[Path]:
        return [*(self.path_of(slot) for slot in self.state().slots()), *self._bases.folders()]

    def _build(self, manifest: ReleaseManifest, fill: Callable[[Path], None]) -> Slot:
        name = next(
            name
            for name in itertools.chain([str(manifest.seq)], (f"{manifest.seq}.{n}" for n in itertools.count(1)))
            if not (self._releases / name).exists()
        )
        with building_directory(self._releases / name) as folder:
            fill(folder)
        # Before another model takes the place of the one that is the base.
        self._bases.keep(manifest, [self._releases / name, *self._folders()])
        return Slot(
            folder=name, seq=manifest.seq, version=manifest.version, manifest_sha256=sha256_hex(manifest.to_bytes())
        )

    def begin_trial(self, slot: Slot) -> None:
        """Name a model as the one to try next. Only inside `changing`."""
        self._save(self.state().with_trial(slot))

    def settle_trial(self, check: Callable[[Path], T]) -> Outcome[T] | None:
        """Try the model on trial, if there is one: in use from now on, or dropped. Only inside `changing`.

        The try is on the disk before the model is touched, so a model that ends the process is noticed at the next
        start. `check` loads and exercises it; whatever it raises speaks against the model, but for a missing setting, a
        bad moment, and a disk or a machine that has no room for it just now.

        Raises:
            SettingsError: if no model could be tried with these settings; the trial waits.
            PostponedError: if this is not the moment; the trial waits.
            StorageError: if the disk refused; the trial waits.
        """
        state = self.state()
        if state.trial is None:
            return None
        slot, untried = state.trial, state
        if state.tries >= MAX_TRIES:  # another process found out
            self._collect(self._save(state.dropped(CRASH_LOOP)))
            return Outcome(slot, None, CRASH_LOOP)
        state = self._save(state.with_try())
        try:
            result = check(self.path_of(slot))
        except (SettingsError, PostponedError, StorageError):
            self._save(untried)
            raise
        except MemoryError as error:
            self._save(untried)
            raise PostponedError("the trial of the new model waits: there is too little memory just now") from error
        except Exception as error:
            reason = str(error) if isinstance(error, ProjectOneError) else f"{type(error).__name__}: {error}"
            self._collect(self._save(state.dropped(reason)))
            return Outcome(slot, None, reason)
        self._collect(self._save(state.promoted()))
        return Outcome(slot, result)

    def manifest_of(self, slot: Slot) -> NotedRelease:
        """What was signed of an installed model, and what is new in it.

        Raises:
            ArtifactError: if its files are damaged.
        """
        try:
            return NotedRelease.from_bytes((self.path_of(slot) / MANIFEST_FILE).read_bytes())
        except (OSError, ContractError) as error:
            raise ArtifactError(f"{self.noun} {slot.version} is damaged ({error})") from error

    def forget_trial(self) -> None:
        """Let go of a model that waits for its trial; it may come again. Only inside `changing`."""
        state = self.state()
        if state.trial is not None:
            self._collect(self._save(state.without_trial()))

    def stop(self, slot: Slot, reason: str) -> None:
        """Note that nobody is to go back to a model. Only inside `changing`."""
        state = self.state()
        if state.why_set_aside(slot.seq) != reason:
            self._save(state.stopped(slot, reason))

    def unstop(self, slot: Slot, reason: str) -> None:
        """What was noted by `stop` for this reason holds no more. Only inside `changing`."""
        state = self.state()
        if state.why_set_aside(slot.seq) == reason:
            self._save(state.without_aside(slot))

    def let_go_of_previous(self) -> None:
        """Make room: keep no model to go back to, until another one takes its place. Only inside `changing`."""
        self._collect(self._save(self.state().without_previous()))

    def used_bytes(self) -> int:
        """What the models and their bases take on the disk; a file with two names counts once."""
        return sum(_sizes([self._releases, *self._bases.folders()]).values())

    def size_of(self, slot: Slot) -> int:
        """What one model takes."""
        return sum(_sizes([self.path_of(slot)]).values())

    def bases(self) -> list[tuple[ReleaseManifest, int]]:
        """What releases are made from: each with what it was unpacked with, and what it takes.

        A base that is also an installed model shares its files, and takes no more room.
        """
        found: list[tuple[ReleaseManifest, int]] = []
        for folder in self._bases.folders():
            with contextlib.suppress(OSError, ContractError):
                manifest = NotedRelease.from_bytes((folder / MANIFEST_FILE).read_bytes())
                found.append((manifest, sum(_sizes([folder]).values())))
        return found

    def retire(self, min_seq: int) -> None:
        """Remove a model of before `min_seq` that is kept to go back to. Only inside `changing`."""
        state = self.state()
        kept = state.without_retired(min_seq)
        if kept != state:
            self._collect(self._save(kept))

    def usable(self) -> Slot:
        """The model to use: the current one, or the one before if its files are damaged.

        Raises:
            ArtifactError: if there is none.
        """
        state = self.state()
        damages = []
        while state.current is not None:
            damage = self.damage(state.current)
            if damage is None:
                return state.current
            damages.append(f"{self.noun} {state.current.version} is damaged ({damage})")
            state = self._fall_back(state.current)
        none = f"no {self.noun} is installed yet" if not state.floor else f"no whole {self.noun} is left on this device"
        problem = "; ".join(damages) or none
        raise ArtifactError(f"{problem}: run `projectone update`")

    def roll_back(self, reason: str = USER_WENT_BACK) -> Slot:
        """Use the model before from now on; a newer release can still come, this one only if asked for.

        Args:
            reason: Why the model in use is set aside.

        Raises:
            ArtifactError: if there is no whole model to go back to, or that one was set aside itself.
            LeaseError: if another process is changing the models.
        """
        with self.changing():
            state = self.state()
            if state.current is None or state.previous is None:
                raise ArtifactError(f"there is no earlier {self.noun} on this device to go back to")
            barred = state.barred(state.previous)
            if barred is not None:
                raise ArtifactError(
                    f"there is no way back: the earlier {self.noun} {state.previous.version} is set aside: {barred}"
                )
            damage = self.damage(state.previous)
            if damage is not None:
                raise ArtifactError(f"the earlier {self.noun} {state.previous.version} is damaged ({damage})")
            self._save(state.rolled_back(reason))
            return state.previous

    def _fall_back(self, damaged: Slot) -> InstallState:
        with exclusive_lock(self.folder / "update.lock", what="falling back", is_waiting=True):
            state = self.state()
            # Another process may have put things right while this one waited.
            return self._save(state.fallen_back()) if state.current == damaged else state

    def _save(self, state: InstallState) -> InstallState:
        write_atomically(self._state_file, state.to_bytes())
        return state

    def _collect(self, state: InstallState) -> None:
        """Remove every model that no state names. Only inside `changing`."""
        sweep_temporary(self._releases)
        sweep_temporary(self.folder)
        kept = {slot.folder for slot in state.slots()}
        for folder in self._releases.iterdir() if self._releases.is_dir() else ():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
        self._bases.collect(self.path_of(slot) for slot in state.slots())


def _sizes(folders: Iterable[Path]) -> dict[tuple[int, int], int]:
    """Bytes of every file below these folders, by what the disk calls it."""
    sizes = {}
    for folder in folders:
        for path in folder.rglob("*") if folder.is_dir() else ():
            with contextlib.suppress(OSError):  # it may go while one looks
                found = path.lstat()
                sizes[found.st_dev, found.st_ino] = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return sizes
