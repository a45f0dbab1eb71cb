"""May it run now?"""

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pasture.domain.limits import Limits
from pasture.invoke.admission import ACCOUNT, ACCOUNT_RATE, RESERVED, RESERVED_RATE, Admission, Refusal, Slot

HERE, ELSEWHERE = ("000000000000", "us-east-1"), ("111122223333", "us-east-1")


class Account:
    """What is reserved in it, and when it is now."""

    def __init__(self, most: int = 10, requests: float = 10.0) -> None:
        self.admission = Admission(Limits(concurrent_executions=most, requests_per_concurrency=requests))
        self.reserved: dict[str, int] = {}
        self.provisioned: dict[str, int] = {}
        """For the qualifier `live` of a function, without a reservation."""
        self.now = 100.0

    def asks(self, name: str = "f", qualifier: str = "") -> Slot | Refusal:
        of_all = sum(self.reserved.values()) + sum(self.provisioned.values())
        own = self.provisioned.get(name, 0) if qualifier == "live" else 0
        return self.admission.admit(HERE, name, self.reserved.get(name), of_all, self.now, qualifier, own)

    def runs(self, name: str = "f", qualifier: str = "") -> Slot:
        slot = self.asks(name, qualifier)
        assert isinstance(slot, Slot)
        return slot

    def refuses(self, name: str = "f", qualifier: str = "") -> str:
        refusal = self.asks(name, qualifier)
        assert isinstance(refusal, Refusal)
        assert refusal.retry_seconds >= 1
        return refusal.reason


@pytest.mark.parametrize(("reserved", "reason"), [(None, ACCOUNT), (10, RESERVED), (2, RESERVED), (0, RESERVED)])
def test_a_function_runs_within_its_reservation_or_within_what_is_left(reserved: int | None, reason: str) -> None:
    account = Account()
    account.reserved = {} if reserved is None else {"f": reserved}
    for _ in range(10 if reserved is None else reserved):
        account.runs()
    assert account.refuses() == reason


def test_a_slot_that_is_given_back_is_free_and_giving_it_back_again_is_nothing() -> None:
    account = Account(most=1)
    slot = account.runs()
    slot.give_back()
    slot.give_back()
    account.runs()
    assert account.refuses() == ACCOUNT


def test_what_is_refused_takes_nothing() -> None:
    account = Account(most=1)
    slot = account.runs()
    for _ in range(5):
        account.refuses()
    slot.give_back()
    assert account.admission.running(HERE) == {}
    account.runs()


def test_accounts_do_not_share_what_they_have() -> None:
    account = Account(most=1)
    account.runs()
    assert isinstance(account.admission.admit(ELSEWHERE, "f", None, 0, account.now), Slot)


def test_functions_without_a_reservation_may_be_called_ten_times_a_second_for_each_that_may_run() -> None:
    account = Account(most=1)
    for _ in range(10):
        account.runs().give_back()
    assert account.refuses() == ACCOUNT_RATE
    account.now += 0.1
    account.runs("g").give_back()
    assert account.refuses("g") == ACCOUNT_RATE


def test_a_function_with_a_reservation_may_be_called_ten_times_a_second_for_each_of_it() -> None:
    account = Account()
    account.reserved = {"f": 2}
    for _ in range(20):
        account.runs().give_back()
    assert account.refuses() == RESERVED_RATE
    account.runs("g").give_back()
    account.now += 1
    account.runs().give_back()


def test_others_that_are_called_too_often_take_nothing_of_a_reservation() -> None:
    account = Account(most=2)
    account.reserved = {"f": 1}
    while isinstance(slot := account.asks("g"), Slot):
        slot.give_back()
    account.runs("f")


def test_who_is_called_too_often_is_told_when_to_come_again() -> None:
    account = Account(most=1, requests=0.25)
    account.runs().give_back()
    assert account.asks() == Refusal(ACCOUNT_RATE, 4)


def test_a_reservation_that_is_taken_away_leaves_what_runs_to_the_account() -> None:
    account = Account()
    account.reserved = {"f": 2}
    slots = [account.runs() for _ in range(2)]
    account.reserved = {}
    slots += [account.runs() for _ in range(8)]
    assert account.refuses("g") == ACCOUNT
    for slot in slots:
        slot.give_back()
    assert account.admission.running(HERE) == {}


def test_what_is_provisioned_is_there_though_others_run_all_that_is_left() -> None:
    account = Account()
    account.provisioned = {"f": 3, "g": 2}
    others = [account.runs("h") for _ in range(5)]
    assert account.refuses("h") == ACCOUNT
    assert account.refuses("f") == ACCOUNT, "another qualifier has nothing of it"
    for name, executions in account.provisioned.items():
        for _ in range(executions):
            account.runs(name, "live")
        assert account.refuses(name, "live") == ACCOUNT
    others.pop().give_back()
    account.runs("g", "live")


def test_what_is_more_than_is_provisioned_spills_over_into_what_is_left() -> None:
    account = Account()
    account.provisioned = {"f": 3}
    slots = [account.runs("f", "live") for _ in range(10)]
    assert account.refuses("f", "live") == account.refuses("g") == ACCOUNT
    slots[0].give_back()
    assert account.refuses("g") == ACCOUNT
    account.runs("f", "live")


