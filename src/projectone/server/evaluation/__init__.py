"""Judging: error rates with their uncertainty, and the gate between a candidate and production."""
