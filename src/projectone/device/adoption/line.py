"""What a device has for each family of models: the models, whose turn a release is, and how each one does."""

from __future__ import annotations

from dataclasses import dataclass

from projectone.contracts.versions import Family
from projectone.device.acceptance import TrialRows
from projectone.device.health import Cohorts, Reporter, Windows
from projectone.device.health.after import ModelUses
from projectone.device.installed import Installed


@dataclass(frozen=True)
class ModelLine:
    """One family's rooms. The code is the same for every family; rows, folders and channels are keyed by it.

    Attributes:
        installed: The models on this device.
        windows: What is counted of a release, to be said.
        cohorts: Whose turn a release is.
        uses: How each model did here.
        rows: What trials showed.
        reporter: Says what was counted.
    """

    family: Family
    installed: Installed
    windows: Windows
    cohorts: Cohorts
    uses: ModelUses
    rows: TrialRows
    reporter: Reporter
