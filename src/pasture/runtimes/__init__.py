"""Managed runtimes: which are on this machine, and what to start for one. One family per file in `kinds/`.

- `spec`: what a runtime is, and what every family promises.
- `registry`: finds the families by name and answers which runtime an identifier means here.
- `identifiers`: every runtime AWS has had. Pure.
- `interpreters`: the CPythons of this machine; `python_bootstrap`: the first program of a Python environment.
- `fake`: a family for tests.
"""
