"""One invocation, from the door to its outcome.

- `routing`: which version a qualifier means (pure).
- `direct`: the synchronous way: admitted, given an environment, answered.
"""
