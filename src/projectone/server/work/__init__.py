"""Puts the worker together, and each of its steps alone: train, evaluate, publish."""
