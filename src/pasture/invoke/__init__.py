"""One invocation, from the door to its outcome.

- `routing`: which version a qualifier means, this time (pure); `resolving` looks it up.
- `direct`: the synchronous way: admitted, given an environment, answered.
"""
