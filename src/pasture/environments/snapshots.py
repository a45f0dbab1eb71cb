"""SnapStart in the pool: of each version that has it, one environment is initialised ahead and rests until restored.

A snapshot here is such an environment, not a copy of its memory: when it has been taken, the next is initialised. What
a function sees is SnapStart's contract: its init and the before-snapshot hooks have run, then the after-restore hooks.

Level-triggered: what is wanted and lacking is begun when there is room for it. A snapshot is renewed before it is so
old that the environment it becomes would have little of its life left, or credentials that end before it does.
"""

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from pasture.domain.function import FunctionVersion, Reason
from pasture.domain.invocation import Status
from pasture.domain.scope import Scope
from pasture.environments.assignment import Assignment, Initialise, Step, Want
from pasture.environments.endings import Ending
from pasture.environments.environment import Environment
from pasture.kit.clock import Clock

_log = logging.getLogger(__name__)

# Seconds after which the place of one that was taken is filled: whoever took it has the processor first.
A_MOMENT = 1.0
# A version that is published waits so long for room, and looks so often; then it is active without a snapshot.
ROOM_SECONDS = 10.0
_LOOK_SECONDS = 0.1
# Longer than an invocation takes from finding its version to asking for an environment.
_GONE_SECONDS = 60.0
# Shares of the life of an environment: from when on a snapshot is renewed if there is room for two of them, how often
# that is tried, and when it goes before the other is there.
_RENEWED, _TRIED_AGAIN, _RENEWED_AT_LAST = 0.5, 0.05, 0.75
# By AWS's names, what becomes of a version whose init fails.
_REASON_CODES = {
    "Extension.InitError": "FunctionError.ExtensionInitError",
    "Extension.LaunchError": "FunctionError.ExtensionInitError",
    "Extension.Crash": "FunctionError.ExtensionInitError",
    "Runtime.InvalidEntrypoint": "FunctionError.InvalidEntryPoint",
    "Runtime.InvalidWorkingDir": "FunctionError.InvalidWorkingDirectory",
}

Make = Callable[[str, FunctionVersion], Awaitable[Environment]]
_Place = tuple[Scope, str, str]


