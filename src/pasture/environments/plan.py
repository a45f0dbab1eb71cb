"""What of a function version goes into its sandbox: mounts, limits, variables. Pure.

Source of names and values: "Defined runtime environment variables" of the Lambda
developer guide, and values recorded inside real environments (aws-lambda reference 2.3, 2.4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pasture.domain.function import FunctionVersion
from pasture.domain.limits import MIB, Limits
from pasture.environments.image import ImageProgram
from pasture.isolation.spec import Mount, SandboxError, SandboxSpec
from pasture.logs.platform import ON_DEMAND
from pasture.runtimes.spec import Emulator, InstalledRuntime

TASK_ROOT = "/var/task"
RUNTIME_DIR = "/var/runtime"
OPT = "/opt"
EXTENSIONS = "/opt/extensions"
TELEMETRY_FD = 3
EMULATOR_FD = 4

# 1,769 MB of memory come with one processor (developer guide, "Configure Lambda function memory").
_MB_PER_CPU = 1_769
# What an init may use, however small the function: AWS lets them start faster than their share would.
_INIT_CPUS = 2.0

_RUNTIMES_OWN = frozenset(
    {
        "_HANDLER",
        "_LAMBDA_TELEMETRY_LOG_FD",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
_RUNTIMES_PREFIXES = ("AWS_XRAY_", "_AWS_XRAY_")

# The words and exit codes of the bootstraps in AWS's own base images.
_WRAPPED = """\
wrapper="$AWS_LAMBDA_EXEC_WRAPPER"
[ -f "$wrapper" ] || { echo "$wrapper: does not exist" >&2; exit 127; }
[ -x "$wrapper" ] || { echo "$wrapper: is not an executable" >&2; exit 126; }
exec "$wrapper" "$@"
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is needed to make an environment and start its runtime."""

    version: FunctionVersion
    runtime: InstalledRuntime
    sandbox: SandboxSpec
    log_stream: str
    extensions: tuple[str, ...] = ()
    """Names of the files in /opt/extensions: external extensions, started before the runtime."""
    cpus: float = 1.0
    """Its share of the processors once it is initialised."""
    credentials: Mapping[str, str] = field(default_factory=dict)
    """The variables with the execution role's temporary credentials."""
    metadata_token: str = ""
    initialization: str = ON_DEMAND
    """Why it is initialised when it is: as AWS_LAMBDA_INITIALIZATION_TYPE and the log tell it."""
    entrypoint: str = ""
    """Of a runtime that the function brings: which of `runtime.entrypoints` there is."""
    image: ImageProgram | None = None
    """Of a function that is a container image: it has everything, and nothing of `runtime`."""
    emulator: Emulator | None = None
    emulated: frozenset[str] = frozenset()
    """The programs, by their paths inside, that `emulator` runs."""
    aws_endpoint: bool = False
    """Whether calls of AWS are answered where the Runtime API is, and the programs are told so."""


def make_plan(
    environment: str,
    version: FunctionVersion,
    runtime: InstalledRuntime,
    tree: Path,
    log_stream: str,
    limits: Limits,
    opt: Path | None = None,
    extensions: tuple[str, ...] = (),
    *,
    proportional_cpu: bool = True,
    network: bool = False,
    zygote: bool = False,
    credentials: Mapping[str, str] | None = None,
    metadata_token: str = "",
    initialization: str = ON_DEMAND,
    entrypoint: str = "",
    image: ImageProgram | None = None,
    emulator: Emulator | None = None,
    emulated: frozenset[str] = frozenset(),
    aws_endpoint: bool = False,
) -> Plan:
    """`opt` is the tree of the version's layers, `extensions` what is in its folder of that name.

    With `zygote` the runtime is forked from one that is loaded, where it can be.
    """
    layers = (Mount(opt, OPT),) if opt is not None else ()
    sandbox = SandboxSpec(
        id=environment,
        mounts=(Mount(tree, TASK_ROOT), *layers, *runtime.mounts) if image is None else (),
        root=image.root if image is not None else None,
        memory_bytes=version.memory_mb * MIB,
        tmp_bytes=version.ephemeral_mb * MIB,
        cpus=max(_INIT_CPUS, version.memory_mb / _MB_PER_CPU),
        network=network,
        zygote=runtime.zygote if zygote and emulator is None else None,
        open_files=limits.open_files,
        processes=limits.processes,
    )
    share = version.memory_mb / _MB_PER_CPU
    cpus = share if proportional_cpu else sandbox.cpus
    return Plan(
        version,
        runtime,
        sandbox,
        log_stream,
        extensions,
        cpus,
        credentials or {},
        metadata_token,
        initialization,
        entrypoint,
        image,
        emulator,
        emulated,
        aws_endpoint,
    )


def variables(plan: Plan, api_address: str, path: Callable[[str], str]) -> dict[str, str]:
    """The runtime's environment. `path` says where an inside path is, for the kinds that mount nothing.

    The runtime's defaults come first, the user's over them, what is reserved over both.
    """
    if plan.image is not None:
        return _image_variables(plan, plan.image, api_address, path)
    defaults = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LD_LIBRARY_PATH": f"/lib64:/usr/lib64:{RUNTIME_DIR}:{RUNTIME_DIR}/lib:{TASK_ROOT}:{TASK_ROOT}/lib:/opt/lib",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        **plan.runtime.environment,
    }
    located = {name: _located(value, path) for name, value in defaults.items()}
    located |= _endpoint(plan, api_address)
    return {**located, **_users(plan.version.environment or {}), **_reserved(plan, api_address, path)}


