"""Sound as numbers: numpy only, no model; the same checks on both sides."""
