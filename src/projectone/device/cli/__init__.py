"""`projectone`: transcribe, correct, donate, consent, sync, update, from a terminal."""

from __future__ import annotations

from projectone.device.cli.main import main

__all__ = ["main"]
