"""The HTTP APIs inside every sandbox, at `AWS_LAMBDA_RUNTIME_API`.

- `session`, `api`, `signals`: the Runtime API: what a call means now (pure), the endpoints, what comes of it.
- `streaming`, `bandwidth`: responses in streaming mode, and their pace (pure).
- `extensions_session`, `extensions`, `extension_signals`: the same for the Extensions API.
- `telemetry_subscription`, `telemetry_buffer` (pure), `telemetry_subscriber`, `telemetry_delivery`, `telemetry`: the
  Telemetry and the Logs API.
- `metadata`: which availability zone it is.
"""
