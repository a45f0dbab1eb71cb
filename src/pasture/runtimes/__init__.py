"""Managed runtimes: which are on this machine, and what to start for one. One family per file in `kinds/`.

- `spec`: what a runtime is, and what every family promises.
- `registry`: finds the families by name and answers which runtime an identifier means here.
- `identifiers`: every runtime AWS has had. Pure.
- `language`: what families of interpreted languages share; `programs`: where their interpreters may be.
- `installing`: directories that are whole or not there; `in_use`: which of them somebody uses.
- `interpreters`: the CPythons of this machine; `python_bootstrap`: the first program of a Python environment.
- `node`, `ruby`, `java`: what functions in these languages are shown; `java_archive`: what makes the JVM start sooner.
- `fake`: a family for tests.
"""