def test_who_calls_what_is_provisioned_too_often_spills_over() -> None:
    account = Account()
    account.provisioned = {"f": 1}
    for _ in range(10):
        account.runs("f", "live").give_back()
    others = [account.runs("g") for _ in range(8)]
    spilled = account.runs("f", "live")
    assert account.refuses("g") == ACCOUNT
    spilled.give_back()
    others.append(account.runs("g"))
    assert account.refuses("f", "live") == ACCOUNT
    account.now += 0.1
    account.runs("f", "live")


def test_a_reservation_that_comes_while_what_is_provisioned_runs_takes_it_over() -> None:
    account = Account()
    account.provisioned = {"f": 2}
    slots = [account.runs("f", "live") for _ in range(3)]
    account.provisioned, account.reserved = {}, {"f": 4}
    slots.append(account.runs("f", "live"))
    assert account.refuses("f", "live") == RESERVED
    slots += [account.runs("g") for _ in range(6)]
    account.reserved = {}
    assert account.refuses("f") == ACCOUNT
    for slot in slots:
        slot.give_back()
    assert account.admission.running(HERE) == {}
    slots = [account.runs("g") for _ in range(10)]


def test_tenants_have_two_and_a_half_environments_for_each_that_may_run() -> None:
    account = Account(most=1_000)
    assert account.runs().environments == 2_500
    account.reserved = {"g": 10}
    assert account.runs("g").environments == 25


def test_many_functions_that_rest_are_not_remembered() -> None:
    account = Account(most=10_000)
    for number in range(9_000):
        account.reserved, account.provisioned = ({f"f{number}": 1}, {}) if number % 2 else ({}, {f"f{number}": 1})
        account.now += 0.01
        account.runs(f"f{number}", "live").give_back()
    assert len(account.admission._accounts[HERE].functions) < 2_500


class Any(RuleBasedStateMachine):
    """Functions come and go with reservations that change at any time, within AWS's rule for them."""

    MOST, UNRESERVED = 12, 3
    NAMES = ("f", "g", "h")

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(
            Limits(concurrent_executions=self.MOST, minimum_unreserved_concurrency=self.UNRESERVED)
        )
        self.reserved: dict[str, int] = {}
        self.provisioned: dict[str, int] = {}
        self.running: list[tuple[str, Slot]] = []
        self.now = 0.0
        self.begun: list[tuple[float, str, bool]] = []

    @rule(name=st.sampled_from(NAMES), number=st.integers(0, MOST))
    def one_reserves(self, name: str, number: int) -> None:
        if self._of_all - self.reserved.get(name, 0) + number <= self.MOST - self.UNRESERVED:
            self.reserved[name] = number

    @rule(name=st.sampled_from(NAMES), number=st.integers(0, MOST))
    def one_is_provisioned(self, name: str, number: int) -> None:
        if self._of_all - self.provisioned.get(name, 0) + number <= self.MOST - self.UNRESERVED:
            self.provisioned[name] = number

    @property
    def _of_all(self) -> int:
        """More than is claimed where something is both: so much the fewer may run."""
        return sum(self.reserved.values()) + sum(self.provisioned.values())

    @rule(name=st.sampled_from(NAMES))
    def one_gives_its_reservation_back(self, name: str) -> None:
        self.reserved.pop(name, None)

    @rule(name=st.sampled_from(NAMES), number=st.integers(1, 8), qualifier=st.sampled_from(["", "live"]))
    def some_are_called(self, name: str, number: int, qualifier: str) -> None:
        for _ in range(number):
            self._call(name, qualifier)

    def _call(self, name: str, qualifier: str) -> None:
        before = [n for n, _ in self.running]
        reserved = self.reserved.get(name)
        own = self.provisioned.get(name, 0) if qualifier else 0
        answer = self.admission.admit(HERE, name, reserved, self._of_all, self.now, qualifier, own)
        if isinstance(answer, Slot):
            self.running.append((name, answer))
            self.begun.append((self.now, name, reserved is not None))
            assert reserved is None or before.count(name) < reserved
        elif answer.reason == RESERVED:
            assert reserved is not None
            assert before.count(name) >= reserved
        elif answer.reason == ACCOUNT and reserved is not None:
            assert len(before) >= self.MOST, "what is reserved is there, but for what ran before it was"

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def one_ends(self, data: st.DataObject) -> None:
        _, slot = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        slot.give_back()
        slot.give_back()

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_more_run_than_the_account_may(self) -> None:
        assert len(self.running) <= self.MOST

    @invariant()
    def no_slot_is_lost(self) -> None:
        names = sorted(name for name, _ in self.running)
        assert self.admission.running(HERE) == {name: len(list(of)) for name, of in itertools.groupby(names)}

    @invariant()
    def no_more_begin_in_a_second_than_may(self) -> None:
        """A second's worth may come at once, and as much again within the second after."""
        last = [name for begun, name, reserved in self.begun if begun > self.now - 1 and not reserved]
        assert len(last) <= 2 * 2 * 10 * self.MOST, "of what is left, and of what is provisioned"

    def teardown(self) -> None:
        for _, slot in self.running:
            slot.give_back()
        assert self.admission.running(HERE) == {}
        account = self.admission._accounts.get(HERE)
        assert account is None or (account.running, account.unreserved) == (0, 0)


TestAnyInterleaving = pytest.mark.timeout(600)(Any.TestCase)
TestAnyInterleaving.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
