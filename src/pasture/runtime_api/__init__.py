"""The HTTP API inside every sandbox, at `AWS_LAMBDA_RUNTIME_API`.

- `session`: what a call from inside the sandbox means now (pure).
- `api`: the endpoints over it, one per life of a runtime.
- `signals`: what an environment is told.
"""
