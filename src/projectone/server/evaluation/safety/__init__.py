"""Judges safety classifiers: what they warn of, and what they warn of without need."""
