"""Answers devices; loads no model."""
