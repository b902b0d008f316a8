"""How much one device, one address and everybody together may ask for, in a minute or an hour."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_WINDOW_S = 60.0
_HOUR_S = 3600.0
_MAX_KEYS = 10_000


@dataclass(frozen=True, kw_only=True)
class QuotaLimits:
    """Requests a minute.

    Attributes:
        device: Signed requests of one device.
        address: Requests from one network address, before anything about them is known.
        total: All requests.
        failed_enrolments: Wrong enrolment codes from one address.
        new_devices: Devices that one address may make known in an hour; an office behind one address is many people.
        open_requests: Uploads of one device that are served at the same time, and as many other signed requests.
    """

    device: int = 1_200
    address: int = 3_000
    total: int = 12_000
    failed_enrolments: int = 20
    new_devices: int = 100
    open_requests: int = 4


class MovingWindow:
    """Counts what happened in the last minute (or `window_s`), by key; the oldest keys are forgotten first."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic, *, window_s: float = _WINDOW_S) -> None:
        self._limit = limit
        self._clock = clock
        self._window_s = window_s
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, *, is_counted: bool = True) -> float | None:
        """None if there is room (one more is then counted), else the seconds until there will be."""
        now = self._clock()
        with self._lock:
            moments = self._moments.setdefault(key, deque())
            self._moments.move_to_end(key)
            while len(self._moments) > _MAX_KEYS:
                self._moments.popitem(last=False)
            while moments and moments[0] <= now - self._window_s:
                moments.popleft()
            if len(moments) >= self._limit:
                return moments[0] + self._window_s - now
            if is_counted:
                moments.append(now)
            return None


class OpenRequests:
    """How many requests of each key are being served just now; a slow sender holds up nobody but itself."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._n_open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def one_more(self, key: str) -> Iterator[bool]:
        """Whether there is room for one more; if there is, it counts for the block."""
        with self._lock:
            has_room = self._n_open[key] < self.limit
            self._n_open[key] += has_room
        try:
            yield has_room
        finally:
            with self._lock:
                self._n_open[key] -= has_room
                if not self._n_open[key]:
                    del self._n_open[key]


class Quotas:
    """The windows of one API process."""

    def __init__(self, limits: QuotaLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        limits = limits or QuotaLimits()
        self.device = MovingWindow(limits.device, clock)
        self.address = MovingWindow(limits.address, clock)
        self.total = MovingWindow(limits.total, clock)
        self.failed_enrolments = MovingWindow(limits.failed_enrolments, clock)
        self.new_devices = MovingWindow(limits.new_devices, clock, window_s=_HOUR_S)
        self.open_requests = OpenRequests(limits.open_requests)
