"""The catalog of functions and layers: what is configured, what code it runs, and bringing both to rest.

- `validation`: is a configuration legal, and what does AWS say if not? Pure.
- `configuration`: from AWS's members to a `FunctionVersion`, and back to what AWS shows. Pure.
- `catalog`: changes functions; `versions`, `aliases` and `layers` change those. They share the `ledger`: who may write,
  and which packages are referred to.
- `permissions` changes resource policies (`permissions_document`, pure, is what is in them), `settings` what else is
  set about a function; `urls` (pure) says where a function's URL is.
- `event_source_mappings` changes mappings, which `event_source_settling` brings to rest; `event_source_validation` and
  `event_source_access` (pure) say what is legal, `event_source_configuration` (pure) is their form on the wire, and
  `event_source_records` names their documents and indexes.
- `stored`: documents and their cache; `records` names and writes them; `accounts` and `usage` (pure) count.
- `package`: packages and their trees; `unzip` is what stands between an archive and the disk, `merging` makes /opt.
- `activation`: from Pending to Active or Failed; `collection`: from unneeded to gone.
"""
