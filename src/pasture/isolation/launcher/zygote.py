"""A launcher that has loaded what every runtime of its kind loads: here a runtime is a fork, not an exec.

The script of a zygote (`python_bootstrap`) calls `serve` when it finds the variable. In the launcher and in the
first process of each box `serve` never returns. It returns in each runtime, to the very place in the script where an
executed one would be, with everything as it is there: arguments, variables, signals, streams, what `/proc/self` says.
What cannot be so, because an interpreter reads it once when it starts, makes it an exec.
"""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH208

import ctypes
import gc
import os
import site
import sys
import time
from types import ModuleType

from . import main, programs, protocol, setup, signals, syscalls, zygote_root
from .boxes import Boxes
from .process_title import Title
from .protocol import ProgramRequest
from .setup import ZygoteRequest
from .template import Template

_PACKAGE = __name__.partition(".")[0]
# Read once, when an interpreter, the C library or its allocator starts: with other values only an exec will do.
_READ_AT_START = ("PYTHON", "LC_", "LD_", "MALLOC_")
_READ_AT_START_TOO = frozenset(
    {"GLIBC_TUNABLES", "HOME", "LANG", "LANGUAGE", "LOCPATH", "OPENSSL_CONF", "OPENSSL_MODULES"}
)
# Where a function may bring modules of its own, in place of those that are loaded.
_FUNCTIONS_OWN = ("/var/task", "/opt/python", "/opt/python/lib/python{}.{}/site-packages")


def serve(text: str) -> None:
    """`text`: an encoded `Setup`. Returns in each runtime."""
    told = setup.decode(text)
    zygote_root.settle_streams()
    template = Template(told.directory, (), setup.HOST)
    template.system, template.links = told.system, told.links
    assert told.zygote is not None
    zygote = Zygote(told.zygote)
    signals.reset()
    boxes = Boxes(protocol.channel(told.channel), template, told, rootless=told.rootless)
    request = main.launch(boxes, zygote)
    if request is None:
        os._exit(0)
    zygote.become(request)


class Zygote(programs.Loaded):
    def __init__(self, told: ZygoteRequest) -> None:
        self._command = told.command
        self._at_start = _at_start(told.environment)
        # Python's own: LC_CTYPE, where the locale is not on this machine (PEP 538).
        self._added = {name: value for name, value in os.environ.items() if name not in told.environment}
        self._names = {name.partition(".")[0] for name in sys.modules}
        self._own = [module.__name__ for module in _own_modules()]
        _leave_traces_out()
        self._title = Title()
        # Of the zygote and of the first processes of its boxes, for whoever looks at the host's processes.
        self._title.show(["pasture zygote: " + told.command[0]], {})

    def serves(self, request: ProgramRequest) -> bool:
        return request.command[:-1] == self._command

    def can_be(self, request: ProgramRequest) -> bool:
        return (
            self.serves(request)
            and _at_start(request.environment) == self._at_start
            and self._names.isdisjoint(_brought())
        )

    def become(self, request: ProgramRequest) -> None:
        self._title.show(request.command, request.environment)
        for name in self._own:
            del sys.modules[name]
        sys.argv[:] = request.command[1:]
        sys.orig_argv[:] = request.command
        os.environ.clear()
        os.environ.update({**self._added, **request.environment})
        time.tzset()
        signals.set_as_python_does()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        _users_site()
        gc.enable()


def _at_start(environment: "dict[str, str]") -> "dict[str, str]":
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_START) or name in _READ_AT_START_TOO
    }


def _brought() -> "set[str]":
    """Names of the modules that are found before those that are loaded."""
    found: set[str] = set()
    for place in _FUNCTIONS_OWN:
        try:
            names = os.listdir(place.format(*sys.version_info))
        except OSError:  # it is not there
            continue
        found.update(name.partition(".")[0] for name in names)
    return found


def _leave_traces_out() -> None:
    """Of this package, as far as others come upon it. Its modules are never freed: that would take a program 0.5 ms."""
    for path in [path for path in sys.path_importer_cache if path.startswith(setup.HOST)]:
        del sys.path_importer_cache[path]
    for module in _own_modules():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(module))


def _own_modules() -> "list[ModuleType]":
    return [module for name, module in sys.modules.items() if name.partition(".")[0] == _PACKAGE]


def _users_site() -> None:
    """It is called after the user, who is another here."""
    site.USER_BASE = site.USER_SITE = None
    site.getusersitepackages()
