"""The tables' history: one line of numbered revisions."""
