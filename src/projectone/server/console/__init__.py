"""Pages for people who review: what waits for them, its sound and words, and their decision."""