class Snapshots:
    """Mutable state: the versions that may have one, those of them that lack one, who waits for one of a key, and when
    those that rest are renewed. Which there are, and how much memory they have, is `Assignment`'s affair.
    """

    def __init__(
        self,
        assignment: Assignment,
        environments: dict[str, Environment],
        make: Make,
        take: Callable[[list[Step]], None],
        remember: Callable[[str, FunctionVersion], None],
        clock: Clock,
        age_seconds: float,
    ) -> None:
        self._assignment = assignment
        self._environments = environments
        self._make = make
        self._take = take
        self._remember = remember
        self._clock = clock
        self._age_seconds = age_seconds
        self._wanted: dict[_Place, str] = {}
        self._gone: dict[_Place, asyncio.TimerHandle] = {}
        # Those that somebody waits for come first.
        self._lacking: OrderedDict[str, FunctionVersion] = OrderedDict()
        self._waited_for: dict[str, asyncio.Future[Ending | None]] = {}
        self._renewals: dict[str, asyncio.TimerHandle] = {}
        self._used: dict[str, asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = True

    def __repr__(self) -> str:
        return f"<Snapshots of {len(self._wanted)} versions, {len(self._lacking)} lacking>"

    async def keep(self, version: FunctionVersion) -> Reason | None:
        """Until one rests, or there has been no room for one; else what kept it from being initialised."""
        key = version.environment_key
        self._wanted[_place(version)] = key
        self._is_back(_place(version))
        if not self._is_open or not self._may_have_one(version) or self._assignment.is_at_rest(key):
            return None
        loop = asyncio.get_running_loop()
        told = self._waited_for.setdefault(key, loop.create_future())
        self._lacks(version)
        self._lacking.move_to_end(key, last=False)
        giving_up = loop.call_later(ROOM_SECONDS, self._give_up, version)
        self._look()
        try:
            failed = await asyncio.shield(told)
        finally:
            giving_up.cancel()
        return _reason(failed) if failed is not None else None

    def drop(self, scope: Scope, name: str, number: str) -> None:
        """That version is gone. Its snapshot goes as its other environments do."""
        place = (scope, name, number)
        self._is_back(place)
        if self._is_open:
            self._gone[place] = asyncio.get_running_loop().call_later(_GONE_SECONDS, self._is_back, place)
        key = self._wanted.pop(place, None)
        if key is not None:
            self._lacking.pop(key, None)
            self._tell(key, None)
            self._take(self._assignment.retires(key))

    def close(self) -> None:
        """None is begun from now on."""
        self._is_open = False
        timers = [*self._renewals.values(), *self._used.values(), *self._gone.values()]
        for timer in [*timers, self._timer] if self._timer else timers:
            timer.cancel()
        self._renewals.clear()
        self._used.clear()
        self._lacking.clear()
        for key in list(self._waited_for):
            self._tell(key, None)

    def _is_back(self, place: _Place) -> None:
        if (timer := self._gone.pop(place, None)) is not None:
            timer.cancel()

    # For the pool...

    def is_used(self, version: FunctionVersion) -> None:
        """One of its environments is started: the next may be wanted, unless the version is gone meanwhile."""
        key = version.environment_key
        place = _place(version)
        if self._is_open and key not in self._used and place not in self._gone:
            self._wanted[place] = key
            self._used[key] = asyncio.get_running_loop().call_later(A_MOMENT, self._fill, version)

    def rests_no_more(self, environment: str) -> None:
        """It is restored, or has gone."""
        if (renewal := self._renewals.pop(environment, None)) is not None:
            renewal.cancel()

    async def initialise(self, id_: str, version: FunctionVersion) -> None:
        failed: Ending | None = None
        try:
            environment = self._environments[id_] = await self._make(id_, version)
            failed = await environment.prepare()
            if failed is None:
                await environment.keep()
        except Exception as error:  # noqa: BLE001 (told here; an invocation that needs an environment tries again)
            _log.warning("cannot keep a snapshot of %s: %s", version.arn, error)
            self._take(self._assignment.breaks(id_, str(error)))
        else:
            if failed is None:
                self._renew_later(id_, _RENEWED)
                self._take(self._assignment.rests(id_, self._clock.monotonic()))
            else:
                self._take(self._assignment.breaks(id_, "its init failed"))
        self._tell(version.environment_key, failed)

    # What is lacking...

    def _fill(self, version: FunctionVersion) -> None:
        """The place of one that was taken."""
        self._used.pop(version.environment_key, None)
        if self._is_open and self._may_have_one(version):
            self._lacks(version)
            self._look()

    def _may_have_one(self, version: FunctionVersion) -> bool:
        is_wanted = self._wanted.get(_place(version)) == version.environment_key
        return is_wanted and version.memory_mb <= self._assignment.snapshots_mb

    def _lacks(self, version: FunctionVersion) -> None:
        self._lacking[version.environment_key] = version

    def _look(self) -> None:
        """Begin what is lacking, as far as there is room; as long as there is something, look again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._is_open and self._lacking:
            key, version = next(iter(self._lacking.items()))
            if not self._begin(key, version):
                seconds = _LOOK_SECONDS if self._waited_for else A_MOMENT
                self._timer = asyncio.get_running_loop().call_later(seconds, self._look)
                return
            self._lacking.pop(key, None)

    def _begin(self, key: str, version: FunctionVersion) -> bool:
        if self._assignment.has_snapshot(key):
            return True
        want = Want("", key, version.memory_mb, f"{version.scope.account}/{version.scope.region}/{version.name}")
        return self._has_begun(self._assignment.initialises(want, urgently=key in self._waited_for), version)

    def _has_begun(self, steps: list[Step], version: FunctionVersion) -> bool:
        begins = any(isinstance(step, Initialise) for step in steps)
        if begins:
            self._remember(version.environment_key, version)
        self._take(steps)
        return begins

    def _give_up(self, version: FunctionVersion) -> None:
        """Unless it has been begun."""
        key = version.environment_key
        if self._lacking.pop(key, None) is not None:
            _log.warning("there is no memory for a snapshot of %s; its invocations initialise it", version.arn)
            self._tell(key, None)

    def _tell(self, key: str, failed: Ending | None) -> None:
        told = self._waited_for.pop(key, None)
        if told is not None and not told.done():
            told.set_result(failed)

    # Renewal...

    def _renew_later(self, id_: str, share: float) -> None:
        """`share`: of its life, from its birth."""
        due = self._environments[id_].born + share * self._age_seconds
        if self._is_open and due < math.inf:
            seconds = max(0.0, due - self._clock.monotonic())
            self._renewals[id_] = asyncio.get_running_loop().call_later(seconds, self._renew, id_, share)

    def _renew(self, id_: str, share: float) -> None:
        self._renewals.pop(id_, None)
        version = self._environments[id_].version
        at_last = share >= _RENEWED_AT_LAST
        if not self._has_begun(self._assignment.renews(id_, at_last=at_last), version) and not at_last:
            self._renew_later(id_, share + _TRIED_AGAIN)
        elif not self._assignment.has_snapshot(version.environment_key):
            self._lacks(version)
            self._look()


def _place(version: FunctionVersion) -> _Place:
    return version.scope, version.name, version.version


def _reason(failed: Ending) -> Reason:
    if failed.status is Status.TIMEOUT:
        return Reason("The function's initialization timed out.", "FunctionError.InitTimeout")
    words = failed.error_type or "The function's initialization failed."
    return Reason(words, _REASON_CODES.get(failed.error_type, "FunctionError.RuntimeInitError"))
