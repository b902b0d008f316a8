"""Judging a classifier of intents: its golden texts, its report, and what the gate asks of it."""
