"""Nearest vectors of one owner: one protocol, and stores for a device, a single server and many servers."""
