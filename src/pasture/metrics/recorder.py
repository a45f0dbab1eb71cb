"""Where the invoke path leaves what happened: in memory, by the minute, at the cost of a few additions.

A `Counter` is where an invocation is counted: one way to address a function, and the version that runs. What is
counted waits in cells of a minute until `take` hands it on. A minute is that in which an invocation began, as on AWS;
how many run is sampled with each that begins, and once a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pasture.domain.function import FunctionVersion
from pasture.domain.function_settings import Claims
from pasture.kit.clock import Clock
from pasture.metrics.levels import Level, Provisioned
from pasture.metrics.names import Dimensions, Place
from pasture.metrics.sample import Sample

# So many counters are remembered; over it, those of functions that do not run are forgotten, and made anew when needed.
_REMEMBERED = 10_000


class Cell:
    """One minute of one place."""

    __slots__ = ("duration", "errors", "others", "throttles")

    def __init__(self) -> None:
        self.errors = 0
        self.throttles = 0
        self.duration = Sample()
        """Of every invocation, so that it counts them too."""
        self.others: dict[str, Sample] = {}


class _Account:
    __slots__ = ("all", "claimed", "functions", "unreserved")

    def __init__(self, recorder: "Recorder", owner: tuple[str, str]) -> None:
        self.all = Level(recorder, owner, "ConcurrentExecutions")
        self.unreserved = Level(recorder, owner, "UnreservedConcurrentExecutions")
        self.claimed = Level(recorder, owner, "ClaimedAccountConcurrency")
        self.functions: dict[str, _Function] = {}

    def claims(self, set_apart: int) -> None:
        """`set_apart` is reserved or provisioned, whether or not it runs."""
        self.claimed.now = self.unreserved.now + set_apart
        self.claimed.sample()


@dataclass(slots=True)
class _Function:
    level: Level
    resources: dict[str, Level] = field(default_factory=dict)
    provisioned: dict[str, Provisioned] = field(default_factory=dict)
    """By resource, and of all its resources as `""`."""


class _Execution:
    """One invocation of what is provisioned: on that, or spilled over, which is known once an environment serves it."""

    __slots__ = ("_allocated", "_began", "_claims", "_counter", "_on", "_provisioned")

    def __init__(
        self,
        counter: "Counter",
        claims: Claims,
        provisioned: tuple[Provisioned, Provisioned],
        allocated: tuple[int, int],
    ) -> None:
        self._counter = counter
        self._claims = claims
        self._provisioned = provisioned
        self._allocated = allocated
        self._on: bool | None = None
        self._began = 0.0

    def served(self, provisioned: bool) -> None:
        if self._on is not None:
            self._give_back()
        self._on = provisioned
        self._began = self._counter.recorder.now()
        if provisioned:
            for each, allocated in zip(self._provisioned, self._allocated, strict=True):
                each.rises(allocated)
        elif self._claims.reserved is None:
            self._counter.account.unreserved.rises()
        self._counter.account.claims(self._claims.in_all)

    def left(self) -> None:
        counter = self._counter
        if self._on is not None:
            self._give_back()
            name = "ProvisionedConcurrencyInvocations" if self._on else "ProvisionedConcurrencySpilloverInvocations"
            counter.recorder.observe(name, counter.place, 1, self._began)
        counter.left()

    def _give_back(self) -> None:
        if self._on:
            for each, allocated in zip(self._provisioned, self._allocated, strict=True):
                each.falls(allocated)
        elif self._claims.reserved is None:
            self._counter.account.unreserved.falls()
            self._counter.account.claimed.falls()


class Counter:
    """What happens to invocations that address a function in one way and run one version of it."""

    __slots__ = ("_cell", "_function", "_levels", "_minute", "_round", "account", "place", "recorder")

    def __init__(
        self, recorder: "Recorder", place: Place, account: _Account, function: _Function, levels: tuple[Level, ...]
    ) -> None:
        self.recorder = recorder
        self.place = place
        self.account = account
        self._function = function
        self._levels = levels
        self._cell = Cell()
        self._minute = 0
        self._round = -1

    def admitted(self, claims: Claims) -> Callable[[], None]:
        """Answers what is to be called, once, when it runs no more."""
        for level in self._levels:
            level.rises()
        account = self.account
        if claims.reserved is None:
            account.unreserved.rises()
        account.claims(claims.in_all)
        return self.left if claims.reserved is not None else self._left_unreserved

    def admitted_to_provisioned(
        self, claims: Claims, allocated: int, of_function: int
    ) -> tuple[Callable[[bool], None], Callable[[], None]]:
        """Answers what is to be called with whether a provisioned environment serves it, and when it runs no more.

        `allocated` are provisioned environments of the resource, `of_function` of all that the function has.
        """
        for level in self._levels:
            level.rises()
        resource, whole = self._provisioned(self.place.resource), self._provisioned("")
        execution = _Execution(self, claims, (resource, whole), (allocated, of_function))
        return execution.served, execution.left

    def left(self) -> None:
        for level in self._levels:
            level.falls()
        if not self.account.all.now:
            self.account.claimed.now = 0  # what is set apart may change while nothing runs

    def _left_unreserved(self) -> None:
        self.account.unreserved.falls()
        self.account.claimed.falls()
        self.left()

    def _provisioned(self, resource: str) -> Provisioned:
        known = self._function.provisioned.get(resource)
        if known is None:
            whole: Dimensions = (("FunctionName", self.place.function),)
            dimensions = (*whole, ("Resource", resource)) if resource else whole
            owner = (self.place.account, self.place.region)
            known = self._function.provisioned[resource] = Provisioned(self.recorder, owner, dimensions)
        return known

    @property
    def is_busy(self) -> bool:
        """Whether its resource is: there may be other counters of it."""
        return self._levels[-1].now > 0

    def throttled(self) -> None:
        self._of_minute(self.recorder.now()).throttles += 1

    def reported(self, duration_ms: float, failed: bool) -> None:
        """An invocation has come to its end, and this is the duration that its REPORT tells."""
        cell = self._of_minute(self.recorder.now() - duration_ms / 1000)
        cell.duration.add(duration_ms)
        if failed:
            cell.errors += 1

    def _of_minute(self, time: float) -> Cell:
        minute = int(time // 60)
        if minute != self._minute or self._round != self.recorder.round:
            self._minute, self._round = minute, self.recorder.round
            self._cell = self.recorder.cell(minute, self.place)
        return self._cell


class Counts(Protocol):
    """What the invoke path knows of a counter."""

    def admitted(self, claims: Claims, /) -> Callable[[], None]: ...
    def admitted_to_provisioned(
        self, claims: Claims, allocated: int, of_function: int, /
    ) -> tuple[Callable[[bool], None], Callable[[], None]]: ...
    def throttled(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What has been counted since the batch before. Nobody adds to it any more."""

    cells: dict[int, dict[Place, Cell]]
    """By the minute since the epoch."""
    levels: list[tuple[Level, Sample]]
    minute: int
    """That of the levels."""

    def __bool__(self) -> bool:
        return bool(self.cells or self.levels)


