"""`POST /_pasture/hooks/s3/FUNCTION`: where MinIO and other stores post what happens in their buckets.

Which functions can be called so, and with which token, is the operator's to say: the table `[hooks]`. The answer comes
when the events are durable; until then the store keeps them and posts them again.
"""

from urllib.parse import unquote

from pasture.domain.errors import AccessDenied, InvalidRequestContent, ServiceError, UnknownOperation
from pasture.http.message import Request, Response
from pasture.sources.push.accepting import Accepting, Pushed
from pasture.sources.push.bucket_records import bucket_events
from pasture.sources.push.hooks import Hooks
from pasture.store.errors import StoreFailed

PREFIX = "/_pasture/hooks/s3/"


class HooksPage:
    def __init__(self, hooks: Hooks, accepting: Accepting) -> None:
        self._hooks = hooks
        self._accepting = accepting

    async def __call__(self, request: Request) -> Response:
        if request.method != "POST":
            raise UnknownOperation(f"No page answers {request.method} {request.raw_path[:256]}.")
        name = unquote(request.raw_path.removeprefix(PREFIX))
        function = self._hooks.function(name, request.headers.get("authorization", ""))
        if not function:
            raise AccessDenied("The function has no hook, or this is not its token.")
        try:
            events = list(bucket_events(request.body, name))
        except ValueError as error:
            raise InvalidRequestContent(f"This is no event of a bucket: {error}.") from error
        try:
            for event in events:
                await self._accepting(Pushed(function, event.payload, id=event.id))
        except StoreFailed as error:
            raise ServiceError("The event cannot be kept at this moment.") from error
        return Response(200, {"Content-Type": "application/json"}, b"{}")
