"""What of a request's address goes on: buckets from the host into the path, nothing of the caller's signature. Pure."""

import re
from collections.abc import Iterable, Iterator

# `bucket.localhost`, `bucket.s3.localhost`, `bucket.s3.eu-west-1.anything`: names that clients make from an endpoint.
_VIRTUAL = re.compile(
    r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}?[a-z0-9])(?:\.s3(?:[.-][a-z0-9-]+)*)?\.localhost(?::\d+)?"
    r"|(?P<other>[a-z0-9][a-z0-9.-]{1,61}?[a-z0-9])\.s3[.-][a-z0-9.-]+(?::\d+)?"
)
_SIGNATURE = re.compile(
    r"X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token|Content-Sha256)", re.IGNORECASE
)
_OF_THIS_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "expect", "host", "content-length",
    }
)  # fmt: skip
_OF_THIS_SIGNATURE = frozenset({"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "date"})
_OF_THIS_SERVER = frozenset({"date", "server", "connection", "keep-alive", "transfer-encoding", "content-length"})


def bucket_of_host(host: str) -> str:
    """Empty when the host has none in it."""
    found = _VIRTUAL.fullmatch(host.lower())
    bucket = (found["bucket"] or found["other"]) if found else ""
    return "" if bucket in {"", "s3"} else bucket


def path_style(target: str, host: str) -> str:
    bucket = bucket_of_host(host)
    if not bucket:
        return target
    path, _, query = target.partition("?")
    where = f"/{bucket}" if path == "/" else f"/{bucket}{path}"
    return f"{where}?{query}" if query else where


def without_signature(target: str) -> str:
    """Path and query as they stand, but for what signs them."""
    path, _, query = target.partition("?")
    kept = [pair for pair in query.split("&") if pair and not _SIGNATURE.fullmatch(pair.partition("=")[0])]
    return f"{path}?{'&'.join(kept)}" if kept else path


def onward(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The fields of a request that are the neighbour's to see, in lower case; repeats come as one."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in _OF_THIS_CONNECTION or name in _OF_THIS_SIGNATURE or name.startswith("x-moto-"):
            continue
        found[name] = f"{found[name]},{value}" if name in found else value
    return iter(found.items())


def backward(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The fields of an answer that are the caller's to see."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.lower() not in _OF_THIS_SERVER:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
