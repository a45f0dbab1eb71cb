"""How the catalog's documents are named and written.

| key | holds |
|---|---|
| `functions/ACCOUNT/REGION/NAME` | the function, as JSON of `domain.function.Function` |
| `versions/ACCOUNT/REGION/NAME/NUMBER` | a published version, as JSON of `domain.function.FunctionVersion` |
| `version-numbers/ACCOUNT/REGION/NAME` | of a function that was deleted: the number its next version gets |
| `activations/ACCOUNT/REGION/NAME[/NUMBER]` | nothing: this function or version may have to be brought to rest |
| `layers/ACCOUNT/REGION/NAME` | the number that this layer's next version gets; stays when all versions are deleted |
| `layer-versions/ACCOUNT/REGION/NAME/NUMBER` | a layer version, as JSON of `domain.layer.LayerVersion` |
| `code-signing-configs/ACCOUNT/REGION/ID` | JSON of `domain.code_signing.CodeSigningConfig` |
| `code-signing-uses/ACCOUNT/REGION/ID/NAME` | nothing: that function may have this code signing configuration |
| `urls/ID` | whose the function URL with that identifier is: the function's key, `?`, and an alias if it is of one |
| `code/DIGEST/OWNER` | nothing: the owner may need that package, or that tree at /opt |

OWNER is `ACCOUNT/REGION/NAME[/NUMBER]`, or `ACCOUNT/REGION/layer/NAME/NUMBER` of a layer version. Numbers have ten
digits, so that their order is that of the keys. Activations, code, uses and URLs are written before what they speak of
and removed after, so a crash leaves one too many and never one too few.
"""

from typing import Generic, NamedTuple, TypeVar

import msgspec

from pasture.domain.code_signing import CodeSigningConfig, ConfigRef
from pasture.domain.function import Function, FunctionVersion
from pasture.domain.layer import LayerVersion
from pasture.domain.scope import Scope

FUNCTIONS = "functions/"
VERSIONS = "versions/"
VERSION_NUMBERS = "version-numbers/"
ACTIVATIONS = "activations/"
LAYERS = "layers/"
LAYER_VERSIONS = "layer-versions/"
CODE_SIGNING_CONFIGS = "code-signing-configs/"
CODE_SIGNING_USES = "code-signing-uses/"
CODE = "code/"
URLS = "urls/"

T = TypeVar("T")


class FunctionKey(NamedTuple):
    scope: Scope
    name: str

    def __str__(self) -> str:
        return f"{_prefix(self.scope)}{self.name}"

    @property
    def function(self) -> str:
        return f"{FUNCTIONS}{self}"

    @property
    def versions(self) -> str:
        """The prefix of its versions."""
        return f"{VERSIONS}{self}/"

    @property
    def next_number(self) -> str:
        return f"{VERSION_NUMBERS}{self}"

    @property
    def activation(self) -> str:
        return f"{ACTIVATIONS}{self}"

    def code(self, digest: str) -> str:
        return f"{CODE}{digest}/{self}"


class VersionKey(NamedTuple):
    scope: Scope
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.function_key}/{self.number:010}"

    @property
    def function_key(self) -> FunctionKey:
        return FunctionKey(self.scope, self.name)

    @property
    def version(self) -> str:
        return f"{VERSIONS}{self}"

    @property
    def activation(self) -> str:
        return f"{ACTIVATIONS}{self}"

    def code(self, digest: str) -> str:
        return f"{CODE}{digest}/{self}"


class LayerVersionKey(NamedTuple):
    scope: Scope
    name: str
    number: int

    def __str__(self) -> str:
        return f"{_prefix(self.scope)}{self.name}/{self.number:010}"

    @property
    def layer(self) -> str:
        return f"{LAYERS}{_prefix(self.scope)}{self.name}"

    @property
    def version(self) -> str:
        return f"{LAYER_VERSIONS}{self}"

    def code(self, digest: str) -> str:
        return f"{CODE}{digest}/{_prefix(self.scope)}layer/{self.name}/{self.number:010}"


