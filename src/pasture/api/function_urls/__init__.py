"""Function URLs: a request of plain HTTP becomes an event, and what the function returns an answer (reference 8.1)."""
