"""What of a container image runs in an environment: its program, where, and with which variables. Pure.

Image settings (ENTRYPOINT, CMD, WORKDIR, ENV) come from the image, and ImageConfig overrides them one by one. USER is
ignored, as on AWS. Words: RAPID's (`rapidcore/standalone`, Go's os/exec).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pasture.images.manifest import ImageSettings
from pasture.runtimes.spec import InstalledRuntime

NO_RUNTIME = InstalledRuntime(identifier="", version="", location=Path("/"), mounts=(), command=())
"""An image brings its own."""


@dataclass(frozen=True, slots=True)
class ImageProgram:
    root: Path
    """The tree that is the root of the environment."""
    entry_point: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    directory: str = "/"
    has_directory: bool = True
    """Whether that directory is there."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.entry_point, *self.arguments)

    @property
    def bad_directory(self) -> str:
        """What is wrong with the working directory; empty when nothing is."""
        if not self.directory.startswith("/"):
            return f"the working directory '{self.directory}' is invalid, it needs to be an absolute path"
        return "" if self.has_directory else f"the working directory doesn't exist: {self.directory}"

    def launch_error(self, words: str) -> str:
        """The line of the log when its program cannot be started."""
        entry_point, arguments = ", ".join(self.entry_point), ", ".join(self.arguments)
        how = f"Entrypoint: [{entry_point}]\tCmd: [{arguments}]\tWorkingDir: [{self.directory}]"
        return f"IMAGE\tLaunch error: {words}\t{how}\n"


def image_program(root: Path, settings: ImageSettings, config: Mapping[str, Any], has_directory: bool) -> ImageProgram:
    """`config`: the function's ImageConfig."""
    return ImageProgram(
        root,
        tuple(config.get("EntryPoint") or settings.entry_point),
        tuple(config.get("Command") or settings.command),
        directory_of(settings, config),
        has_directory,
        dict(settings.environment),
    )


def directory_of(settings: ImageSettings, config: Mapping[str, Any]) -> str:
    """The root, where nobody has said another."""
    return config.get("WorkingDirectory") or settings.directory or "/"
