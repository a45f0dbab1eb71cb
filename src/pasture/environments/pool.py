"""Takes the steps that `assignment` decides, and tells it what came of them.

All environments of this node live here. State changes only in synchronous methods; what
waits runs in tasks that the pool owns.
"""

import asyncio
import itertools
import logging
import math
import uuid
from collections.abc import Awaitable, Callable

from pasture.domain.errors import ApiError, ServiceError, TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.scope import Scope
from pasture.environments.alarms import Alarms
from pasture.environments.assignment import (
    Assignment,
    Initialise,
    Linger,
    Refuse,
    Restore,
    Rules,
    Serve,
    Start,
    Step,
    Stop,
    Throttle,
    Want,
)
from pasture.environments.callers import Callers, FreeSlot, Pending, Slot
from pasture.environments.environment import Environment, EnvironmentGone
from pasture.environments.freezer import Freezer
from pasture.environments.keep_alive import KeepAlive
from pasture.environments.processors import Pressure, Starts, processors
from pasture.environments.provisioned import InitFailed, ProvisionedEnvironments
from pasture.environments.snapshots import Snapshots
from pasture.kit.clock import Clock
from pasture.kit.errands import Notice
from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

# After its answer an invocation has a REPORT to write; at the end of the server it gets this long for it.
_LAST_WORDS = 1.0
# Seconds in which a runtime that has answered usually asks for its next event.
_A_MOMENT = 0.005

MakeEnvironment = Callable[[str, FunctionVersion], Awaitable[Environment]]
"""Environment id and version → an environment that is yet to be started. May raise; its words reach the caller."""


_FREE = FreeSlot()
_RULES = Rules()


