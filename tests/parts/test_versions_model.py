"""Random sequences of what clients do to functions, versions, aliases and layers, against a simple model of it."""

import asyncio
import dataclasses
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.functions import a_version
from fakes.management import HERE, Management, zip_of
from pasture.domain.errors import (
    ApiError,
    InvalidParameterValue,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from pasture.domain.function import LATEST, Alias, Code, State
from pasture.domain.layer import LayerRef, LayerVersion
from pasture.domain.limits import Limits
from pasture.functions.collection import Collection
from pasture.store.kinds.memory import MemoryDocuments

T = TypeVar("T")

NAMES = st.sampled_from(["f", "g"])
ALIASES = st.sampled_from(["live", "beta"])
NUMBERS = st.sampled_from(["1", "2", "3", "4", LATEST])
LAYERS = st.sampled_from(["l", "m"])
CODES = st.sampled_from(["one", "two", "three"])


@dataclass
class Modelled:
    """What a function should be: contents are (code, timeout, layers)."""

    latest: tuple[str, int, tuple[str, ...]]
    versions: dict[str, tuple[str, int, tuple[str, ...]]] = field(default_factory=dict)
    aliases: dict[str, tuple[str, dict[str, float]]] = field(default_factory=dict)
    last: tuple[str, tuple[str, int, tuple[str, ...]]] | None = None


class Catalogs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.node = Management(MemoryDocuments(), Path(self.directory.name), Limits())
        self.catalog = self.node.catalog
        self.model: dict[str, Modelled] = {}
        self.next: dict[str, int] = {}
        self.layers: dict[str, dict[int, str]] = {}
        self.next_layer: dict[str, int] = {}
        self.revisions: set[str] = set()

    def run_(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def refused(self, kind: type[ApiError], work: Coroutine[Any, Any, object]) -> None:
        with pytest.raises(kind):
            self.run_(work)

    def teardown(self) -> None:
        self.catalog.close()
        self.loop.close()
        self.directory.cleanup()

    @initialize()
    def opens(self) -> None:
        self.run_(self.node.packages.open())
        self.catalog.open()

    # Functions...

    @rule(name=NAMES, code=CODES, publish=st.booleans())
    def create(self, name: str, code: str, publish: bool) -> None:
        draft = a_version(name=name, state=State.PENDING)
        work = self.catalog.create(draft, zip_of(code), {}, publish=publish)
        if name in self.model:
            self.refused(ResourceConflict, work)
            return
        self.run_(work)
        self.model[name] = Modelled((code, 3, ()))
        self.next.setdefault(name, 1)
        if publish:
            self._publish(name)
        self._settle(name)

    @rule(name=NAMES, code=CODES, publish=st.booleans())
    def update_code(self, name: str, code: str, publish: bool) -> None:
        work = self.catalog.update_code(HERE, name, zip_of(code), lambda version: version, publish=publish)
        if name not in self.model:
            self.refused(ResourceNotFound, work)
            return
        self.run_(work)
        self.model[name].latest = (code, *self.model[name].latest[1:])
        if publish:
            self._publish(name)
        self._settle(name)

    @rule(name=NAMES, timeout=st.sampled_from([3, 9]), layers=st.permutations(["l", "m"]), count=st.integers(0, 2))
    def update_configuration(self, name: str, timeout: int, layers: list[str], count: int) -> None:
        chosen = [layer for layer in layers if self.layers.get(layer)][:count]
        arns = tuple(LayerRef(HERE, layer, max(self.layers[layer])).arn for layer in chosen)

        async def update() -> None:
            async with self.catalog.layers.using(arns, HERE, "") as used:
                await self.catalog.update_configuration(
                    HERE, name, lambda version: dataclasses.replace(version, timeout=timeout, layers=used)
                )

        if name not in self.model:
            self.refused(ResourceNotFound, update())
            return
        self.run_(update())
        self.model[name].latest = (self.model[name].latest[0], timeout, arns)
        self._settle(name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        work = self.catalog.delete(HERE, name)
        if self.model.pop(name, None) is None:
            self.refused(ResourceNotFound, work)
        else:
            self.run_(work)

    # Versions...

    @rule(name=NAMES, stale=st.booleans())
    def publish(self, name: str, stale: bool) -> None:
        revision = "stale" if stale else None
        work = self.catalog.versions.publish(HERE, name, revision_id=revision)
        if name not in self.model:
            self.refused(ResourceNotFound, work)
        elif stale:
            self.refused(PreconditionFailed, work)
        else:
            version = self.run_(work)
            assert version.version == self._publish(name)
            self._settle(name)

    @rule(name=NAMES, number=NUMBERS.filter(lambda number: number != LATEST))
    def delete_version(self, name: str, number: str) -> None:
        work = self.catalog.versions.delete(HERE, name, number)
        model = self.model.get(name)
        if model is None or number not in model.versions:
            self.refused(ResourceNotFound, work)
        elif any(number in (version, *weights) for version, weights in model.aliases.values()):
            self.refused(ResourceConflict, work)
        else:
            self.run_(work)
            del model.versions[number]

    # Aliases...

    @rule(name=NAMES, alias=ALIASES, version=NUMBERS, other=NUMBERS, weighted=st.booleans())
    def create_alias(self, name: str, alias: str, version: str, other: str, weighted: bool) -> None:
        weights = {other: 0.5} if weighted and other != LATEST else {}
        work = self.catalog.aliases.create(HERE, name, Alias(alias, version, "", weights=weights))
        model = self.model.get(name)
        if model is not None and alias in model.aliases:
            self.refused(ResourceConflict, work)
        else:
            self._point(name, alias, version, weights, work)

    @rule(name=NAMES, alias=ALIASES, version=NUMBERS, stale=st.booleans())
    def update_alias(self, name: str, alias: str, version: str, stale: bool) -> None:
        def edit(known: Alias) -> Alias:
            return dataclasses.replace(known, version=version, weights={})

        work = self.catalog.aliases.update(HERE, name, alias, edit, revision_id="stale" if stale else None)
        model = self.model.get(name)
        if model is None or alias not in model.aliases:
            self.refused(ResourceNotFound, work)
        elif stale:
            self.refused(PreconditionFailed, work)
        else:
            self._point(name, alias, version, {}, work)

    @precondition(lambda self: bool(self.model))
    @rule(name=NAMES, alias=ALIASES)
    def delete_alias(self, name: str, alias: str) -> None:
        work = self.catalog.aliases.delete(HERE, name, alias)
        if name not in self.model:
            self.refused(ResourceNotFound, work)
            return
        self.run_(work)
        self.model[name].aliases.pop(alias, None)

    def _point(
        self, name: str, alias: str, version: str, weights: dict[str, float], work: Coroutine[Any, Any, Alias]
    ) -> None:
        model = self.model.get(name)
        if model is not None and (version in weights or (weights and version == LATEST)):
            self.refused(InvalidParameterValue, work)
        elif model is None or any(v != LATEST and v not in model.versions for v in (version, *weights)):
            self.refused(ResourceNotFound, work)
        else:
            revision = self.run_(work).revision_id
            assert revision not in self.revisions
            self.revisions.add(revision)
            model.aliases[alias] = (version, weights)

    # Layers...

    @rule(name=LAYERS, code=CODES)
    def publish_layer(self, name: str, code: str) -> None:
        layer = self.run_(self.catalog.layers.publish(LayerVersion(HERE, name, 0, Code("", 0), 0.0), zip_of(code)))
        number = self.next_layer.get(name, 1)
        assert layer.number == number
        self.next_layer[name] = number + 1
        self.layers.setdefault(name, {})[number] = code

    @rule(name=LAYERS, number=st.integers(1, 4))
    def delete_layer(self, name: str, number: int) -> None:
        self.run_(self.catalog.layers.delete(LayerRef(HERE, name, number)))
        self.layers.get(name, {}).pop(number, None)

    # What has to come to rest...

    def _publish(self, name: str) -> str:
        """The number that the model's next version has, or has already."""
        model = self.model[name]
        if model.last is not None and model.last[1] == model.latest and model.last[0] in model.versions:
            return model.last[0]
        number = str(self.next[name])
        self.next[name] += 1
        model.versions[number] = model.latest
        model.last = (number, model.latest)
        return number

    def _settle(self, name: str) -> None:
        async def settle() -> None:
            function = await self.catalog.get(HERE, name)
            await self.catalog.settle(HERE, name, function.latest.generation, None)
            for key in await self.catalog.unsettled():
                version = await self.catalog.find_version(*key[:2], str(key[2]) if len(key) == 3 else LATEST)
                if len(key) == 3 and version is not None:
                    await self.catalog.versions.settle(key, version.generation, None)
                await self.catalog.unmark(*key)

        self.run_(settle())

    # What is always true...

    @invariant()
    def functions_versions_and_aliases_are_as_modelled(self) -> None:
        listed, end = self.run_(self.catalog.list(HERE, limit=10))
        assert ([function.name for function in listed], end) == (sorted(self.model), None)
        for function in listed:
            model = self.model[function.name]
            assert function.active == function.latest
            aliases = {name: (alias.version, dict(alias.weights)) for name, alias in function.aliases.items()}
            assert aliases == model.aliases
            found = self.run_(self.catalog.versions.list(function, limit=100))
            contents = {
                version.version: (version.code.sha256, version.timeout, tuple(layer.arn for layer in version.layers))
                for version in found
            }
            assert contents == {
                number: (self._sha256(code), timeout, layers)
                for number, (code, timeout, layers) in {LATEST: model.latest, **model.versions}.items()
            }
            assert all(version.state is State.ACTIVE for version in found)

    @invariant()
    def layers_are_as_modelled(self) -> None:
        for name, numbers in self.layers.items():
            found = self.run_(self.catalog.layers.versions(HERE, name))
            assert [layer.number for layer in found] == sorted(numbers, reverse=True)

    @invariant()
    def the_account_is_counted_right(self) -> None:
        usage = self.run_(self.catalog.usage(HERE))
        codes = [content[0] for m in self.model.values() for content in (m.latest, *m.versions.values())]
        codes += [code for numbers in self.layers.values() for code in numbers.values()]
        assert (usage.functions, usage.code_bytes) == (len(self.model), sum(len(zip_of(code)) for code in codes))

    @invariant()
    def what_is_needed_is_on_disk_and_after_collection_nothing_else(self) -> None:
        self.run_(Collection(self.catalog, self.node.packages).sweep())
        stored = self.run_(self.node.packages.stored())
        versions = [
            version
            for function in self.run_(self.catalog.list(HERE, limit=10))[0]
            for version in self.run_(self.catalog.versions.list(function, limit=100))
        ]
        layers = [code for numbers in self.layers.values() for code in numbers.values()]
        packages = {version.code.sha256 for version in versions} | {self._sha256(code) for code in layers}
        packages |= {digest for version in versions for digest in version.layer_digests}
        # Trees at /opt are made when they are first wanted.
        assert packages <= stored <= packages | {digest for version in versions for digest in version.digests}

    def _sha256(self, code: str) -> str:
        return self.run_(self.node.packages.check(zip_of(code))).sha256


Catalogs.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestCatalogs = Catalogs.TestCase
