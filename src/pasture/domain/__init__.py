"""The nouns and rules of Lambda. No I/O here, and nothing above is known."""
