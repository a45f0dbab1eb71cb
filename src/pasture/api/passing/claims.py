"""Which service a request says that it is for, before anything of it is believed. Pure."""

import re

from pasture.api.auth.s3_links import is_link
from pasture.http.message import Headers

S3 = "s3"

_IN_HEADER = re.compile(r"Credential=[^,\s]*/([a-z0-9-]+)/aws4_request")
_IN_QUERY = re.compile(r"[?&]X-Amz-Credential=[^&]*(?:/|%2F)([a-z0-9-]+)(?:/|%2F)aws4_request", re.IGNORECASE)


def claimed_service(target: str, headers: Headers) -> str | None:
    """None for a request without a signature, or with one that is none."""
    authorization = headers.first.get("authorization")
    if authorization is not None:
        found = _IN_HEADER.search(authorization)
    else:
        found = _IN_QUERY.search(target) if "X-Amz-Credential=" in target else None
    return found[1] if found else None


def streams_to_s3(target: str, headers: Headers) -> bool:
    """Whether a body is handed over as it comes: those for S3 are, which may be large. Asked of every request."""
    authorization = headers.first.get("authorization")
    if authorization is not None:
        is_for_s3 = "/s3/aws4_request" in authorization
    else:
        is_for_s3 = "?" in target and (is_link(target) or claimed_service(target, headers) == S3)
    return is_for_s3 and ".lambda-url." not in headers.first.get("host", "")


def is_signed(target: str, headers: Headers) -> bool:
    """Whether it has a signature, good or bad: no call of the Runtime API has."""
    authorization = headers.first.get("authorization")
    if authorization is not None:
        return authorization.startswith("AWS4-")
    return "?" in target and ("X-Amz-Algorithm=" in target or is_link(target))
