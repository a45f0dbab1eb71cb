"""The one normal form of a path, for signatures and for routes alike. Pure.

A signature covers the normalised path. Were routes found by the path as sent, one signature would do for
`/functions` and for `/functions/.`, which may be two operations.
"""


def normalise(path: str) -> str:
    """Without empty segments, `.` and `..` (RFC 3986 5.2.4, as botocore does it). Encodings stay as they are."""
    if "//" not in path and "/." not in path:
        return path or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
