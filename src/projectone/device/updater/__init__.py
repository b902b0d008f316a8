"""Asks for a newer model, fetches and checks it, has it tried, and keeps the old one whatever happens."""

from __future__ import annotations

from projectone.device.updater.download import Download
from projectone.device.updater.updater import TakeTurn, Updater, UpdateReport

__all__ = ["Download", "TakeTurn", "UpdateReport", "Updater"]
