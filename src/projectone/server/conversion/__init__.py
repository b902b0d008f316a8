"""Translate a model into what a device downloads."""
