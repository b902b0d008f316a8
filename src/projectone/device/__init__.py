"""Runs on the user's machine. It knows nothing of the server but `contracts` and HTTP."""
