"""What a function URL's CORS configuration says about a request. Pure.

A browser's questions are answered without the function. Source: "Cross-origin resource sharing (CORS)" for function
URLs in the developer guide, and the Fetch standard.
"""

from collections.abc import Mapping
from typing import Any

HEADERS = (
    "access-control-allow-origin",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-max-age",
)


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight(cors: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of the answer; none that would allow anything when the origin, method or headers are not allowed."""
    origin = _allowed_origin(cors, headers)
    method = headers["access-control-request-method"]
    wanted = [name.strip().lower() for name in headers.get("access-control-request-headers", "").split(",")]
    if origin is None or not _covers(cors.get("AllowMethods"), method):
        return {"vary": "Origin"}
    if not all(_covers_name(cors.get("AllowHeaders"), name) for name in wanted if name):
        return {"vary": "Origin"}
    answer = {**_origin(cors, origin), "access-control-allow-methods": method}
    if any(wanted):
        answer["access-control-allow-headers"] = ",".join(name for name in wanted if name)
    if cors.get("MaxAge"):
        answer["access-control-max-age"] = str(cors["MaxAge"])
    return answer


def answered(cors: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """What is added to an answer, in place of whatever of `HEADERS` the function set itself."""
    if "origin" not in headers:
        return {}
    origin = _allowed_origin(cors, headers)
    if origin is None:
        return {"vary": "Origin"}
    added = _origin(cors, origin)
    if cors.get("ExposeHeaders"):
        added["access-control-expose-headers"] = ",".join(cors["ExposeHeaders"])
    return added


def _origin(cors: Mapping[str, Any], origin: str) -> dict[str, str]:
    """Browsers refuse `*` together with credentials, so the origin is named."""
    said = {"access-control-allow-origin": origin}
    if origin != "*":
        said["vary"] = "Origin"
    if cors.get("AllowCredentials"):
        said["access-control-allow-credentials"] = "true"
    return said


def _allowed_origin(cors: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    origins, origin = cors.get("AllowOrigins") or (), headers["origin"]
    if "*" in origins:
        return origin if cors.get("AllowCredentials") else "*"
    return origin if any(_is_origin(known, origin) for known in origins) else None


def _is_origin(known: str, origin: str) -> bool:
    """`https://*.example.com` and `https://*` stand for many."""
    before, star, after = known.lower().partition("*")
    if not star:
        return known.lower() == origin.lower()
    candidate = origin.lower()
    return len(candidate) > len(before) + len(after) and candidate.startswith(before) and candidate.endswith(after)


def _covers(allowed: Any, method: str) -> bool:
    return "*" in (allowed or ()) or method in (allowed or ())


def _covers_name(allowed: Any, name: str) -> bool:
    return "*" in (allowed or ()) or name in {known.lower() for known in allowed or ()}
