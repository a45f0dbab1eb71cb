"""A process in a box. Knows no Lambda: a sandbox has programs, mounts, limits, and one listening socket inside it.

- `spec`: what a sandbox is to be, and the promises of every kind of isolation (`Isolation`, `Sandbox`, `Process`).
- `kinds/`: one file per kind, found by name: `namespaces` (root or rootless), `process` (no isolation).
- `box`, `memory`, `launching`: a sandbox of namespaces as the server sees it; `tmp_images`: what each /tmp copies.
- `launcher/`: the small single-threaded process that makes sandboxes; standard library only.
"""
