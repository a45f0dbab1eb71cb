"""The catalog of functions: what is configured, what code it runs, and bringing both to rest.

- `validation`: is a configuration legal, and what does AWS say if not? Pure.
- `configuration`: from AWS's members to a `FunctionVersion`, and back to what AWS shows. Pure.
- `catalog`: changes functions; `stored` reads and writes them, `records` names the documents, `usage` counts.
- `package`: deployment packages and their trees; `unzip` is what stands between an archive and the disk.
- `activation`: from Pending to Active or Failed; `collection`: from unneeded to gone.
"""
