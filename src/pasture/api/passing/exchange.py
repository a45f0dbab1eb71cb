"""One passed call on its way: its body as it comes, its headers as the neighbour must see them, who waits for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pasture.api.passing import uploads
from pasture.api.passing.addresses import onward
from pasture.api.passing.claims import S3
from pasture.domain.errors import ApiError, ValidationError
from pasture.http.message import Request
from pasture.http.patience import Patience
from pasture.neighbours import tracing
from pasture.neighbours.caller import NeighbourUnreachable
from pasture.neighbours.connections import failures, unreachable
from pasture.neighbours.directory import Target
from pasture.neighbours.signing import UNSIGNED

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from aiohttp.client import _RequestContextManager

# Seconds without an answer or a piece of the body. A long poll of SQS takes 20.
_PATIENCE = 120.0
_PAYLOAD = "x-amz-content-sha256"


class Upload:
    """What is sent of a request. `failure` is what was wrong with its body, if that is why sending has ended."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.failure: Exception | None = None
        self.patience: Patience | None = None
        self.body: bytes | AsyncIterator[bytes] | None = None

    async def headers(self, target: Target, where: str) -> dict[str, str]:
        """The fields to send, signed; `body` is known from now on. `where` is the path and query to sign."""
        request = self._request
        fields = dict(onward(request.headers.fields))
        if target.is_embedded:
            # Links in its answers, such as a queue's URL, lead to where the caller has come from.
            fields["host"] = request.headers.get("host", "localhost")
        if target.service != S3:
            self.body = self._traced(target, fields)
            return await target.sign(request.method, where, fields, body=self.body)
        payload, length = self._streamed(target, fields)
        if target.is_embedded:
            fields[_PAYLOAD] = payload
        signed = await target.sign(request.method, where, fields, payload=payload)
        return {**signed, "content-length": length} if length is not None else signed

    def _traced(self, target: Target, fields: dict[str, str]) -> bytes:
        body, trace = self._request.body, fields.get("x-amzn-trace-id", "")
        if target.service != "sqs" or not target.is_embedded or not trace:
            return body
        return tracing.with_trace(_operation(self._request), body, trace)

    def _streamed(self, target: Target, fields: dict[str, str]) -> tuple[str, str | None]:
        """How the body is vouched for, and its length if that is known."""
        request = self._request
        declared = request.headers.get(_PAYLOAD) or UNSIGNED
        length = request.headers.get("content-length")
        if request.stream is None:
            self.body = request.body
            return declared if declared != UNSIGNED else UNSIGNED, str(len(request.body))
        if length is None and "transfer-encoding" not in request.headers:
            return declared, "0" if request.method in {"PUT", "POST"} else None
        body: AsyncIterator[bytes] = aiter(request.stream)
        if uploads.is_digest(declared):
            body = uploads.checked(body, declared)
        elif declared.startswith(uploads.SIGNED_CHUNKS) and not target.is_embedded:
            framed = declared.endswith("-TRAILER")
            body = uploads.without_signatures(body, framed=framed)
            if framed:
                declared, length = uploads.UNSIGNED_CHUNKS, None
            else:
                declared, length = UNSIGNED, request.headers.get("x-amz-decoded-content-length")
                _no_longer_chunked(fields)
        elif declared.startswith("STREAMING-AWS4-ECDSA"):
            raise ValidationError("Signatures of version 4A are not known here.")
        self.body = self._watched(body)
        return declared, length

    async def _watched(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in body:
                if self.patience is not None:
                    self.patience.expect_within(_PATIENCE)
                yield piece
        except Exception as error:
            self.failure = error
            raise


class Exchange:
    """The sending of one call, up to the head of its answer. A caller that goes takes its call along."""

    def __init__(self, request: Request, upload: Upload, call: "_RequestContextManager") -> None:
        self._upload = upload
        self._sending: asyncio.Future[ClientResponse] = asyncio.ensure_future(_awaited(call))
        self._is_late = False
        request.on_disconnect.append(self._sending.cancel)

    async def answer(self, target: Target) -> "ClientResponse":
        """Raises ApiError for a body that is not what it was said to be, ConnectionResetError when the caller has gone,
        NeighbourUnreachable.
        """
        patience = self._upload.patience = Patience(self._give_up)
        patience.expect_within(_PATIENCE)
        try:
            await asyncio.wait({self._sending})
        finally:
            self._sending.cancel()
            self._upload.patience = None
            patience.close()
        if self._sending.cancelled():
            if self._is_late:
                raise NeighbourUnreachable(f"{target.host} has not answered for {_PATIENCE:g} seconds.")
            raise ConnectionResetError("the caller has gone")
        failure = self._upload.failure
        if isinstance(failure, ApiError | ConnectionResetError):
            raise failure
        try:
            return self._sending.result()
        except failures() as error:
            raise unreachable(target.url, error) from error

    def _give_up(self) -> None:
        self._is_late = True
        self._sending.cancel()


async def _awaited(call: "_RequestContextManager") -> "ClientResponse":
    return await call


def _operation(request: Request) -> str:
    action = request.headers.get("x-amz-target")
    if action is not None:
        return action.rpartition(".")[2]
    for operation in ("SendMessageBatch", "SendMessage"):
        if f"Action={operation}&".encode() in request.body + b"&":
            return operation
    return ""


def _no_longer_chunked(fields: dict[str, str]) -> None:
    for name in ("x-amz-decoded-content-length", "x-amz-trailer"):
        fields.pop(name, None)
    encodings = [it.strip() for it in fields.pop("content-encoding", "").split(",")]
    if kept := [it for it in encodings if it and it != "aws-chunked"]:
        fields["content-encoding"] = ",".join(kept)
