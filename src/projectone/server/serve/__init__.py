"""Puts the web processes together: the home they live in, the API for devices, the Hub for publishers."""
