"""May it run now? What is reserved for a function is its own and its limit; the others share what is left. Pure.

Each may begin ten times a second for every execution at once that it may have; asynchronous events as often as they
like. Time is an argument.

Whatever happens it is true that

- of an account no more run at once than its limit, and of a function no more than is reserved for it;
- functions without a reservation leave the others what is reserved for these, or provisioned;
- an invocation that is refused has taken nothing, and one that is admitted has one `Slot` until it gives it back.

What a qualifier has provisioned is its own: it spills over into what the others share when all of it runs, or when it
is called more than ten times a second for each.

Source: "Understanding Lambda function scaling", "Configuring reserved concurrency", "Configuring provisioned
concurrency" and "Lambda quotas" in the developer guide.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pasture.domain.limits import Limits
from pasture.kit.bucket import Bucket

ACCOUNT = "ConcurrentInvocationLimitExceeded"
ACCOUNT_RATE = "FunctionInvocationRateLimitExceeded"
RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"

# Functions that rest and are remembered for their rate: beyond so many they are looked through.
_RESTING = 1_000

Place = tuple[str, str]
"""Account and region: text is quicker to look up than a Scope."""


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    """AWS's."""
    retry_seconds: int


@dataclass(slots=True)
class _Provisioned:
    """Of one qualifier."""

    rate: Bucket
    running: int = 0
    """On what is provisioned; what has spilled over is not in it."""


@dataclass(slots=True)
class _Function:
    running: int = 0
    is_reserved: bool = False
    """As it was when it was admitted last: so are those that run counted, too."""
    rate: Bucket | None = None
    provisioned: dict[str, _Provisioned] | None = None
    """By qualifier; None for the most of functions, that have nothing."""

    @property
    def unreserved(self) -> int:
        """How many run on what the account's functions share, as long as nothing is reserved for it."""
        return self.running - sum(own.running for own in (self.provisioned or {}).values())

    def rests(self, now: float) -> bool:
        """It may be called as often as if it had not been called at all."""
        rates = [own.rate for own in (self.provisioned or {}).values()]
        if self.rate is not None:
            rates.append(self.rate)
        return not self.running and all(rate.age(now) > 1.0 for rate in rates)


@dataclass(slots=True)
class _Account:
    rate: Bucket
    """Of the functions without a reservation together."""
    running: int = 0
    unreserved: int = 0
    """Of those that run: of functions without a reservation, and not on what is provisioned for them."""
    functions: dict[str, _Function] = field(default_factory=dict)
    look_through_at: int = _RESTING


class Slot:
    """What an invocation has while it runs, whether or not its caller still waits."""

    __slots__ = ("_account", "_function", "_name", "_own", "environments", "on_back", "on_served")

    def __init__(
        self, account: _Account, function: _Function, name: str, environments: int, own: _Provisioned | None
    ) -> None:
        self._account: _Account | None = account
        self._function = function
        self._name = name
        self._own = own
        self.environments = environments
        """So many tenants' environments the function may have at once."""
        self.on_back: Callable[[], None] | None = None
        """Called when it is given back."""
        self.on_served: Callable[[bool], None] | None = None
        """Called when it has an environment, with whether that one is provisioned."""

    def served(self, provisioned: bool) -> None:
        """An environment serves it; another, if that one went before it could."""
        if self.on_served is not None:
            self.on_served(provisioned)

    def give_back(self) -> None:
        """Once; again is nothing."""
        account, self._account = self._account, None
        if account is None:
            return
        if self.on_back is not None:
            self.on_back()
        function = self._function
        function.running -= 1
        account.running -= 1
        if self._own is not None:
            self._own.running -= 1
        elif not function.is_reserved:
            account.unreserved -= 1
        if not function.running and not function.is_reserved and function.provisioned is None:
            del account.functions[self._name]


