"""Scales: samples the utilisation, and in every minute brings each target to where its policies and actions want it."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pasture.domain.errors import ApiError, ProvisionedConcurrencyConfigNotFound
from pasture.domain.function import Function
from pasture.domain.scope import Scope
from pasture.kit.clock import Clock, iso_millis
from pasture.kit.tasks import Tasks
from pasture.scaling.decisions import IN_MINUTES, Scale, due, taken, tracked, within
from pasture.scaling.target import ACTIVITIES, Activity, Target
from pasture.scaling.targets import TargetKey, Targets

_log = logging.getLogger(__name__)

SAMPLE_SECONDS = 1.0
LOOK_SECONDS = 10.0
_MINUTE = 60.0

Find = Callable[[Scope, str], Awaitable[Function | None]]
Put = Callable[[Scope, str, str, int], Awaitable[object]]
Utilisation = Callable[[Scope, str, str], float | None]


class _Use:
    """How much of what is provisioned was used, in every minute that is over and in the one that is not."""

    def __init__(self) -> None:
        self.minutes: deque[float] = deque(maxlen=IN_MINUTES)
        self._sum, self._samples = 0.0, 0

    def sample(self, used: float | None) -> None:
        if used is not None:
            self._sum += used
            self._samples += 1

    def close_minute(self) -> None:
        """One in which nothing was allocated says nothing, and what was before it is no series with what follows."""
        if self._samples:
            self.minutes.append(self._sum / self._samples)
        else:
            self.minutes.clear()
        self._sum, self._samples = 0.0, 0


class Scaling:
    """`tick` does what is due at this moment of the clock; `open` calls it as time passes."""

    def __init__(
        self, targets: Targets, clock: Clock, find: Find, put: Put, utilisation: Utilisation, new_id: Callable[[], str]
    ) -> None:
        self._targets = targets
        self._clock = clock
        self._find = find
        self._put = put
        self._utilisation = utilisation
        self._new_id = new_id
        self._use: dict[TargetKey, _Use] = {}
        self._minute = int(clock.now() // _MINUTE)
        self._looked = -LOOK_SECONDS
        self._tasks = Tasks("scaling")

    def __repr__(self) -> str:
        return f"<Scaling of {len(self._use)} targets>"

    def open(self) -> None:
        self._tasks.start(self._run(), "ticking")

    async def close(self) -> None:
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            try:
                await self.tick()
            except Exception:  # noqa: BLE001 (logged; the next tick compares again)
                _log.exception("scaling failed; it is tried again")
            await asyncio.sleep(SAMPLE_SECONDS)

    async def tick(self) -> None:
        for key, use in self._use.items():
            use.sample(self._utilisation(*key))
        now = self._clock.now()
        minute = int(now // _MINUTE)
        is_over, self._minute = minute != self._minute, minute
        if not is_over and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        known = set[TargetKey]()
        after = ""
        while page := await self._targets.list(None, after=after):
            after = page[-1][0].document
            for key, target in page:
                known.add(key)
                try:
                    await self._look(key, target, is_over, now)
                except Exception:  # noqa: BLE001 (logged; the others are looked at, and the next look compares again)
                    _log.exception("%s of %s cannot be scaled now", key.resource, key.scope)
        for gone in self._use.keys() - known:
            del self._use[gone]

    async def _look(self, key: TargetKey, target: Target, is_over: bool, now: float) -> None:
        use = self._use.setdefault(key, _Use())
        if is_over:
            use.close_minute()
        target = await self._scheduled(key, target, now)
        function = await self._find(key.scope, key.name)
        config = function.settings.provisioned.get(key.qualifier) if function is not None else None
        if config is None:
            return
        scale = within(target, config.executions)
        if scale is None and is_over:
            scale = tracked(target, config.executions, tuple(use.minutes), now)
        if scale is not None:
            await self._scale(key, config.executions, scale, now)
            use.minutes.clear()

    async def _scheduled(self, key: TargetKey, target: Target, now: float) -> Target:
        """Its actions that are due set its bounds, in the order in which they were due."""
        if target.suspended.scheduled:
            return target
        found = sorted((at, name) for name, action in target.actions.items() if (at := due(action, now)) is not None)
        for at, name in found:
            cause = f"maximum and minimum capacity were set by scheduled action {name}"
            before = target.actions.get(name)

            def edit(
                current: Target | None, name: str = name, at: float = at, cause: str = cause, before: object = before
            ) -> Target | None:
                if current is None or current.actions.get(name) is None or current.actions[name] != before:
                    return current  # it has been changed or deleted meanwhile
                done = taken(current, name, at)
                told = f"Setting min capacity to {done.minimum} and max capacity to {done.maximum}"
                return _told(done, Activity(self._new_id(), told, cause, now, now))

            target = await self._targets.change(key, edit) or target
        return target

    async def _scale(self, key: TargetKey, current: int, scale: Scale, now: float) -> None:
        description = f"Setting provisioned concurrency to {scale.to}."
        status, message = "Successful", f"Successfully set provisioned concurrency to {scale.to}."
        try:
            await self._put(key.scope, key.name, key.qualifier, scale.to)
        except ProvisionedConcurrencyConfigNotFound:
            return
        except ApiError as error:
            status, message = "Failed", f"Failed to set provisioned concurrency to {scale.to}. Reason: {error.message}"
            _log.warning("%s at %s: %s", key.resource, iso_millis(now), message)
        activity = Activity(self._new_id(), description, scale.cause, now, self._clock.now(), status, message)

        def edit(target: Target | None) -> Target | None:
            if target is None:
                return None
            if status == "Failed" and target.activities and target.activities[0].message == message:
                return target  # said already
            done = _told(target, activity)
            if status == "Failed":
                return done
            return replace(done, scaled_out=now) if scale.to > current else replace(done, scaled_in=now)

        await self._targets.change(key, edit)


def _told(target: Target, activity: Activity) -> Target:
    return replace(target, activities=(activity, *target.activities)[:ACTIVITIES])
