"""The Telemetry API and the Logs API of one life of an environment's programs.

Extensions subscribe during the init; each then gets what it subscribed to, from the start of the init on. What
happens before a subscription is kept for it until subscriptions close; with nobody there after that, an event
costs one test. Delivery is the subscribers' own and holds nothing up.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pasture.http.message import Request, Response
from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.logs.platform import LogsDropped, LogsSubscription, PlatformEvent, TelemetrySubscription
from pasture.logs.platform_rendering import log_event, logs_api_event, shows_objects, telemetry_event
from pasture.runtime_api.api import error_response
from pasture.runtime_api.session import Refusal
from pasture.runtime_api.telemetry_buffer import TelemetryBuffer
from pasture.runtime_api.telemetry_delivery import Connect, delivery
from pasture.runtime_api.telemetry_subscriber import DeliverySettings, Subscriber
from pasture.runtime_api.telemetry_subscription import Api, Subscription, subscription

TELEMETRY_PREFIX = "/2022-07-01/"
LOGS_PREFIX = "/2020-08-15/"
_ENDPOINTS = {f"{TELEMETRY_PREFIX}telemetry": Api.TELEMETRY, f"{LOGS_PREFIX}logs": Api.LOGS}

_SLOW = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
# What happens in an init before anybody has subscribed: little, unless the function prints a lot.
_BACKLOG = 1_000
_BACKLOG_BYTES = 1024 * 1024

Announce = Callable[[PlatformEvent], None]


@dataclass(frozen=True, slots=True)
class _Subscribed:
    """A subscription, and how events are encoded for it."""

    terms: Subscription
    subscriber: Subscriber
    task: "asyncio.Task[None]"

    def platform(self, event: PlatformEvent, time: float) -> None:
        if "platform" in self.terms.types and (encoded := _encoded(self.terms, event, time)) is not None:
            self.subscriber.add(encoded)

    def log(self, category: str, message: str, time: float, *, json: bool) -> None:
        if category in self.terms.types:
            as_object = json and shows_objects(self.terms.schema)
            self.subscriber.add(log_event(category, message, time, as_object=as_object))


class Telemetry:
    def __init__(
        self,
        identify: Callable[[Request], str],
        connect: Connect,
        clock: Clock,
        *,
        announce: Announce,
        json: bool = False,
        settings: DeliverySettings | None = None,
    ) -> None:
        """`identify` is `ExtensionsApi.identify`. `announce` is told of subscriptions: it writes them to the log and
        hands them to `emit`, as every event of the platform. `json`: the function logs JSON.
        """
        self._identify = identify
        self._connect = connect
        self._clock = clock
        self._announce = announce
        self._json = json
        self._settings = settings or DeliverySettings()
        self._subscribed: dict[str, _Subscribed] = {}
        self._tasks = Tasks("telemetry")
        self._open = True
        self._paused = False
        self._backlog: deque[tuple[str, PlatformEvent | str, float]] = deque()
        self._backlog_bytes = 0
        self._lost_records = 0
        self._lost_bytes = 0
        """What the backlog had no room for."""

    def __repr__(self) -> str:
        return f"<Telemetry {[s.subscriber for s in self._subscribed.values()]!r}>"

    @property
    def subscribers(self) -> tuple[str, ...]:
        return tuple(self._subscribed)

    @property
    def is_silent(self) -> bool:
        """Whether nobody listens, and nobody will."""
        return not self._subscribed and not self._open

    # What happens...

    def emit(self, event: PlatformEvent, time: float | None = None) -> None:
        """An event of the platform, now or at `time` (seconds since the epoch)."""
        if not self._subscribed and not self._open:
            return
        when = self._clock.now() if time is None else time
        if self._open:
            self._keep("platform", event, when, 0)
        for subscribed in self._subscribed.values():
            subscribed.platform(event, when)

    def function_log(self, time: float, message: str) -> None:
        """One record of the function's own, as it is in the log; `time` in seconds since the epoch."""
        self._log("function", time, message)

    def extension_log(self, time: float, message: str) -> None:
        self._log("extension", time, message)

    def _log(self, category: str, time: float, message: str) -> None:
        if not self._subscribed and not self._open:
            return
        if self._open:
            self._keep(category, message, time, len(message))
        for subscribed in self._subscribed.values():
            subscribed.log(category, message, time, json=self._json)

    # The life of the environment...

    def close_subscriptions(self) -> None:
        """The init is over: no more subscriptions."""
        self._open = False
        self._backlog.clear()

    def pause(self) -> None:
        """The sandbox is about to be frozen: deliver nothing until `resume`."""
        self._paused = True
        for subscribed in self._subscribed.values():
            subscribed.subscriber.pause()

    def resume(self) -> None:
        self._paused = False
        for subscribed in self._subscribed.values():
            subscribed.subscriber.resume()

    async def flush(self, seconds: float, *, patient: bool = False) -> None:
        """Let subscribers have what there is, within so many seconds.

        One that is in trouble is waited for only when `patient`: it must not cost every invocation this long.
        """
        subscribers = [s.subscriber for s in self._subscribed.values() if patient or not s.subscriber.is_failing]
        flushes = [done for subscriber in subscribers if (done := subscriber.flush()) is not None]
        if not flushes:
            return
        await asyncio.wait(flushes, timeout=seconds)
        for done in flushes:
            done.cancel()

    async def close(self) -> None:
        self._open = False
        self._subscribed.clear()
        self._backlog.clear()
        await self._tasks.close()

    # The subscribers' side...

    def __call__(self, request: Request) -> Response:
        api = _ENDPOINTS.get(request.raw_path.removesuffix("/"))
        if api is None:
            return Response(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if request.method != "PUT":
            return Response(405, {"Content-Type": "text/plain"}, b"405 method not allowed\n")
        try:
            return self._subscribe(api, request)
        except Refusal as refusal:
            return error_response(refusal.status, refusal.error_type, refusal.message)

    def _subscribe(self, api: Api, request: Request) -> Response:
        name = self._identify(request)
        if not self._open:
            raise Refusal(403, f"{api}.SubscriptionClosed", f"{api} API subscription is closed already")
        terms = subscription(api, request.body)
        before = self._subscribed.get(name)
        if before is not None and before.terms.api is not api:
            message = f"The extension has subscribed by the {before.terms.api} API already"
            raise Refusal(400, "ValidationError", message)
        # The same subscription again is none; another takes the place of the one before.
        if before is None or before.terms != terms:
            if before is not None:
                before.task.cancel()
            self._subscribed[name] = self._begin(name, terms)
            self._replay(self._subscribed[name])
            kind = TelemetrySubscription if api is Api.TELEMETRY else LogsSubscription
            self._announce(kind(name, "Subscribed", terms.types))
        return Response(200, {"Content-Type": "application/json"}, b'"OK"')

    def _begin(self, name: str, terms: Subscription) -> _Subscribed:
        def tell_dropped(records: int, size: int) -> bytes | None:
            dropped = LogsDropped(_SLOW, records, size)
            return _encoded(terms, dropped, self._clock.now()) if "platform" in terms.types else None

        subscriber = Subscriber(
            name,
            TelemetryBuffer(terms.buffering, tell_dropped),
            delivery(terms.destination, self._connect),
            self._clock,
            self._settings,
        )
        if self._paused:
            subscriber.pause()
        return _Subscribed(terms, subscriber, self._tasks.start(subscriber.run(), f"to {name}"))

    # What was before a subscription...

    def _keep(self, category: str, what: PlatformEvent | str, time: float, size: int) -> None:
        if len(self._backlog) >= _BACKLOG or self._backlog_bytes + size > _BACKLOG_BYTES:
            self._lost_records += 1
            self._lost_bytes += size
            return
        self._backlog.append((category, what, time))
        self._backlog_bytes += size

    def _replay(self, subscribed: _Subscribed) -> None:
        for category, what, time in self._backlog:
            if isinstance(what, str):
                subscribed.log(category, what, time, json=self._json)
            else:
                subscribed.platform(what, time)
        if self._lost_records:
            subscribed.platform(LogsDropped(_SLOW, self._lost_records, self._lost_bytes), self._clock.now())


def _encoded(terms: Subscription, event: PlatformEvent, time: float) -> bytes | None:
    if terms.api is Api.TELEMETRY:
        return telemetry_event(event, time)
    return logs_api_event(event, time, terms.schema)
