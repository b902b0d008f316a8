"""The model of one family that is in use: loaded when first needed, swapped under load, never two in one answer.

Readers count themselves in and out of the engine they got. A swap changes which engine the next reader gets; the last
reader of the old one closes it. Loading and trying happen before the swap, so nobody waits for them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from projectone.device.installed import Installed, Outcome, Slot
from projectone.errors import LeaseError, PostponedError, SettingsError

_GAP_WAIT_S = 30.0  # an answer takes a second or two

MayGoOn = Callable[[], bool]
"""Whether this is still the moment for what nobody waits for."""


class Closable(Protocol):
    """A loaded model. It is used by one thread at a time."""

    def close(self) -> None:
        """Let go of the memory."""
        ...


E = TypeVar("E", bound=Closable)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Asked_co = TypeVar("Asked_co", covariant=True)
Answer_contra = TypeVar("Answer_contra", contravariant=True)


class ModelTrial(Protocol[Asked_co, Answer_contra]):
    """What a new model must get through; see `acceptance`."""

    def hear_before(self, version: str, hear: Callable[[Asked_co], Answer_contra]) -> None:
        """Have the model in use hear what is to be heard."""
        ...

    def hear_after(self, hear: Callable[[Asked_co], Answer_contra]) -> None:
        """Have the new model hear it; raises what speaks against it."""
        ...


class Watch(Protocol):
    """Told of what happens to the model in use; see `health.after`."""

    def before_load(self, slot: Slot) -> object:
        """It is about to be loaded: should the process end now, that speaks against it."""
        ...

    def load_failed(self, slot: Slot) -> object:
        """It could not be loaded."""
        ...

    def ended_well(self, slot: Slot) -> object:
        """The app is closed in an orderly way."""
        ...

    def settle(self) -> object:
        """Go back to the model before if what was seen speaks strongly enough against this one."""
        ...


class _NoWatch:
    def before_load(self, slot: Slot) -> None:
        """Nobody counts."""

    def load_failed(self, slot: Slot) -> None:
        """Nobody counts."""

    def ended_well(self, slot: Slot) -> None:
        """Nobody counts."""

    def settle(self) -> None:
        """Nobody judges."""


class Held(Generic[E]):
    """One engine and how many are using it.

    Attributes:
        turn: Held by the one thread that uses the engine.
    """

    def __init__(self, engine: E, version: str, folder: str) -> None:
        self.engine = engine
        self.version = version
        self.folder = folder
        self.users = 0
        self.is_retired = False
        self.turn = threading.Lock()
        self.is_closed = threading.Event()

    def close(self) -> None:
        """Let go of the memory."""
        self.engine.close()
        self.is_closed.set()


class InUse(Generic[E, Asked, Answer]):
    """The installed model, whichever that is at the moment of asking."""

    def __init__(
        self,
        installed: Installed,
        load: Callable[[Path], E],
        ask: Callable[[E, Asked], Answer],
        *,
        begin_trial: Callable[[Slot, MayGoOn], ModelTrial[Asked, Answer]],
        warm: Callable[[E], object],
        has_room: Callable[[Path], bool] = lambda folder: True,
        watch: Watch | None = None,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            installed: The models of the family on this device.
            load: Makes an engine from a model's folder.
            ask: What an engine answers, in its plainest form: trials compare that.
            begin_trial: What a new model must get through; it is given a release, and what to ask before each step.
            warm: Makes an engine do all it will have to do, before anybody waits for it.
            has_room: Whether there is memory for the model in a folder beside the one that is loaded.
            watch: Told of what happens to the model in use.
        """
        self._installed = installed
        self._load = load
        self._ask = ask
        self._begin_trial = begin_trial
        self._warm = warm
        self._has_room = has_room
        self._watch: Watch = watch or _NoWatch()
        self._held: Held[E] | None = None
        self._loaded: Slot | None = None
        self._pointer = threading.Lock()
        self._loading = threading.RLock()
        self.is_in_gap = False

    @contextlib.contextmanager
    def engine(self) -> Iterator[Held[E]]:
        """The engine in use, for one answer; it stays open that long. Its `turn` is the caller's to take.

        Raises:
            ArtifactError: if no whole model is installed.
        """
        held = self._acquire() or self._first()
        try:
            yield held
        finally:
            self._release(held)

    def try_new_model(self, may_go_on: MayGoOn = lambda: True) -> Outcome[object] | None:
        """Load the model on trial, exercise it, and use it from now on. Only inside `Installed.changing`.

        The model in use answers meanwhile. Where memory does not hold both, it is let go first, and who asks waits for
        the new one (`is_in_gap`).

        Args:
            may_go_on: Asked now and then; if not, the trial waits for another time.

        Returns:
            What became of the trial; None if there was none.

        Raises:
            PostponedError: if this is not the moment.
        """
        with contextlib.ExitStack() as until_swapped:
            made: list[E] = []
            try:
                outcome = self._installed.settle_trial(
                    lambda folder: self._load_and_try(folder, may_go_on, until_swapped, made)
                )
            except BaseException:
                for engine in made:  # the disk would not take the new state
                    engine.close()
                raise
            if outcome is None:
                return None
            if outcome.result is not None:
                self._swap(Held(outcome.result, outcome.slot.version, outcome.slot.folder))
            return Outcome(outcome.slot, None, outcome.reason)

    def reload(self) -> None:
        """Use the model that is current now, where another one is in use."""
        with contextlib.ExitStack() as until_swapped, self._loading:
            current = self._installed.state().current
            if self._held is not None and current is not None and self._held.folder != current.folder:
                if not self._has_room(self._installed.path_of(current)):
                    until_swapped.enter_context(self._gap())
                held = self._load_current()
                self._warm(held.engine)  # before anybody waits for it
                self._swap(held)

    def close(self) -> None:
        """Let go of the model; whoever is using it finishes first."""
        self._swap(None)
        if self._loaded is not None:
            self._watch.ended_well(self._loaded)

    def _acquire(self) -> Held[E] | None:
        with self._pointer:
            if self._held is not None:
                self._held.users += 1
            return self._held

    def _release(self, held: Held[E]) -> None:
        with self._pointer:
            held.users -= 1
            is_last = held.is_retired and held.users == 0
        if is_last:
            held.close()

    def _first(self) -> Held[E]:
        """The model in use, loaded by the first thread that needs it while the others wait."""
        with self._loading:
            held = self._acquire()
            if held is not None:
                return held
            if self._installed.state().current is None:
                # A first model that was not tried yet, unless another process is at it. Any other one waits for its
                # moment: somebody wants an answer now.
                with contextlib.suppress(LeaseError), self._installed.changing():
                    self.try_new_model()
            held = self._acquire()
            if held is None:
                held = self._load_current()
                held.users = 1
                self._swap(held)
            return held

    def _load_current(self) -> Held[E]:
        self._watch.settle()
        slot = self._installed.usable()
        try:
            return self._load_slot(slot)
        except SettingsError:
            raise
        except Exception:
            self._watch.load_failed(slot)
            self._watch.settle()
            now = self._installed.usable()
            if now == slot:
                raise
            return self._load_slot(now)

    def _load_slot(self, slot: Slot) -> Held[E]:
        self._watch.before_load(slot)
        self._loaded = slot
        return Held(self._load(self._installed.path_of(slot)), slot.version, slot.folder)

    def _swap(self, new: Held[E] | None) -> None:
        with self._pointer:
            old, self._held = self._held, new
            if old is None:
                return
            old.is_retired = True
            is_unused = old.users == 0
        if is_unused:
            old.close()

    def _load_and_try(self, folder: Path, may_go_on: MayGoOn, until_swapped: contextlib.ExitStack, made: list[E]) -> E:
        """A new model's engine, if nothing speaks against it; the model in use has heard the same before."""
        state = self._installed.state()
        assert state.trial is not None, "asked only where there is a trial"
        trial = self._begin_trial(state.trial, may_go_on)
        if state.current is not None:
            self._hear_before(trial, state.current)
        if self._held is not None and not self._has_room(folder):
            until_swapped.enter_context(self._gap())
        engine = self._load(folder)
        try:
            trial.hear_after(lambda asked: self._ask(engine, asked))
        except BaseException:
            engine.close()
            raise
        made.append(engine)
        return engine

    def _hear_before(self, trial: ModelTrial[Asked, Answer], current: Slot) -> None:
        held = self._acquire()
        if held is not None:
            try:
                if held.folder == current.folder:
                    trial.hear_before(held.version, lambda asked: self._ask_in_turn(held, asked))
                    return
            finally:
                self._release(held)
        try:
            engine = self._load(self._installed.path_of(current))
        except SettingsError:
            raise
        except Exception:  # a model in use that cannot be loaded is no measure for another
            return
        try:
            trial.hear_before(current.version, lambda asked: self._ask(engine, asked))
        finally:
            engine.close()

    def _ask_in_turn(self, held: Held[E], asked: Asked) -> Answer:
        """For trials: whoever wants an answer goes first between two questions."""
        with held.turn:
            return self._ask(held.engine, asked)

    @contextlib.contextmanager
    def _gap(self) -> Iterator[None]:
        """No model is loaded, and nobody loads one: memory holds one only."""
        # Not for ever: who holds this lock may be waiting for the right to change the models, which is ours now.
        if not self._loading.acquire(timeout=_GAP_WAIT_S):
            raise PostponedError("the trial of the new model waits: the one in use is being loaded")
        try:
            self.is_in_gap = True
            held = self._held
            self._swap(None)
            if held is not None and not held.is_closed.wait(_GAP_WAIT_S):
                raise PostponedError("the trial of the new model waits: the one in use has much to do")
            yield
        finally:
            self.is_in_gap = False
            self._loading.release()
