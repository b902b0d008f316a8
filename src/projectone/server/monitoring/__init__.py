"""Watches models in use: what devices report of a release, and whether that speaks against it."""
