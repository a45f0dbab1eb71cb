"""Execution environments: born cold, reused warm, stopped idle.

- `assignment`: which environment serves which invocation; what to start; what to stop (pure).
- `lifecycle`: what may happen to an environment in this state (pure).
- `plan`: what of a function version goes into its sandbox: mounts, limits, variables (pure).
- `books`: every environment and what it does, and what the memory is promised to (pure).
- `endings`: how a phase ends: what the caller gets, what the log says (pure).
- `environment`: one environment, from its cold start to its end; `init_phase`, `invoke_phase`: how it comes up, serves.
- `account`: what log and telemetry are told of its phases.
- `programs`: one life of its programs: the runtime and its extensions, and the APIs they talk to.
- `capture`, `journal`: what the programs print and the platform says, on its way to log and telemetry.
- `pool`: takes the steps that `assignment` decides; `freezer`: freezes what rests; `alarms`: when to look again.
- `provisioned`, `snapshots`: environments that are initialised before anyone calls.
"""
