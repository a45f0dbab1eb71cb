"""What functions print: captured, kept, and read back.

- `report`: what START, END, REPORT and their kin say (pure).
- `framing`: the telemetry frames of the runtime clients; `lines`: plain streams cut into records.
- `store`: groups, streams and events in their own SQLite file; `service`: the rules of CloudWatch Logs over it.
- `patterns`: the filter patterns of CloudWatch Logs (pure).
"""
