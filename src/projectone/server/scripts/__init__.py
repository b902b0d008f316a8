"""Which sentences people are asked to read: a corpus, what the model gets wrong, and a picker between them."""
