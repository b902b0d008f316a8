"""What a small model or an answer is worth on what nobody learned from: rules alone, the same result every time."""
