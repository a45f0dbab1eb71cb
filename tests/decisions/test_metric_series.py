"""By which dimensions a metric is kept, and what of a batch becomes which points."""

from pasture.metrics.names import METRICS, NAMESPACE, Dimensions, Kind, Place, Reach, dimensions_of
from pasture.metrics.recorder import Batch, Cell
from pasture.metrics.sample import Sample
from pasture.metrics.series import Key, Series, expand

F = ("FunctionName", "f")


def place(resource: str, version: str = "$LATEST") -> Place:
    return Place("1", "eu-west-1", "f", resource, version)


def by_dimensions(batch: Batch, name: str) -> dict[Dimensions, Sample]:
    return {key.series.dimensions: sample for key, sample in expand(batch).items() if key.series.name == name}


def cell(*durations: float, errors: int = 0, throttles: int = 0) -> Cell:
    made = Cell()
    made.duration = Sample.of(durations)
    made.errors, made.throttles = errors, throttles
    return made


def batch(cells: dict[Place, Cell], minute: int = 7) -> Batch:
    return Batch({minute: cells}, [], minute)


def test_an_invocation_of_the_function_itself_counts_for_all_the_function_and_the_resource() -> None:
    assert dimensions_of(METRICS["Errors"], place("f")) == [(), (F,), (F, ("Resource", "f"))]


def test_a_version_is_a_resource_and_an_alias_shows_which_version_ran() -> None:
    assert dimensions_of(METRICS["Errors"], place("f:3", "3"))[-1] == (F, ("Resource", "f:3"))
    assert dimensions_of(METRICS["Errors"], place("f:live", "3"))[2:] == [
        (F, ("Resource", "f:live")),
        (("ExecutedVersion", "3"), F, ("Resource", "f:live")),
    ]


def test_what_belongs_to_an_account_or_a_mapping_has_its_own_dimensions() -> None:
    assert dimensions_of(METRICS["UnreservedConcurrentExecutions"], place("f")) == [()]
    mapping = Place("1", "eu-west-1", mapping="a-uuid")
    assert dimensions_of(METRICS["PolledEventCount"], mapping) == [(("EventSourceMappingUUID", "a-uuid"),)]
    assert dimensions_of(METRICS["PolledEventCount"], place("f")) == []
    of_alias = dimensions_of(METRICS["ProvisionedConcurrencyUtilization"], place("f:live", "3"))
    assert of_alias == [(F,), (F, ("Resource", "f:live"))]


def test_dimensions_are_in_order_of_name() -> None:
    for metric in METRICS.values():
        for dimensions in dimensions_of(metric, Place("1", "r", "f", "f:live", "3", "a-uuid")):
            assert list(dimensions) == sorted(dimensions)


def test_levels_are_counts_but_the_share() -> None:
    units = {metric.unit for metric in METRICS.values() if metric.kind is Kind.LEVEL and metric.reach is Reach.ACCOUNT}
    assert units == {"Count"}


def test_a_minute_of_invocations_becomes_points_whose_averages_are_rates() -> None:
    points = expand(batch({place("f"): cell(10.0, 30.0, 20.0, 40.0, errors=1, throttles=1)}))
    told = {
        key.series.name: (key.unit, sample.count, sample.total)
        for key, sample in points.items()
        if key.series.dimensions == (F,)
    }
    assert told == {
        "Invocations": ("Count", 4, 4),
        "Errors": ("Count", 4, 1),
        "Throttles": ("Count", 5, 1),
        "Duration": ("Milliseconds", 4, 100),
    }
    assert {key.time for key in points} == {7 * 60}
    assert Key(Series("1", "eu-west-1", NAMESPACE, "Errors"), 420, "Count") in points


def test_what_was_throttled_is_no_invocation() -> None:
    names = {key.series.name for key in expand(batch({place("f"): cell(throttles=2)}))}
    assert names == {"Throttles"}


def test_the_whole_is_the_sum_of_its_parts() -> None:
    cells = {place("f"): cell(1.0), place("f:live", "1"): cell(2.0, 3.0), place("f:live", "2"): cell(4.0, errors=1)}
    errors = by_dimensions(batch(cells), "Errors")
    assert {dimensions: (sample.count, sample.total) for dimensions, sample in errors.items()} == {
        (): (4, 1),
        (F,): (4, 1),
        (F, ("Resource", "f")): (1, 0),
        (F, ("Resource", "f:live")): (3, 1),
        (("ExecutedVersion", "1"), F, ("Resource", "f:live")): (2, 0),
        (("ExecutedVersion", "2"), F, ("Resource", "f:live")): (1, 1),
    }


def test_points_share_nothing_with_the_cells_they_come_from() -> None:
    counted = cell(1.0)
    for sample in by_dimensions(batch({place("f"): counted}), "Duration").values():
        assert sample is not counted.duration
