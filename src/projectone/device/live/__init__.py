"""What is being said now: on the disk as it arrives, and as text while it is spoken."""

from projectone.device.live.partials import Partial, Partials
from projectone.device.live.recorder import Live, LiveState, Unfinished
from projectone.device.live.spool import Spools

__all__ = ["Live", "LiveState", "Partial", "Partials", "Spools", "Unfinished"]
