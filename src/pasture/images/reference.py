"""What an ImageUri names. Pure.

On AWS it is an image in ECR: `123456789012.dkr.ecr.us-east-1.amazonaws.com/repository:tag`, or `@sha256:digest`. Here
the registry may be any, and must be said; and an image may be on disk, in skopeo's words: `oci:/directory[:tag]` for an
OCI layout, `oci-archive:/file.tar[:tag]` for a tar of one, as `docker save` writes it too.
"""

import re
from dataclasses import dataclass, replace

# The grammar of references: https://pkg.go.dev/github.com/distribution/reference
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REMOTE = re.compile(
    rf"(?P<registry>{_HOST}(?::\d{{1,5}})?)/(?P<repository>{_PART}(?:/{_PART})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_LOCAL = re.compile(
    rf"(?P<transport>oci|oci-archive):(?P<path>/[^:@\0]*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?", re.ASCII
)
_MAX = 1_024


class BadReference(ValueError):
    """It names no image, wherever images come from."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry; or, with a `transport`, in the file or directory that `repository` is the path of."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""
    transport: str = ""

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.transport}:{self.repository}" if self.transport else f"{self.registry}/{self.repository}"

    @property
    def wanted(self) -> str:
        """The digest counts where there are both; a registry's `latest` where there is neither."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> "Reference":
        """The very image that this reference was found to mean."""
        return replace(self, tag="", digest=digest)


def parse(uri: str) -> Reference:
    """Raises BadReference."""
    if len(uri) > _MAX:
        raise BadReference(uri)
    if found := _LOCAL.fullmatch(uri):
        path = found["path"]
        if ".." in path.split("/"):
            raise BadReference(uri)
        return Reference("", path, found["tag"] or "", found["digest"] or "", found["transport"])
    found = _REMOTE.fullmatch(uri)
    # A first part that is no host's name is part of a repository in a registry that is not said.
    if found is None or not (re.search(r"[.:\[]", found["registry"]) or found["registry"] == "localhost"):
        raise BadReference(uri)
    repository = found["repository"]
    if found["registry"] == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(found["registry"], repository, found["tag"] or "", found["digest"] or "")
