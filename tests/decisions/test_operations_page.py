"""The page of operations says what the code says."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import pasture.api
from pasture.api.served import SERVED, State, entries, page
from pasture.api.wire.service import load_model

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_page_is_written_anew_when_the_code_changes() -> None:
    assert PAGE.read_text() == page(), "run `python -m pasture.api.served > docs/operations.md`"


@pytest.mark.parametrize("service", SERVED)
def test_every_operation_of_the_model_is_told_once(service: str) -> None:
    told = [entry.operation for entry in entries(service)]
    assert told == sorted(load_model(service).operation_names)


def test_who_refuses_or_only_keeps_says_why() -> None:
    for service in SERVED:
        assert all(entry.remark for entry in entries(service) if entry.state is not State.COMPLETE)


def test_what_is_served_in_part_is_the_name_of_an_operation() -> None:
    for service, holders in SERVED.items():
        for holder in holders:
            assert set(getattr(holder, "partly", ())) <= set(load_model(service).operation_names)


def test_no_class_of_operations_is_forgotten() -> None:
    found = {
        value
        for module in pkgutil.iter_modules(pasture.api.__path__, "pasture.api.")
        if module.name.endswith("_operations")
        for name, value in vars(importlib.import_module(module.name)).items()
        if inspect.isclass(value) and name.endswith("Operations")
    }
    assert found <= {holder for holders in SERVED.values() for holder in holders}
