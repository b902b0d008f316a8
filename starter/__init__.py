"""Trains the small speech model that comes with the repository."""
