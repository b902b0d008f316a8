"""Whose turn a release is here, and what this device says about the model in use: counts, and only if asked to."""

from projectone.device.health.cohort import Cohorts as Cohorts
from projectone.device.health.reporter import Reporter as Reporter
from projectone.device.health.windows import M007_HEALTH as M007_HEALTH
from projectone.device.health.windows import M011_VERDICTS as M011_VERDICTS
from projectone.device.health.windows import WINDOWS_BY_FAMILY as WINDOWS_BY_FAMILY
from projectone.device.health.windows import Windows as Windows
