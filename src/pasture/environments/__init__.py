"""Execution environments: born cold, reused warm, stopped idle.

- `assignment`: which environment serves which invocation; what to start; what to stop (pure).
- `lifecycle`: what may happen to an environment in this state (pure).
- `plan`: what of a function version goes into its sandbox: mounts, limits, variables (pure).
- `environment`: one environment, from its cold start to its end; `runtime`: one life of its runtime process.
- `pool`: takes the steps that `assignment` decides.
- `capture`: what the programs print, on its way to the logs.
"""
