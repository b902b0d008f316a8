"""Asks for a newer model, fetches and checks it, has it tried, and keeps the old one whatever happens."""

from __future__ import annotations

from projectone.device.updater.download import Download
from projectone.device.updater.offer import Cost, Offer
from projectone.device.updater.updater import SeeTurn, TakeTurn, Updater, UpdateReport

__all__ = ["Cost", "Download", "Offer", "SeeTurn", "TakeTurn", "UpdateReport", "Updater"]
