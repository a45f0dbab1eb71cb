"""The metadata endpoint of an environment (aws-lambda reference 2.4): which availability zone it runs in."""

import hmac

import msgspec

from pasture.http.message import Request, Response

PREFIX = "/2026-01-15/metadata/"
_ENVIRONMENT = f"{PREFIX}execution-environment"
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "private, max-age=43200, immutable"}
_DIRECTIONS = {
    "north": "n", "south": "s", "east": "e", "west": "w", "central": "c",
    "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}  # fmt: skip


class Metadata:
    """`token` is what `AWS_LAMBDA_METADATA_TOKEN` gives the programs of the environment, and nobody else."""

    def __init__(self, token: str, region: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._body = msgspec.json.encode({"AvailabilityZoneID": zone_id(region)})

    def __call__(self, request: Request) -> Response:
        if request.raw_path != _ENVIRONMENT:
            return Response(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if request.method != "GET":
            return Response(405, {"Content-Type": "text/plain"}, b"405 method not allowed\n")
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._expected):
            return Response(401, {"Content-Type": "text/plain"}, b"401 unauthorized\n")
        return Response(200, _HEADERS, self._body)


def zone_id(region: str) -> str:
    """One machine is one zone, the first: `us-east-1` → `use1-az1`, as AWS shortens its regions' names."""
    *words, number = region.split("-")
    return "".join(_DIRECTIONS.get(word, word) for word in words) + f"{number}-az1"
