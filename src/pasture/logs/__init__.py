"""What functions print and what the platform says: captured, kept, and read back.

- `platform`: the platform's events; `platform_rendering`: each as text, as JSON, as telemetry; `report`: the text;
  `levels`: which of them pass (all pure).
- `framing`: the telemetry frames of runtime clients; `lines`: plain streams cut into records; `tail`: the last 4 KB.
- `store`, `reading`, `sweeping`: groups, streams and events in their own SQLite file; `intake`: on their way there.
- `service`, `rules`, `names`: the rules of CloudWatch Logs over it.
- `patterns` and what it is made of: the filter patterns of CloudWatch Logs (pure).
"""
