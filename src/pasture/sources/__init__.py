"""Event sources: what is read for functions, and how records become invocations (aws-lambda reference 7)."""
