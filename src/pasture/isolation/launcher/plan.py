"""In which order a box's mounts are made, and which mount points have to be made for them. Pure."""

from dataclasses import dataclass

# Holding the kernel's and the box's own things: a mount there could open what is closed.
_RESERVED = ("/proc", "/dev", "/tmp", "/sys")  # noqa: S108  a box's own


@dataclass(frozen=True)
class Bind:
    """Show `source` read-only at `target`. `make`: the mount point is made; else it is there, in another mount."""

    source: str
    target: str
    make: bool


class BadMount(Exception):
    """A mount that cannot be: the message says which and why."""


def plan(mounts: "list[tuple[str, str]]", existing: "tuple[str, ...]") -> "list[Bind]":
    """Outer mounts before those within them, else in the order given. `existing`: read-only trees, such as /usr."""
    targets = [_checked(target) for _, target in mounts]
    if len(set(targets)) < len(targets):
        twice = next(target for target in targets if targets.count(target) > 1)
        raise BadMount(f"two mounts at {twice}")
    closed = (*existing, *targets)
    binds = [
        Bind(source, target, not any(_within(target, other) for other in closed))
        for (source, _), target in zip(mounts, targets, strict=True)
    ]
    return sorted(binds, key=lambda bind: bind.target.count("/"))


def _checked(target: str) -> str:
    parts = target.split("/")
    if not target.startswith("/") or ".." in parts or "\0" in target:
        raise BadMount(f"the mount point {target!r} is not an absolute path")
    clean = "/" + "/".join(part for part in parts if part not in {"", "."})
    if clean == "/" or any(clean == path or _within(clean, path) for path in _RESERVED):
        raise BadMount(f"nothing may be mounted at {clean}")
    return clean


def _within(path: str, tree: str) -> bool:
    return path.startswith(tree + "/")
