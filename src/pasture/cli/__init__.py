"""The `pasture` program: one file per group of commands. It talks to the server as any AWS client does.

- `main`: the group that holds all commands; what an error looks like is in `failure`.
- `serve`, `keys`, `env`, `invoke`, `functions`, `logs`, `runtimes`: the commands.
- `options`: what commands have in common; `endpoint`: which server, with which key; `clients`: boto3 for it.
- `output`: tables and JSON; `zipping`, `deploying`, `following`: what some of them need done.

What is slow to import (boto3, rich, the server itself) is imported where it is used.
"""
