"""The first program of a Python environment: lays out `sys.path` as on AWS and hands over to the runtime client.

A copy of this file stands beside the runtime client at /var/runtime and runs under the function's own interpreter,
3.10 or newer, with nothing but the standard library. Where no mounts exist (process isolation), LAMBDA_TASK_ROOT,
LAMBDA_RUNTIME_DIR and LAMBDA_OPT_DIR say where things are.

It is the script of the zygote as well: there it loads the runtime client and waits, and goes on in every fork.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ZYGOTE = "_PASTURE_ZYGOTE"
# What the runtime client reads when it is loaded, not when it runs.
_READ_AT_LOADING = ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_RUNTIME_API")


def search_path(
    current: list[str],
    task_root: str,
    runtime_dir: str,
    version: str,
    opt_dir: str = "/opt",
    real: "Callable[[str], str]" = os.path.realpath,
) -> list[str]:
    """The function's code first, then layers, then the runtime client, then the standard library.

    So a package that the function brings (its own boto3, say) wins over the runtime's. What the host has
    installed for this interpreter is not part of the runtime and is left out.
    """
    ours = [task_root, f"{opt_dir}/python/lib/python{version}/site-packages", f"{opt_dir}/python", runtime_dir]
    known = {real(path) for path in ours}
    return ours + [
        path
        for path in current
        if real(path) not in known
        and path.rpartition("/")[2] not in {"site-packages", "dist-packages"}
        and "/.local/" not in path
    ]


def prepare() -> None:
    sys.path[:] = search_path(
        sys.path,
        task_root=os.environ.get("LAMBDA_TASK_ROOT", "/var/task"),
        runtime_dir=os.environ.get("LAMBDA_RUNTIME_DIR", __file__.rpartition("/")[0]),
        opt_dir=os.environ.get("LAMBDA_OPT_DIR", "/opt"),
        version=f"{sys.version_info.major}.{sys.version_info.minor}",
        # Where there are mounts they have one name each; asking for it took a cold start 0.3 ms.
        real=os.path.realpath if "LAMBDA_OPT_DIR" in os.environ else str,
    )


def wait_in_zygote() -> None:
    """Returns in each runtime that is forked from here, where all is as if it had been executed."""
    # What the runtime client imports when it runs, on newer versions of Python.
    import concurrent.futures.thread  # noqa: F401
    import json

    import awslambdaric.__main__  # type: ignore[import-not-found]  # only beside the runtime

    package, told = json.loads(os.environ.pop(_ZYGOTE))
    sys.path.insert(0, package)
    from launcher.zygote import serve  # type: ignore[import-not-found]  # of Pasture, on the host

    del sys.path[0]
    loaded_with = [os.environ.get(name) for name in _READ_AT_LOADING]
    serve(told)
    if [os.environ.get(name) for name in _READ_AT_LOADING] != loaded_with:
        for name in [name for name in sys.modules if name.partition(".")[0] == awslambdaric.__name__]:
            del sys.modules[name]


def main() -> None:
    if _ZYGOTE in os.environ:
        wait_in_zygote()
    prepare()
    handler = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("_HANDLER", "")
    from awslambdaric.__main__ import main as serve

    serve([sys.argv[0], handler])


if __name__ == "__main__":
    main()
