"""What functions print: captured, kept, and read back.

- `report`: what START, END, REPORT and their kin say (pure).
- `framing`: the telemetry frames of the runtime clients; `lines`: plain streams cut into records; `tail`: their end.
- `intake`: the writers of the whole server and the one task that stores for them.
- `store`: groups, streams and events in their own SQLite file; `reading` and `sweeping`: its larger queries.
- `service`: what CloudWatch Logs does over it; `rules` and `names`: what it accepts and calls things (pure).
- `patterns`: the filter patterns of CloudWatch Logs, with those of JSON and fields, and `expressions` (pure).
"""
