"""How a better model arrives unnoticed, and what a person can see of it.

adopting    fetches, waits for a moment, tries, goes back
line        the rooms of one family of models
news        what is new in a release, in words
offered     a release that was looked at and is not in use, in words
standing    where this device stands, in words
"""

from __future__ import annotations

from projectone.device.adoption.adopting import Adoption, Bring
from projectone.device.adoption.line import ModelLine
from projectone.device.adoption.offered import Offered
from projectone.device.adoption.standing import AdoptionState, KeptModel

__all__ = ["Adoption", "AdoptionState", "Bring", "KeptModel", "ModelLine", "Offered"]