def _endpoint(plan: Plan, api_address: str) -> dict[str, str]:
    """Every SDK takes this address for each service of AWS, unless a function says otherwise."""
    return {"AWS_ENDPOINT_URL": f"http://{api_address}"} if plan.aws_endpoint else {}


def _image_variables(plan: Plan, image: ImageProgram, api_address: str, path: Callable[[str], str]) -> dict[str, str]:
    """An image says itself what a runtime's defaults would; where it says nothing, AWS's paths stand."""
    reserved = _reserved(plan, api_address, path)
    defaults = {name: reserved.pop(name) for name in ("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR")}
    del reserved["_HANDLER"]
    own = {"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", **defaults, **_endpoint(plan, api_address), **image.environment}
    return {**own, **_users(plan.version.environment or {}), **reserved}


def extension_variables(plan: Plan, api_address: str, path: Callable[[str], str]) -> dict[str, str]:
    """What external extensions see: not what is the runtime's alone (aws-lambda reference 2.4)."""
    return {
        name: value
        for name, value in variables(plan, api_address, path).items()
        if name not in _RUNTIMES_OWN and not name.startswith(_RUNTIMES_PREFIXES)
    }


def command(plan: Plan, path: Callable[[str], str]) -> tuple[str, ...]:
    """With AWS_LAMBDA_EXEC_WRAPPER set, the wrapper gets the command as its arguments, as AWS's bootstraps do it.

    Raises SandboxError, with RAPID's words, when the function was to bring its runtime and has not.
    """
    if plan.image is not None:
        if bad := plan.image.bad_directory:
            raise SandboxError(bad)
        if not plan.image.command:
            raise SandboxError("the image has neither an ENTRYPOINT nor a CMD")
        return plan.image.command
    if searched := plan.runtime.entrypoints:
        if not plan.entrypoint:
            raise SandboxError(f"Couldn't find valid bootstrap(s): [{' '.join(searched)}]")
        return (*emulation(plan, plan.entrypoint), path(plan.entrypoint))
    program, *rest = (_located(word, path) for word in plan.runtime.command)
    memory = plan.version.memory_mb
    words: tuple[str, ...] = (
        *emulation(plan, plan.runtime.command[0]),
        program,
        *(text.format(int(memory * share)) for text, share in plan.runtime.memory_arguments),
        *rest,
    )
    if plan.runtime.handler_argument:
        words = (*words, plan.version.handler)
    if "AWS_LAMBDA_EXEC_WRAPPER" in (plan.version.environment or {}):
        return ("/bin/sh", "-c", _WRAPPED, "bootstrap", *words)
    return words


def emulation(plan: Plan, program: str) -> tuple[str, ...]:
    """What stands before a program, by its path inside, on the command line that starts it."""
    if plan.emulator is None or program not in plan.emulated:
        return ()
    return (f"/proc/self/fd/{EMULATOR_FD}", *plan.emulator.arguments)


def directory(plan: Plan, path: Callable[[str], str]) -> str:
    """Where the runtime starts."""
    return plan.image.directory if plan.image is not None else path(TASK_ROOT)


def _users(environment: Mapping[str, str]) -> dict[str, str]:
    # RAPID drops the customer's names that begin with an underscore.
    return {name: value for name, value in environment.items() if not name.startswith("_")}


def _reserved(plan: Plan, api_address: str, path: Callable[[str], str]) -> dict[str, str]:
    version = plan.version
    reserved = {
        "_HANDLER": version.handler,
        "_LAMBDA_TELEMETRY_LOG_FD": str(TELEMETRY_FD),
        "AWS_REGION": version.scope.region,
        "AWS_DEFAULT_REGION": version.scope.region,
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": plan.initialization,
        "AWS_LAMBDA_LOG_GROUP_NAME": version.logging.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": plan.log_stream,
        "AWS_LAMBDA_RUNTIME_API": api_address,
        "LAMBDA_TASK_ROOT": path(TASK_ROOT),
        "LAMBDA_RUNTIME_DIR": path(RUNTIME_DIR),
        **plan.credentials,
    }
    if plan.metadata_token:
        reserved |= {"AWS_LAMBDA_METADATA_API": api_address, "AWS_LAMBDA_METADATA_TOKEN": plan.metadata_token}
    if (opt := path(OPT)) != OPT:
        reserved["LAMBDA_OPT_DIR"] = opt  # not AWS's: for the kinds that mount nothing
    if version.logging.format == "JSON":
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        if version.logging.application_level:
            reserved["AWS_LAMBDA_LOG_LEVEL"] = version.logging.application_level
    return reserved


def _located(value: str, path: Callable[[str], str]) -> str:
    """Each absolute path of a colon-separated value, where it is."""
    return ":".join(path(part) if part.startswith("/") else part for part in value.split(":"))
