"""Engines: one promise, kept by different libraries."""