class CodeSigningKey(NamedTuple):
    ref: ConfigRef

    def __str__(self) -> str:
        return f"{_prefix(self.ref.scope)}{self.ref.id}"

    @property
    def config(self) -> str:
        return f"{CODE_SIGNING_CONFIGS}{self}"

    @property
    def uses(self) -> str:
        """The prefix of the functions that may have it."""
        return f"{CODE_SIGNING_USES}{self}/"

    def use(self, function: str) -> str:
        return f"{self.uses}{function}"


class UrlKey(NamedTuple):
    id: str

    @property
    def url(self) -> str:
        return f"{URLS}{self.id}"


Owner = FunctionKey | VersionKey | LayerVersionKey
"""Whoever may need a package."""


def _prefix(scope: Scope) -> str:
    return f"{scope.account}/{scope.region}/"


def functions_prefix(scope: Scope) -> str:
    return f"{FUNCTIONS}{_prefix(scope)}"


def versions_prefix(scope: Scope) -> str:
    return f"{VERSIONS}{_prefix(scope)}"


def layers_prefix(scope: Scope) -> str:
    return f"{LAYERS}{_prefix(scope)}"


def layer_versions_prefix(scope: Scope, name: str = "") -> str:
    return f"{LAYER_VERSIONS}{_prefix(scope)}" + (f"{name}/" if name else "")


def code_signing_configs_prefix(scope: Scope) -> str:
    return f"{CODE_SIGNING_CONFIGS}{_prefix(scope)}"


def code_prefix(digest: str) -> str:
    return f"{CODE}{digest}/"


def key_of(document_key: str) -> FunctionKey:
    """Whose document this is, of a function: the last three parts of any of these keys."""
    account, region, name = document_key.rsplit("/", 3)[1:]
    return FunctionKey(Scope(account, region), name)


def version_key_of(document_key: str) -> VersionKey:
    account, region, name, number = document_key.rsplit("/", 4)[1:]
    return VersionKey(Scope(account, region), name, int(number))


def layer_key_of(document_key: str) -> LayerVersionKey:
    account, region, name, number = document_key.rsplit("/", 4)[1:]
    return LayerVersionKey(Scope(account, region), name, int(number))


def use_of(document_key: str) -> tuple[CodeSigningKey, FunctionKey]:
    """Of a `code-signing-uses/` document: the configuration, and the function that may have it."""
    account, region, config, name = document_key.rsplit("/", 4)[1:]
    scope = Scope(account, region)
    return CodeSigningKey(ConfigRef(scope, config)), FunctionKey(scope, name)


def settling_of(activation: str) -> FunctionKey | VersionKey:
    """What an `activations/` document speaks of."""
    return key_of(activation) if activation.count("/") == 3 else version_key_of(activation)


def owner_of(reference: str) -> Owner:
    """Whose reference a `code/` document is."""
    _, _, account, region, *rest = reference.split("/")
    scope = Scope(account, region)
    match rest:
        case [name]:
            return FunctionKey(scope, name)
        case [name, number]:
            return VersionKey(scope, name, int(number))
        case ["layer", name, number]:
            return LayerVersionKey(scope, name, int(number))
        case _:
            raise ValueError(f"no owner's key: {reference!r}")


class Form(Generic[T]):
    """How documents of one type are written."""

    def __init__(self, type_: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(type_)

    def encode(self, value: T) -> bytes:
        return _encoder.encode(value)

    def decode(self, value: bytes) -> T:
        return self._decoder.decode(value)


_encoder = msgspec.json.Encoder()
FUNCTION = Form(Function)
VERSION = Form(FunctionVersion)
LAYER_VERSION = Form(LayerVersion)
CODE_SIGNING_CONFIG = Form(CodeSigningConfig)


def encode(function: Function) -> bytes:
    return FUNCTION.encode(function)


def decode(value: bytes) -> Function:
    return FUNCTION.decode(value)


def encode_number(number: int) -> bytes:
    return str(number).encode()


def decode_number(value: bytes) -> int:
    return int(value)
