"""Code signing of functions: which configuration a function has, and what its code and layers are held to.

Packages are judged when they come, never when they run: a configuration that is attached, changed or loses a
publisher says nothing about the code that is there already. Whoever takes in code asks `admitted`, whoever sets layers
`admitted_layers`, each for the function's lock's holder.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from pasture.domain.code_signing import UNSIGNED, CodeSigningConfig, Finding, Inspection, Untrusted, judge
from pasture.domain.errors import CodeVerificationFailed, InvalidCodeSignature, InvalidParameterValue
from pasture.domain.function import Code, Function, UsedLayer
from pasture.domain.scope import Scope
from pasture.functions.code_signing_configs import CodeSigningConfigs
from pasture.functions.ledger import Ledger
from pasture.functions.records import FunctionKey

_log = logging.getLogger(__name__)

Inspect = Callable[[bytes | Path], Inspection]
"""What the signature of a package, or of the file it is in, says. Reads all of it, so it is called in a thread."""
Edit = Callable[[FunctionKey, Callable[[Function], Function]], Awaitable[Function]]
"""The catalog's way to change a function, for who holds its lock."""

METRIC = "SignatureValidationErrors"


def unsigned(_package: bytes | Path) -> Inspection:
    """Where no signing profile is known, nothing is signed by one."""
    return UNSIGNED


class CodeSigning:
    def __init__(self, ledger: Ledger, inspect: Inspect, edit: Edit) -> None:
        self._ledger = ledger
        self._inspect = inspect
        self._edit = edit
        self.configs = CodeSigningConfigs(ledger)
        self.on_warned: Callable[[Scope, str], None] = lambda _scope, _subject: None
        """Told of code or a layer that fails its check and is deployed all the same."""

    async def attach(self, scope: Scope, name: str, arn: str) -> None:
        """Empty takes away what there is. Raises CodeSigningConfigNotFound, or ResourceNotFound."""
        key = FunctionKey(scope, name)
        if arn:
            await self.configs.of_function(scope, arn)
        async with self._ledger.writing.alone(key.function):
            function = (await self._ledger.must_read(key)).value
            if arn and function.latest.is_image:
                raise InvalidParameterValue("Code signing is not supported for functions with packageType Image.")
            had = function.code_signing_config
            async with self.configs.in_use(key, arn):
                await self._edit(key, lambda function: dataclasses.replace(function, code_signing_config=arn))
            if had != arn:
                await self.configs.drop_use(key, had)

    async def inspected(self, code: Code, package: bytes | Path | None = None) -> tuple[Code, Inspection]:
        """The package with what is known of its signature; `package` if it is not in the store."""
        found = await asyncio.to_thread(self._inspect, package or self._ledger.packages.blob(code.sha256))
        return dataclasses.replace(code, signature=found.signature), found

    async def admitted(
        self, scope: Scope, arn: str, code: Code, subject: str, package: bytes | Path | None = None
    ) -> Code:
        """The same, if a function with the configuration of this ARN may have it; without one, in any case.

        `subject` is how the words name the function. Raises CodeVerificationFailed or InvalidCodeSignature.
        """
        known, found = await self.inspected(code, package)
        if arn:
            config = await self.configs.of_function(scope, arn)
            self._judge(scope, found, config, subject, f"package {code.sha256}")
        return known

    async def admitted_layers(
        self, scope: Scope, arn: str, layers: tuple[UsedLayer, ...], subject: str
    ) -> tuple[UsedLayer, ...]:
        """As `admitted`, of layers, whose packages are held."""
        if not arn or not layers:
            return layers
        config = await self.configs.of_function(scope, arn)
        admitted = []
        for layer in layers:
            code, found = await self.inspected(layer.code)
            self._judge(scope, found, config, subject, f"layer {layer.arn}")
            admitted.append(dataclasses.replace(layer, code=code))
        return tuple(admitted)

    def _judge(self, scope: Scope, found: Inspection, config: CodeSigningConfig, subject: str, what: str) -> None:
        finding = judge(found, config, self._ledger.tools.clock.now())
        if finding is None:
            return
        blocks = finding is Finding.TAMPERED or config.untrusted is Untrusted.ENFORCE
        _log.warning(
            "%s: the %s of the function %s fails the check of %s by %s and is %s",
            METRIC, what, subject, finding.value, config.arn, "refused" if blocks else "deployed all the same",
        )  # fmt: skip
        if finding is Finding.TAMPERED:
            raise InvalidCodeSignature(_WORDS[finding].format(subject))
        if blocks:
            raise CodeVerificationFailed(_WORDS[finding].format(subject))
        self.on_warned(scope, subject)


# The mismatch is recorded from AWS, the others are in its style.
_WORDS = {
    Finding.TAMPERED: "Lambda cannot deploy the function. The function or layer was changed after it was signed. "
    "Check the provided signature for {}.",
    Finding.EXPIRED: "Lambda cannot deploy the function. The signature of the function or layer has expired. "
    "Check the provided signature for {}.",
    Finding.MISMATCH: "Lambda cannot deploy the function. The function or layer might be signed using a signature "
    "that the client is not configured to accept. Check the provided signature for {}.",
    Finding.REVOKED: "Lambda cannot deploy the function. The signature of the function or layer has been revoked. "
    "Check the provided signature for {}.",
}
