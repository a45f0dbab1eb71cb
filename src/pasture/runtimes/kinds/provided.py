"""provided.al2023 and its kin: no language at all. The function, or a layer of it, brings a program named bootstrap."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable

# In the order of the search (aws-lambda reference 2.3); AWS's own directory comes before them and is empty here.
ENTRYPOINTS = ("/var/task/bootstrap", "/opt/bootstrap")
IDENTIFIERS = ("provided.al2023", "provided.al2")


class ProvidedFamily:
    """Ready everywhere: what it runs on is the machine's own system."""

    @property
    def name(self) -> str:
        return "provided"

    def identifiers(self) -> Sequence[str]:
        return IDENTIFIERS

    def available(self) -> Sequence[str]:
        return IDENTIFIERS

    def interpreters(self) -> Mapping[str, Path]:
        return dict.fromkeys(IDENTIFIERS, Path("/"))

    def version(self, identifier: str) -> str:
        return identifier.partition(".")[2] if identifier in IDENTIFIERS else ""

    def find(self, identifier: str) -> InstalledRuntime | None:
        if identifier not in IDENTIFIERS:
            return None
        return InstalledRuntime(
            identifier=identifier,
            version=self.version(identifier),
            location=Path("/"),
            mounts=(),
            command=(),
            entrypoints=ENTRYPOINTS,
            handler_argument=False,
        )

    def install(self, identifier: str) -> InstalledRuntime:
        found = self.find(identifier)
        if found is None:
            raise RuntimeUnavailable(f"there is no runtime {identifier} of this family")
        return found


def family(cache: Path) -> ProvidedFamily:  # noqa: ARG001  every kind is made so
    return ProvidedFamily()
