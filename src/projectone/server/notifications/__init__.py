"""Tell a human: rows that wait to be said, and the ways to say them."""