class Admission:
    def __init__(self, limits: Limits) -> None:
        self._most = limits.concurrent_executions
        self._per_second = limits.requests_per_concurrency
        self._tenants = limits.tenant_environments_per_concurrency
        self._accounts: dict[Place, _Account] = {}

    def __repr__(self) -> str:
        return f"<Admission of {sum(account.running for account in self._accounts.values())} that run>"

    def admit(
        self,
        place: Place,
        name: str,
        reserved: int | None,
        of_all: int,
        now: float,
        qualifier: str = "",
        provisioned: int = 0,
        *,
        rated: bool = True,
    ) -> Slot | Refusal:
        """`reserved` is for this function, None without a reservation; `of_all`, for every function of the account,
        reserved or else provisioned; of the latter `provisioned` for the qualifier by which the function is called.
        What is not `rated` may begin as often as it likes.
        """
        account = self._accounts.get(place)
        if account is None:
            account = self._accounts[place] = _Account(Bucket(max(self._rate(self._most), 1.0), now))
        function = account.functions.get(name) or _Function()
        if function.running and function.is_reserved is not (reserved is not None):
            # It has got its reservation, or lost it, while some of it ran.
            account.unreserved += function.unreserved if reserved is None else -function.unreserved
        function.is_reserved = reserved is not None
        own = None
        if provisioned and reserved is None and account.running < self._most:
            own = self._own(function, qualifier, provisioned, now, rated)
        if own is None:
            refusal = self._refusal(account, function, reserved, self._most - of_all, now, rated)
            if refusal is not None:
                return refusal
        self._remember(account, function, name, now)
        function.running += 1
        account.running += 1
        if own is not None:
            own.running += 1
        elif reserved is None:
            account.unreserved += 1
        return Slot(account, function, name, int((self._most if reserved is None else reserved) * self._tenants), own)

    def has_room(self, place: Place, name: str, reserved: int | None, of_all: int) -> bool:
        """Whether one more of the function could run now, apart from what is provisioned; nothing is taken."""
        account = self._accounts.get(place)
        if account is None:
            return True
        if account.running >= self._most:
            return False
        if reserved is None:
            return account.unreserved < self._most - of_all
        function = account.functions.get(name)
        return (function.running if function is not None else 0) < reserved

    def running(self, place: Place) -> dict[str, int]:
        """What people are shown: how many run, by function."""
        account = self._accounts.get(place)
        functions = account.functions if account is not None else {}
        return {name: function.running for name, function in functions.items() if function.running}

    def _own(
        self, function: _Function, qualifier: str, provisioned: int, now: float, rated: bool
    ) -> _Provisioned | None:
        """What the qualifier has provisioned, if it may have one more of it."""
        if function.provisioned is None:
            function.provisioned = {}
        rate = self._rate(provisioned)
        own = function.provisioned.get(qualifier)
        if own is None:
            own = function.provisioned[qualifier] = _Provisioned(Bucket(max(rate, 1.0), now))
        may = own.running < provisioned and (not rated or own.rate.take(max(rate, 1.0), rate, now))
        return own if may else None

    def _refusal(
        self, account: _Account, function: _Function, reserved: int | None, unreserved: int, now: float, rated: bool
    ) -> Refusal | None:
        if reserved is not None:
            if function.running >= reserved:
                return Refusal(RESERVED, 1)
            if account.running >= self._most:
                return Refusal(ACCOUNT, 1)
            if not rated:
                return None
            if function.rate is None:
                function.rate = Bucket(max(self._rate(reserved), 1.0), now)
            return self._too_often(function.rate, self._rate(reserved), now, RESERVED_RATE)
        if account.unreserved >= unreserved or account.running >= self._most:
            return Refusal(ACCOUNT, 1)
        return None if not rated else self._too_often(account.rate, self._rate(unreserved), now, ACCOUNT_RATE)

    def _too_often(self, bucket: Bucket, rate: float, now: float, reason: str) -> Refusal | None:
        """A second's worth may come at once."""
        if bucket.take(max(rate, 1.0), rate, now):
            return None
        return Refusal(reason, max(1, min(60, math.ceil(bucket.seconds(rate)))))

    def _rate(self, concurrency: int) -> float:
        return float(concurrency * self._per_second)

    def _remember(self, account: _Account, function: _Function, name: str, now: float) -> None:
        """A function that rests is remembered as long as what it has used of its own rate is not made up for."""
        if name in account.functions:
            return
        account.functions[name] = function
        if len(account.functions) > account.look_through_at:
            for known, its in list(account.functions.items()):
                if its is not function and its.rests(now):
                    del account.functions[known]
            account.look_through_at = 2 * len(account.functions) + _RESTING
