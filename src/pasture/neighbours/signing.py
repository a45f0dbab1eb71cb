"""Signatures for neighbours: botocore's, over a request whose body may still be on its way. Pure, but for the clock."""

from collections.abc import Mapping

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pasture.neighbours.keys import Keys

UNSIGNED = "UNSIGNED-PAYLOAD"
# What the embedded server reads of a signature is where it says that it leads; it does not check it.
_UNCHECKED = "AWS4-HMAC-SHA256 Credential={}/20200101/{}/{}/aws4_request, SignedHeaders=host, Signature=0"


class _S3Auth(S3SigV4Auth):
    """The digest is told, since the body may not be here yet."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"])


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    keys: Keys,
    service: str,
    region: str,
    *,
    body: bytes = b"",
    payload: str | None = None,
) -> dict[str, str]:
    """The headers, with a signature among them. `url` is encoded as it will be sent, `service` as signatures have it.

    `payload` is the digest that is signed, or what stands for it; without it, that of the body.
    """
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    if service.startswith("s3"):
        known = payload if payload is not None else SigV4Auth(credentials, service, region).payload(request)
        request.context["payload"] = known
        _S3Auth(credentials, service, region).add_auth(request)
    else:
        SigV4Auth(credentials, service, region).add_auth(request)
    return {name: _text(value) for name, value in request.headers.items()}


def unchecked(account: str, service: str, region: str) -> str:
    return _UNCHECKED.format(account, region, service)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
