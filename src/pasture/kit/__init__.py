"""Small general tools that know nothing of Lambda: clock, tasks, identifiers, backoff."""
