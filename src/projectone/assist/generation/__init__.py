"""Answers in words that never leave a person waiting: one protocol, wrapped round itself, with templates last."""