class Pool:
    def __init__(
        self,
        make: MakeEnvironment,
        memory_mb: int,
        idle_seconds: float,
        clock: Clock,
        *,
        freeze_seconds: float = 0.1,
        age_seconds: float = math.inf,
        rules: Rules = _RULES,
        starts: Starts | None = None,
        make_provisioned: MakeEnvironment | None = None,
    ) -> None:
        """An environment is frozen when it has rested `freeze_seconds`, stopped when it has been idle `idle_seconds`,
        or less where experience says so, and not used again once it is `age_seconds` old.
        """
        self._make = make
        self._keep_alive = KeepAlive(idle_seconds)
        self._age_seconds = age_seconds
        self._clock = clock
        self._assignment = Assignment(memory_mb, lambda: uuid.uuid4().hex[:16], rules, self._keep_alive.seconds)
        self._alarms = Alarms(self._assignment, starts or Starts(processors(), Pressure()), clock, self._take)
        self._environments: dict[str, Environment] = {}
        self._make_provisioned = make_provisioned or make
        self.provisioned = ProvisionedEnvironments(self._assignment, self._environments, self._take, self._remember)
        self.snapshots = Snapshots(
            self._assignment, self._environments, make, self._take, self._remember, clock, age_seconds
        )
        self._versions: dict[str, FunctionVersion] = {}
        self._keys: dict[tuple[Scope, str], set[str]] = {}
        self._callers = Callers()
        self._ids = itertools.count(1)
        self._tasks = Tasks("environments")
        self._freezer = Freezer(freeze_seconds, self._start_freezing)
        self._closing = False

    def __repr__(self) -> str:
        return f"<Pool {self._assignment!r}>"

    async def run(self, version: FunctionVersion, invocation: Invocation, slot: Slot = _FREE) -> Outcome:
        """Run it in an environment of the version, warm or cold. Raises ServiceError when there can be none."""
        if self._closing:
            slot.give_back()
            raise ServiceError("The server is shutting down.")
        key, most = version.environment_key, 0
        if tenant := invocation.tenant_id:
            key, most = f"{key}/{tenant}", slot.environments
        function = f"{version.scope.account}/{version.scope.region}/{version.name}"
        answer: Notice[Outcome] = Notice(loop=asyncio.get_running_loop())
        want = Want(str(next(self._ids)), key, version.memory_mb, function, most)
        self._callers.add(Pending(version, invocation, answer, slot, want))
        self._remember(key, version)
        now = self._clock.monotonic()
        self._keep_alive.called(key, now)
        self._take(self._assignment.arrives(want, now))
        # The invocation runs to its end whether or not the caller still waits.
        return await answer

    def _remember(self, key: str, version: FunctionVersion) -> None:
        if key not in self._versions:
            self._keys.setdefault((version.scope, version.name), set()).add(key)
        self._versions[key] = version

    def replaced(self, scope: Scope, name: str, current: FunctionVersion | None, version: str | None = None) -> None:
        """That version of the function is now `current`, or is gone: environments of before stop as they come free.

        Without `current` and `version`, every version is gone.
        """
        keep = current.environment_key if current else None
        which = current.version if current else version
        keys = [key for key in self._keys.get((scope, name), ()) if self._versions[key].environment_key != keep]
        for key in [key for key in keys if which is None or self._versions[key].version == which]:
            self._take(self._assignment.retires(key))

    @property
    def assignment(self) -> Assignment:
        """For who looks: it is the pool that changes it."""
        return self._assignment

    def environments(self) -> list[Environment]:
        return list(self._environments.values())

    async def close(self, grace: float) -> None:
        """Take no more; let what runs finish within `grace` seconds; then stop every environment."""
        self._closing = True
        self.provisioned.close()
        self.snapshots.close()
        self._alarms.close()
        self._freezer.close()
        await self._callers.leave(grace)
        await self._tasks.settle(min(grace, _LAST_WORDS))
        await self._tasks.close()
        self.refuse_all()
        await asyncio.gather(*(self._give_back(environment) for environment in self._environments.values()))
        self._environments.clear()

    def refuse_all(self) -> None:
        """Tell every caller that still waits that the server goes."""
        self._callers.fail_all()

    # Steps...

    def _take(self, steps: list[Step]) -> None:
        serves: list[Serve] = []
        for step in steps:
            match step:
                case Serve():
                    serves.append(step)
                case Start(environment, key) | Restore(environment, key):
                    self._begin_starting(environment, self._versions[key])
                case Initialise(environment, key):
                    work = self.snapshots.initialise(environment, self._versions[key])
                    self._tasks.start(work, f"initialising {environment}")
                case Stop(environment, why):
                    _log.debug("stopping environment %s: %s", environment, why)
                    self.snapshots.rests_no_more(environment)
                    self._tasks.start(self._stop(environment), f"stopping {environment}")
                case Refuse(invocation, why):
                    self._refuse(invocation, why)
                case Throttle(invocation, why):
                    self._fail(invocation, _throttled(why))
                case Linger(key):
                    asyncio.get_running_loop().call_later(_A_MOMENT, self._be_impatient, key)
        self._alarms.set()
        # At last, as they go as far as they can at once, and may bring further steps.
        for serve in serves:
            self._begin_serving(serve.environment, serve.invocation)

    def _begin_starting(self, id_: str, version: FunctionVersion) -> None:
        if version.snap_start:
            self.snapshots.rests_no_more(id_)
            self.snapshots.is_used(version)
        self._tasks.start(self._start(id_, version), f"starting {id_}")

    def _begin_serving(self, id_: str, want: str) -> None:
        pending = self._callers.get(want)
        if pending is not None:
            self._tasks.begin(self._serve(id_, pending, want), "serving", pending.answer.get_loop())

    def _be_impatient(self, key: str) -> None:
        if not self._closing:
            self._take(self._assignment.impatient(key))

    async def _start(self, id_: str, version: FunctionVersion) -> None:
        try:
            environment = self._environments.get(id_)  # a snapshot, which is restored
            if environment is None:
                make = self._make_provisioned if self._assignment.is_provisioned(id_) else self._make
                environment = self._environments[id_] = await make(id_, version)
                await self.provisioned.prepare(environment)
            await environment.start()
        except InitFailed as error:
            self._take(self._assignment.breaks(id_, str(error)))
        except EnvironmentGone as error:
            _log.warning("%s; another is started", error)
            self._take(self._assignment.breaks(id_, "gone"))
        except Exception as error:  # noqa: BLE001 (told to the operator here and to the caller as AWS would)
            _log.error("cannot start an environment for %s: %s", version.arn, error)
            self._take(self._assignment.fails_to_start(id_, str(error)))
        else:
            self._is_free(environment)

    def _is_free(self, environment: Environment) -> None:
        """It has started, or its invocation is over. It serves again, rests, or has grown too old."""
        if self._is_old(environment):
            self._take(self._assignment.breaks(environment.id, "old age"))
            return
        self._freezer.rests(environment)
        self._take(self._assignment.becomes_ready(environment.id, self._clock.monotonic()))
        self.provisioned.has_changed(environment.id, environment.version.environment_key)

    def _is_old(self, environment: Environment) -> bool:
        """Every environment serves once, however long its start took."""
        return environment.has_served and self._clock.monotonic() - environment.born > self._age_seconds

    def _start_freezing(self, environment: Environment) -> None:
        self._tasks.start(environment.freeze(), f"freezing {environment.id}")

    async def _serve(self, id_: str, pending: Pending, want: str) -> None:
        def answer(outcome: Outcome) -> None:
            self._assignment.answers(id_)
            self._callers.answer(pending, outcome)

        environment = self._environments[id_]
        self._freezer.wakes(environment)
        if self._is_old(environment):  # it has grown old while it was idle
            self._let_another_serve(id_, pending, want, "old age")
            return
        pending.slot.served(self._assignment.is_provisioned(id_))
        try:
            await environment.serve(pending.invocation, answer)
        except EnvironmentGone as error:
            _log.warning("%s; another serves", error)
            self._let_another_serve(id_, pending, want, "gone")
        except Exception:  # noqa: BLE001 (logged; the caller is told)
            # A fault of ours or of the sandbox: the caller is told, the environment is not used again.
            _log.exception("environment %s failed while serving %s", id_, pending.invocation.request_id)
            self._refuse(want, "The environment failed.")
            self._take(self._assignment.breaks(id_, "failed"))
        else:
            self._is_free(environment)

    def _let_another_serve(self, id_: str, pending: Pending, want: str, why: str) -> None:
        self._take(self._assignment.breaks(id_, why))
        if want in self._callers:
            self._take(self._assignment.arrives(pending.want, self._clock.monotonic()))

    async def _stop(self, id_: str) -> None:
        environment = self._environments.get(id_)
        key = self._assignment.key_of(id_)
        if environment is not None:
            self._freezer.wakes(environment)
            await self._give_back(environment)
            del self._environments[id_]
        self._take(self._assignment.is_gone(id_))
        self._forget(key)
        self.provisioned.has_changed(id_, key)

    async def _give_back(self, environment: Environment) -> None:
        try:
            await environment.stop()
        except Exception:  # noqa: BLE001 (logged; the environment is out of use either way)
            _log.exception("environment %s could not be given back whole", environment.id)

    def _forget(self, key: str) -> None:
        if self._assignment.knows(key) or (version := self._versions.pop(key, None)) is None:
            return
        function = (version.scope, version.name)
        self._keys[function].discard(key)
        if not self._keys[function]:
            del self._keys[function]

    def _refuse(self, want: str, why: str) -> None:
        self._fail(want, ServiceError(f"An execution environment could not be provided: {why}"))

    def _fail(self, want: str, error: ApiError) -> None:
        if (pending := self._callers.fail(want, error)) is not None:
            self._forget(pending.want.key)


def _throttled(why: str) -> TooManyRequests:
    message = f"Rate Exceeded. {why[0].upper()}{why[1:]}." if why else "Rate Exceeded."
    members = {"Reason": "ConcurrentInvocationLimitExceeded"}
    return TooManyRequests(message, members=members, headers={"Retry-After": "1"})
