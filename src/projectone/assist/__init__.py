"""The small models: what was meant, and how near two texts are; on the user's own device."""
