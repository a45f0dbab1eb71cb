"""What a launcher is told when it is started: one JSON argument, and after a zygote's exec the same again."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

# Where a zygote, whose root is like that of its boxes, has the host's.
HOST = "/.host"


@dataclass(frozen=True)
class ZygoteRequest:
    """A program to be kept loaded, and forked where it would be executed.

    `command`: the interpreter and the script, which calls `launcher.zygote`; an argument more is the program's own.
    `environment`: what it is loaded with. `directory`: where the script finds this package, on the host.
    """

    mounts: "list[tuple[str, str]]"
    command: "list[str]"
    environment: "dict[str, str]"
    package: str


@dataclass(frozen=True)
class Setup:
    """`channel`: to the server; `directory`: one to mount on; `groups`: a hierarchy's message.

    `trial`: an image to find out with whether a /tmp can be on disk here; none, when nobody wants to know.
    `network`: the members of an `Outbound`, or None. `system` and `links` are the template's, once it is built.
    """

    channel: int
    directory: str
    owner: str
    groups: "dict[str, Any]"
    trial: str = ""
    network: "dict[str, Any] | None" = None
    zygote: "ZygoteRequest | None" = None
    rootless: bool = False
    system: "list[str]" = field(default_factory=list)
    links: "dict[str, str]" = field(default_factory=dict)

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def decode(text: str) -> Setup:
    members = json.loads(text)
    zygote = members.pop("zygote")
    return Setup(**members, zygote=ZygoteRequest(**zygote) if zygote else None)
