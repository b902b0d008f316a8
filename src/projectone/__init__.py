"""Speech recognition on the user's own device, and the private loop that makes it better."""

__version__ = "0.1.0"
