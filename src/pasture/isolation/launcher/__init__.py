"""The small process that makes boxes. Runs alone: standard library only, any CPython from 3.10, one thread.

It is a process of its own because forking a large threaded server is slow and unsafe.
`main` is its loop, `namespaces` clones a box, `init` is what runs in there as pid 1;
every other file holds one facility of the kernel. `protocol` and the cgroup files are
used by the server as well.
"""
