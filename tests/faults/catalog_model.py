"""What a writer knows of its functions and layers: what was acknowledged, and what may have happened besides. Pure."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CODES = 6


@dataclass(frozen=True, slots=True)
class Fact:
    """A function, as a client can see it; code by its number."""

    code: int
    description: str = ""
    versions: Mapping[int, int] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    statements: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One call: its operation, the function or layer, and what it says."""

    operation: str
    name: str
    detail: Any = None
    more: Any = None


def after(fact: Fact | None, act: Act, number: int | None = None) -> Fact | None:
    """What becomes of a function; `number` is the version that a publication has made."""
    if act.operation == "CreateFunction":
        return Fact(act.detail)
    if act.operation == "DeleteFunction":
        return None
    assert fact is not None
    if act.operation == "PublishVersion":
        return replace(fact, versions={**fact.versions, number or 0: fact.code})
    return _AFTER[act.operation](fact, act)


def _without(known: Mapping[Any, Any], name: Any) -> dict[Any, Any]:
    return {key: value for key, value in known.items() if key != name}


_AFTER: Mapping[str, Callable[[Fact, Act], Fact]] = {
    "UpdateFunctionCode": lambda fact, act: replace(fact, code=act.detail),
    "UpdateFunctionConfiguration": lambda fact, act: replace(fact, description=act.detail),
    "DeleteVersion": lambda fact, act: replace(fact, versions=_without(fact.versions, act.detail)),
    "CreateAlias": lambda fact, act: replace(fact, aliases={**fact.aliases, act.detail: act.more}),
    "UpdateAlias": lambda fact, act: replace(fact, aliases={**fact.aliases, act.detail: act.more}),
    "DeleteAlias": lambda fact, act: replace(fact, aliases=_without(fact.aliases, act.detail)),
    "AddPermission": lambda fact, act: replace(fact, statements=fact.statements | {act.detail}),
    "RemovePermission": lambda fact, act: replace(fact, statements=fact.statements - {act.detail}),
    "TagResource": lambda fact, act: replace(fact, tags={**fact.tags, "tag": act.detail}),
    "UntagResource": lambda fact, _: replace(fact, tags={}),
    "PutFunctionConcurrency": lambda fact, act: replace(fact, reserved=act.detail),
    "DeleteFunctionConcurrency": lambda fact, _: replace(fact, reserved=None),
}


def possible(fact: Fact | None, act: Act | None, seen: Fact | None) -> Iterator[Fact | None]:
    """What may be there when `act` was sent and not answered: all of it, or nothing of it."""
    yield fact
    if act is None:
        return
    if act.operation != "PublishVersion":
        yield after(fact, act)
        return
    assert fact is not None
    for number in (seen.versions.keys() - fact.versions.keys()) if seen is not None else ():
        yield after(fact, act, number)


def next_act(name: str, fact: Fact | None, draw: random.Random) -> Act:
    """Something that can be done to a function as it is."""
    if fact is None:
        return Act("CreateFunction", name, draw.randrange(CODES))
    unused = [number for number in fact.versions if number not in fact.aliases.values()]
    acts = [
        Act("UpdateFunctionCode", name, draw.randrange(CODES)),
        Act("UpdateFunctionConfiguration", name, f"described {draw.randrange(1_000_000)}"),
        Act("PublishVersion", name),
        Act("TagResource", name, str(draw.randrange(1_000_000))),
        Act("UntagResource", name),
        Act("PutFunctionConcurrency", name, draw.randrange(1, 50)),
        Act("DeleteFunctionConcurrency", name),
    ]
    if fact.versions:
        number = draw.choice([*fact.versions])
        alias = draw.choice("abc")
        acts.append(Act("UpdateAlias" if alias in fact.aliases else "CreateAlias", name, alias, number))
    if unused and len(fact.versions) > 2:
        acts.append(Act("DeleteVersion", name, draw.choice(unused)))
    if fact.aliases:
        acts.append(Act("DeleteAlias", name, draw.choice([*fact.aliases])))
    statement = draw.choice("xyz")
    acts.append(Act("RemovePermission" if statement in fact.statements else "AddPermission", name, statement))
    if draw.random() < 0.05:
        return Act("DeleteFunction", name)
    return draw.choice(acts)