class Recorder:
    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self.round = 0
        self.sampled: list[Level] = []
        self._watched: dict[Level, None] = {}
        """Those that were sampled since the minute began, or stood above 0 when it did."""
        self._minute = int(clock.now() // 60)
        self._cells: dict[int, dict[Place, Cell]] = {}
        self._counters: dict[tuple[str, str], Counter] = {}
        self._accounts: dict[tuple[str, str], _Account] = {}

    def __repr__(self) -> str:
        return f"Recorder({len(self._counters)} counters, {sum(map(len, self._cells.values()))} cells wait)"

    def counter(self, version: FunctionVersion, function_arn: str) -> Counter:
        """`function_arn`: as the caller addressed it."""
        key = (function_arn, version.version)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._new_counter(version, function_arn)
        return counter

    def observe(self, name: str, place: Place, value: float, time: float | None = None) -> None:
        """Another metric of `names.METRICS`: for what is not on the way of every invocation."""
        cell = self.cell(int((self.now() if time is None else time) // 60), place)
        sample = cell.others.get(name)
        if sample is None:
            sample = cell.others[name] = Sample()
        sample.add(value)

    def running(self) -> list[tuple[tuple[str, str], Dimensions, int]]:
        """Account and region, function and qualifier, and how many invocations run there."""
        return [
            (owner, level.dimensions, int(level.now))
            for owner, account in self._accounts.items()
            for function in account.functions.values()
            for level in function.resources.values()
        ]

    def take(self) -> Batch:
        """Everything that was counted so far. What still runs when a minute begins counts in that one too."""
        minute = int(self.now() // 60)
        cells, self._cells = self._cells, {}
        sampled, self.sampled = self.sampled, []
        self.round += 1
        batch = Batch(cells, [(level, level.taken()) for level in sampled], self._minute)
        self._watched.update(dict.fromkeys(sampled))
        if minute != self._minute:
            self._minute = minute
            self._watched = {level: None for level in self._watched if level.now}
            for level in self._watched:
                level.sample()
            if len(self._counters) > _REMEMBERED:
                self._forget_idle()
        return batch

    def cell(self, minute: int, place: Place) -> Cell:
        cells = self._cells.setdefault(minute, {})
        cell = cells.get(place)
        if cell is None:
            cell = cells[place] = Cell()
        return cell

    def _new_counter(self, version: FunctionVersion, function_arn: str) -> Counter:
        owner = (version.scope.account, version.scope.region)
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = _Account(self, owner)
        name = ("FunctionName", version.name)
        function = account.functions.get(version.name)
        if function is None:
            function = _Function(Level(self, owner, "ConcurrentExecutions", (name,)))
            account.functions[version.name] = function
        resource = ":".join(function_arn.split(":")[6:])
        level = function.resources.get(resource)
        if level is None:
            level = Level(self, owner, "ConcurrentExecutions", (name, ("Resource", resource)))
            function.resources[resource] = level
        place = Place(*owner, version.name, resource, version.version)
        return Counter(self, place, account, function, (account.all, function.level, level))

    def _forget_idle(self) -> None:
        for account in self._accounts.values():
            account.functions = {name: function for name, function in account.functions.items() if function.level.now}
            for function in account.functions.values():
                function.resources = {name: level for name, level in function.resources.items() if level.now}
                function.provisioned = {name: of for name, of in function.provisioned.items() if of.executions.now}
        self._counters = {key: counter for key, counter in self._counters.items() if counter.is_busy}


class Uncounted:
    """For who counts nothing."""

    def admitted(self, _claims: Claims, /) -> Callable[[], None]:
        return _nothing

    def admitted_to_provisioned(
        self, _claims: Claims, _allocated: int, _of_function: int, /
    ) -> tuple[Callable[[bool], None], Callable[[], None]]:
        return _nothing, _nothing

    def throttled(self) -> None: ...


def _nothing(*_told: bool) -> None: ...


_UNCOUNTED = Uncounted()


def uncounted(_version: FunctionVersion, _function_arn: str) -> Counts:
    return _UNCOUNTED
