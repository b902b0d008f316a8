"""Runs on ours. It knows nothing of the device but `contracts` and HTTP."""
