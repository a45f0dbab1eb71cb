"""Links to objects of S3 that are signed by version 2: what boto3 still makes by default in the oldest regions.

Source: "Signing and authenticating REST requests" in the S3 guide, "Query string request authentication alternative".
The link names no region; it is one of us-east-1.
"""

import hmac
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import HmacV1Auth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from pasture.api.auth.errors import InvalidSignature
from pasture.http.message import Request

_OF_THE_SIGNATURE = re.compile(r"(AWSAccessKeyId|Signature|Expires|x-amz-security-token)=", re.IGNORECASE)


class Link(NamedTuple):
    key_id: str
    signature: str
    expires: str
    """Seconds since the epoch."""
    session_token: str | None


def is_link(target: str) -> bool:
    """Asked of every request: quick, and sure of nothing."""
    return "AWSAccessKeyId=" in target and "Signature=" in target


def read_link(target: str) -> Link | None:
    if not is_link(target):
        return None
    query = dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
    found = (query.get("AWSAccessKeyId"), query.get("Signature"), query.get("Expires"))
    if None in found or not (found[2] or "").isdecimal():
        return None
    return Link(found[0] or "", found[1] or "", found[2] or "", query.get("x-amz-security-token"))


def check_time(link: Link, now: float) -> None:
    """Raises unless the link is still good."""
    if int(link.expires) < now:
        raise InvalidSignature("Request has expired")


def is_signed_with(secret: str, link: Link, request: Request, path: str) -> bool:
    """`path` has the bucket in it, wherever the request has it."""
    kept = [pair for pair in request.raw_query.split("&") if not _OF_THE_SIGNATURE.match(pair)]
    headers: Any = HTTPHeaders()  # which botocore's signer takes, whatever its types say
    for name, value in request.headers.fields:
        headers[name] = value
    if link.session_token is not None:
        headers["x-amz-security-token"] = link.session_token
    signer = HmacV1Auth(Credentials(link.key_id, secret))
    custom = signer.canonical_custom_headers(headers)
    lines = [
        request.method,
        request.headers.get("content-md5", ""),
        request.headers.get("content-type", ""),
        link.expires,
        *([custom] if custom else []),
        signer.canonical_resource(urlsplit(f"http://s3{request.raw_path}?{'&'.join(kept)}"), path),
    ]
    expected = signer.sign_string("\n".join(lines))
    return hmac.compare_digest(expected.encode(), link.signature.encode("utf-8", "replace"))


def without_link(target: str) -> str:
    """Path and query without what signs them."""
    path, _, query = target.partition("?")
    kept = [pair for pair in query.split("&") if pair and not _OF_THE_SIGNATURE.match(pair)]
    return f"{path}?{'&'.join(kept)}" if kept else path
