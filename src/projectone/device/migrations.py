"""The steps by which a device's database came to its form: each room owns its own, here they have their order."""

from __future__ import annotations

from projectone.device.acceptance import M010_TRIALS, TRIALS_BY_FAMILY
from projectone.device.answers import ANSWERS_ACCOUNTS as M022_ANSWERS_ACCOUNTS
from projectone.device.answers import ANSWERS_KEPT as M021_ANSWERS_KEPT
from projectone.device.answers import ANSWERS_SENT as M020_ANSWERS
from projectone.device.assistant import M016_ASKED, M024_HARMLESS
from projectone.device.consent import M002_CONSENT, M004_ERASURES, M005_PEOPLE
from projectone.device.health import M007_HEALTH, M011_VERDICTS, WINDOWS_BY_FAMILY
from projectone.device.health.after import M014_USES, USES_BY_FAMILY
from projectone.device.outbox import M003_OUTBOX, M006_DELETIONS, M009_LEFT_AT
from projectone.device.quality import M012_QUALITY
from projectone.device.recordings import M001_RECORDINGS, M008_WORDS, M015_REMOVED_SOUNDS, M017_INTENTS
from projectone.device.remembering import M018_MEMORY, M023_MEANINGS
from projectone.device.vocabulary import M013_VOCABULARY

# What was one model's is keyed by what a model is for.
M019_FAMILIES = TRIALS_BY_FAMILY + WINDOWS_BY_FAMILY + USES_BY_FAMILY

# Append-only: `PRAGMA user_version` counts them.
MIGRATIONS = (
    M001_RECORDINGS,
    M002_CONSENT,
    M003_OUTBOX,
    M004_ERASURES,
    M005_PEOPLE,
    M006_DELETIONS,
    M007_HEALTH,
    M008_WORDS,
    M009_LEFT_AT,
    M010_TRIALS,
    M011_VERDICTS,
    M012_QUALITY,
    M013_VOCABULARY,
    M014_USES,
    M015_REMOVED_SOUNDS,
    M016_ASKED,
    M017_INTENTS,
    M018_MEMORY,
    M019_FAMILIES,
    M020_ANSWERS,
    M021_ANSWERS_KEPT,
    M022_ANSWERS_ACCOUNTS,
    M023_MEANINGS,
    M024_HARMLESS,
)
