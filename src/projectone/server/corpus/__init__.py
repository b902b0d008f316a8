"""The data lake: what people sent, under which consent, and what became of it."""
