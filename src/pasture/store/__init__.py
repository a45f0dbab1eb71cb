"""Where state survives: documents with revisions, and blobs named by their digest.

- `documents`: the interface, and `kinds/` its implementations (`sqlite`, `memory`), judged by one contract suite.
- `blobs`: files named by their SHA-256.
"""
