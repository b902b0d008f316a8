"""Strangers' audio: holds no key, no row, no wire."""
