"""What a handler is given and what it answers."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote


class Headers(Mapping[str, str]):
    """Header fields as they came: order and repeats are kept, names are looked up in any case.

    `h["x"]` is the first value; `all("x")` every one; iteration yields lower-case names.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._fields = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in fields]

    def __getitem__(self, name: str) -> str:
        wanted = name.lower()
        for known, value in self._fields:
            if known == wanted:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def __len__(self) -> int:
        return len({name for name, _ in self._fields})

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for known, value in self._fields if known == wanted]

    @property
    def fields(self) -> list[tuple[str, str]]:
        return list(self._fields)


@dataclass(slots=True)
class Request:
    """A whole request: the handler is called when its body has come."""

    method: str
    target: str
    """As sent: the path with its percent-encoding, and the query."""
    headers: Headers
    body: bytes = b""
    peer: str = ""
    on_disconnect: list[Callable[[], object]] = field(default_factory=list)
    """Called when the client goes before it was answered. The handler itself is never cancelled for that."""

    @property
    def raw_path(self) -> str:
        return self.target.split("?", 1)[0]

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def raw_query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.raw_query, keep_blank_values=True)


@dataclass(slots=True)
class Response:
    """An answer. `body` as bytes is sent with a Content-Length; as an iterator, chunked, as it comes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""
    close: bool = False
    """End the connection after this answer."""


__all__ = ["Headers", "Request", "Response"]
