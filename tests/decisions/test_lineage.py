"""How often a chain of calls has come by a function, as the tracing header tells it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.invoke.lineage import INVOCATIONS, before, counted

F = "arn:aws:lambda:us-east-1:000000000000:function:f"
G = "arn:aws:lambda:us-east-1:000000000000:function:g"
TRACE = "Root=1-67f6cc3c-2501b4910e004349426d8006;Parent=73146ee07a1ed731;Sampled=0"


def chained(trace: str, *functions: str) -> tuple[str, int]:
    count = -1
    for function in functions:
        trace, count = counted(trace, function)
    return trace, count


def lineage_of(trace: str) -> str:
    return next(part for part in trace.split(";") if part.startswith("Lineage="))


def test_the_first_invocation_has_a_lineage_that_counts_nothing_before_it() -> None:
    trace, count = counted(TRACE, F)
    assert (trace, count) == (f"{TRACE};Lineage=1:9be734d8:0", 0)
    assert before(trace, F) == before(trace, G) == before(TRACE, F) == 0


def test_a_header_that_is_empty_becomes_the_lineage() -> None:
    assert counted("", F) == ("Lineage=1:9be734d8:0", 0)


def test_every_function_of_a_chain_is_counted_by_itself() -> None:
    trace, count = chained(TRACE, F, G, F, F)
    assert lineage_of(trace) == f"Lineage=1:9be734d8:2|1:{name_of(G)}:0"
    assert (count, before(trace, F), before(trace, G)) == (2, 2, 0)


def name_of(function: str) -> str:
    return counted("", function)[0].split(":")[1]


def test_the_seventeenth_invocation_has_sixteen_before_it() -> None:
    assert chained(TRACE, *[F] * 17)[1] == 16 == INVOCATIONS


def test_what_botocore_quotes_is_read() -> None:
    trace, _ = chained(TRACE, F, G)
    for quoted in (trace.replace("|", "%7C"), trace.replace("|", "%7c")):
        assert chained(quoted, G) == chained(trace, G)


def test_lineages_of_other_makers_and_other_parts_of_the_header_stay() -> None:
    arrived = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:1|2:68fd508a:5;Sampled=1;Self=1-2-3"
    trace, count = counted(arrived, F)
    assert trace == arrived.replace("68fd508a:5", "68fd508a:5|1:9be734d8:0")
    assert count == 0
    older = arrived.replace("a87bd80c", "9be734d8")
    assert counted(older, F) == (older.replace("9be734d8:1", "9be734d8:2"), 2)


@pytest.mark.parametrize(
    "nonsense", ["", ":", "::", "x", "1:9be734d8", "1:9be734d8:x", "1:9be734d8:²", "1:9be734d8:999999"]
)
def test_what_is_no_lineage_counts_as_none(nonsense: str) -> None:
    assert counted(f"Lineage={nonsense}", F) == ("Lineage=1:9be734d8:0", 0)


def test_a_lineage_in_another_word_is_none() -> None:
    assert counted("NoLineage=1:9be734d8:3", F) == ("NoLineage=1:9be734d8:3;Lineage=1:9be734d8:0", 0)


def test_the_count_and_the_length_have_an_end() -> None:
    assert counted("Lineage=1:9be734d8:65535", F) == ("Lineage=1:9be734d8:65535", 65_535)
    trace = TRACE
    for number in range(200):
        trace, _ = counted(trace, f"{G}{number}")
    trace, _ = counted(trace, F)
    assert len(lineage_of(trace).split("|")) == 64
    assert counted(trace, F)[1] == 1


@given(
    st.lists(st.sampled_from([F, G, "h", "i"]), min_size=1, max_size=60),
    st.sampled_from(["", TRACE, "Root=1-a-b"]),
)
def test_the_count_is_how_often_the_chain_came_by_before(chain: list[str], trace: str) -> None:
    after, count = chained(trace, *chain)
    assert count == chain[:-1].count(chain[-1])
    assert {function: before(after, function) for function in chain} == {f: chain.count(f) - 1 for f in chain}
    assert after.startswith(trace)


@given(st.text(string.printable, max_size=80))
def test_no_header_is_too_odd_to_be_counted(trace: str) -> None:
    after, count = counted(trace, F)
    assert before(after, F) == count
    assert counted(after, F)[1] == min(count + 1, 65_535)
