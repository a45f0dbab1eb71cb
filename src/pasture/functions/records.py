"""How the catalog's documents are named and written.

| key | holds |
|---|---|
| `functions/ACCOUNT/REGION/NAME` | the function, as JSON of `domain.function.Function` |
| `activations/ACCOUNT/REGION/NAME` | nothing: this function may have to be brought to Active or Failed |
| `code/SHA256/ACCOUNT/REGION/NAME` | nothing: this function may need that package |

The last two are written before the function and removed after, so a crash leaves one too many and never one too few.
"""

from typing import NamedTuple

import msgspec

from pasture.domain.function import Function
from pasture.domain.scope import Scope

FUNCTIONS = "functions/"
ACTIVATIONS = "activations/"
CODE = "code/"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Function)


class FunctionKey(NamedTuple):
    scope: Scope
    name: str

    def __str__(self) -> str:
        return f"{self.scope.account}/{self.scope.region}/{self.name}"

    @property
    def function(self) -> str:
        return f"{FUNCTIONS}{self}"

    @property
    def activation(self) -> str:
        return f"{ACTIVATIONS}{self}"

    def code(self, sha256: str) -> str:
        return f"{CODE}{sha256}/{self}"


def functions_prefix(scope: Scope) -> str:
    return f"{FUNCTIONS}{scope.account}/{scope.region}/"


def code_prefix(sha256: str) -> str:
    return f"{CODE}{sha256}/"


def key_of(document_key: str) -> FunctionKey:
    """Whose document this is: the last three parts of any of these keys."""
    account, region, name = document_key.rsplit("/", 3)[1:]
    return FunctionKey(Scope(account, region), name)


def encode(function: Function) -> bytes:
    return _encoder.encode(function)


def decode(value: bytes) -> Function:
    return _decoder.decode(value)
