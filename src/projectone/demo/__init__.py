"""The whole loop on one machine. Above both sides; nobody imports it."""
