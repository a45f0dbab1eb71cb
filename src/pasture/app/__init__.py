"""The composition root: the only part that knows everything.

- `node`: one server, made in order and taken down in the opposite one.
- `serve`: a node from its start to the signal that ends it.
- `data_directory`: the directory that holds all state, its lock, and where a running server can be reached.
"""
