"""Where models are kept: the client side of a Hub, and the card that goes with each model."""
