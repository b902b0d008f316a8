"""What the device and the server agree on: words and checks, no disk, no wire, no arrays."""
