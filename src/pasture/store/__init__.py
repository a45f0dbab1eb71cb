"""Where state survives: documents with revisions, and blobs named by their digest.

- `documents`: the interface, and `kinds/` its implementations (`sqlite`, `memory`), judged by one contract suite.
- `database`: one SQLite file with a writer thread that commits in groups; `opening`: its format, faults and remedies.
- `watchers`: who is told of changes; `prefix`: keys that start alike, as a range (pure).
- `blobs`: files named by their SHA-256.
"""
