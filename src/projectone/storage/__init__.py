"""Bytes and rows at rest: mechanism only, no domain word."""
