"""Metric math."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.metrics.expressions import Mistake, Names, evaluate
from pasture.metrics.functions import Grid, Line, Value

A: Line = {0: 1.0, 60: 2.0, 120: 4.0}
B: Line = {0: 10.0, 120: 0.0, 240: 5.0}


def names(**lines: Line) -> Names:
    def value(id_: str) -> Value:
        if id_ not in lines:
            raise Mistake(f"there is no query with the id '{id_}'")
        return lines[id_]

    return Names(value, {id_: f"{id_} errors" if id_ == "b" else id_ for id_ in lines}, lambda _id: Grid(0, 300, 60))


def of(text: str) -> Value:
    return evaluate(text, names(a=A, b=B))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 ^ 2", 19.0),
        ("(1 + 2) * 3 - 4 / 8", 8.5),
        ("-2 ^ 2", -4.0),
        ("2 - 3 - 4", -5.0),
        ("1.5e2", 150.0),
        ("a", A),
        ("a * 2", {0: 2.0, 60: 4.0, 120: 8.0}),
        ("100 - a", {0: 99.0, 60: 98.0, 120: 96.0}),
        ("a + b", {0: 11.0, 120: 4.0}),
        ("a / b", {0: 0.1}),
        ("a > 1", {0: 0.0, 60: 1.0, 120: 1.0}),
        ("a > 1 && a < 4", {0: 0.0, 60: 1.0, 120: 0.0}),
        ("a == 1 or a == 4", {0: 1.0, 60: 0.0, 120: 1.0}),
        ("SUM(a)", 7.0),
        ("sum([a, b])", {0: 11.0, 60: 2.0, 120: 4.0, 240: 5.0}),
        ("AVG(METRICS())", {0: 5.5, 60: 2.0, 120: 2.0, 240: 5.0}),
        ("MAX(METRICS('errors'))", B),
        ("METRIC_COUNT([a, b])", 2.0),
        ("MIN(a) + MAX(a)", 5.0),
        ("STDDEV([a, a])", {0: 0.0, 60: 0.0, 120: 0.0}),
        ("a / PERIOD(a)", {0: 1 / 60, 60: 2 / 60, 120: 4 / 60}),
        ("RATE(a)", {60: 1 / 60, 120: 2 / 60}),
        ("DIFF(a)", {60: 1.0, 120: 2.0}),
        ("RUNNING_SUM(a)", {0: 1.0, 60: 3.0, 120: 7.0}),
        ("FILL(b, 0)", {0: 10.0, 60: 0.0, 120: 0.0, 180: 0.0, 240: 5.0}),
        ("FILL(b, REPEAT)", {0: 10.0, 60: 10.0, 120: 0.0, 180: 0.0, 240: 5.0}),
        ("FILL(b, LINEAR)", {0: 10.0, 60: 5.0, 120: 0.0, 180: 2.5, 240: 5.0}),
        ("IF(a > 1, a, 0)", {0: 0.0, 60: 2.0, 120: 4.0}),
        ("IF(a > 1, a)", {60: 2.0, 120: 4.0}),
        ("CEIL(a / 3)", {0: 1.0, 60: 1.0, 120: 2.0}),
        ("ABS(-a)", A),
        ("LOG10(b)", {0: 1.0, 240: pytest.approx(0.69897)}),
        ("FIRST([a, b])", A),
    ],
)
def test_an_expression_has_its_value(text: str, value: object) -> None:
    assert of(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ends where a value should be"),
        ("a +", "ends where a value should be"),
        ("a b", "it goes on with 'b'"),
        ("(a", "where ')' should be"),
        ("a $ 2", "cannot be read from '$ 2'"),
        ("nobody", "no query with the id 'nobody'"),
        ("SEARCH('x', 'Sum', 300)", "the function SEARCH is not served"),
        ("SUM(a, b)", "SUM does not take these arguments"),
        ("RATE(1)", "RATE does not take these arguments"),
        ("FIRST([])", "there is ']' where a value should be"),
        ("[1]", "an array holds time series"),
        ("1 / 0", "cannot be computed"),
        ("(" * 60 + "1" + ")" * 60, "nested too deeply"),
        ("-" * 2000 + "1", "nested too deeply"),
    ],
)
def test_what_means_nothing_is_told(text: str, words: str) -> None:
    with pytest.raises(Mistake, match=re.escape(words)):
        of(text)


@given(st.text(alphabet="ab12.+-*/^()[],<>=! SUMFILRATEPERIODMETRICS'\"", max_size=40))
def test_any_text_has_a_value_or_is_a_mistake(text: str) -> None:
    try:
        value = of(text)
    except Mistake:
        return
    assert isinstance(value, float | dict | list | str)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_the_running_sum_of_differences_is_where_it_ends(values: list[float]) -> None:
    line = {60 * number: value for number, value in enumerate(values)}
    found = evaluate("RUNNING_SUM(DIFF(a)) + 0", names(a=line))
    assert isinstance(found, dict)
    if len(values) > 1:
        assert found[60 * (len(values) - 1)] == pytest.approx(values[-1] - values[0], abs=1e-6)
