"""Every setting of the server, in one frozen dataclass; from a TOML file, with the command line over it."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from math import inf
from operator import attrgetter
from pathlib import Path
from typing import Any

from pasture.domain.limits import Limits
from pasture.functions.s3_options import AMAZON, S3Options
from pasture.images.options import ImageOptions
from pasture.isolation.network.options import DEFAULT_RANGE, NetworkOptions
from pasture.kit.errors import OperatorError
from pasture.neighbours.options import DEFAULT, NeighbourOptions
from pasture.sources.brokers.endpoints import Endpoints
from pasture.sources.push.hooks import Hooks
from pasture.sources.push.mqtt_options import Broker, MqttRule, read_rules

DEFAULT_PORT = 9600
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    tuple: "a list of texts",
    dict: "a table of texts",
}
_NOT_NEGATIVE = (
    "idle_seconds", "freeze_seconds", "age_seconds", "grace_seconds", "memory_mb", "queue_invocations", "queue_seconds",
    "image_retry_seconds", "package_cache_mb",
    "event_time_scale", "event_failed_kept", "event_failed_seconds",
)  # fmt: skip


def default_data_dir() -> Path:
    """`$PASTURE_DATA_DIR`, or `pasture` under the user's data directory."""
    if chosen := os.environ.get("PASTURE_DATA_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "pasture"


def default_runtimes_dir() -> Path:
    """Where runtimes' packages are kept: a cache that can be made anew, shared by all data directories of a user."""
    if chosen := os.environ.get("PASTURE_RUNTIMES_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pasture" / "runtimes"


def _default_memory_mb() -> int:
    """Three quarters of the machine's memory: the rest is the server's and the page cache's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(256, total * 3 // 4 // (1024 * 1024))


@dataclass(frozen=True, slots=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data_dir: Path = field(default_factory=default_data_dir)
    runtimes_dir: Path = field(default_factory=default_runtimes_dir)
    auth: bool = True
    isolation: str = "auto"
    """`auto`, or the name of a kind: `namespaces`, `process`."""
    network: str = "auto"
    """`nat`: functions reach the networks that this machine reaches; `none`; `auto`: `nat` where it can be had."""
    network_default: str = "nat"
    """Of functions that do not choose with the tag `pasture:network`: `nat` or `none`."""
    network_range: str = DEFAULT_RANGE
    """Addresses for functions' environments: a private range that this machine has no other use for."""
    network_deny: tuple[str, ...] = ()
    """Networks that no function may reach, besides loopback, link-local, multicast and reserved ones."""
    network_allow_host: bool = False
    """Whether functions may reach this machine's own addresses, other than its loopback."""
    network_resolvers: tuple[str, ...] = ()
    """Name servers for functions; this machine's own when there are none."""
    s3_endpoint: str = ""
    """Where code and layers in S3 are read from: a URL, or `aws` for Amazon's own; without it they are refused."""
    s3_region: str = ""
    """Requests to S3 are signed for this region; for that of the function when it is empty."""
    s3_profile: str = ""
    """Of AWS's configuration files: whose credentials read from S3. Without it, the usual ones of this process."""
    neighbours: NeighbourOptions = field(default_factory=NeighbourOptions)
    """The servers of services of AWS that functions, destinations and triggers talk to: the table `[neighbours]`."""
    with_aws: bool = False
    """Whether the services without a neighbour are served by moto, which this server starts beside itself."""
    aws_endpoint: bool = True
    """Whether functions without the tag `pasture:aws-endpoint` = `off` find this server at AWS_ENDPOINT_URL."""
    url_domain: str = ""
    """A domain all of whose names lead to this server: function URLs are shown under it. Without one they are paths."""
    registries: Mapping[str, str] = field(default_factory=dict)
    """Where registries of container images are, if not where their names say: name → URL, the table `[registries]`."""
    registry_credentials: str = ""
    """A file like docker's `config.json`, whose `auths` registries are asked with; without it, as nobody."""
    registry_certificates: str = ""
    """A file of certificate authorities, in PEM, that registries are believed by beside those of this system."""
    image_directories: tuple[str, ...] = ()
    """Below which images may be read from disk (`oci:/…`, `oci-archive:/…`); from nowhere when there are none."""
    image_retry_seconds: float = 60.0
    """So long a pull is tried again when a registry does not answer; then the function is Failed."""
    package_cache_mb: int = 10_240
    """What is unpacked of packages and images, beside what is in use. The longest unused goes, and is unpacked again
    when it is called.
    """
    event_sources: Mapping[str, str] = field(default_factory=dict)
    """Where brokers and clusters of event sources are, by ARN or name → endpoint: the table `[event_sources]`."""
    hooks: Mapping[str, str] = field(default_factory=dict)
    """Functions that stores such as MinIO may call by a webhook: name or ARN → token, the table `[hooks]`."""
    mqtt: str = ""
    """A broker whose messages functions get: `mqtt://USER:PASSWORD@HOST:PORT`, or `mqtts://` for TLS."""
    mqtt_rules: Mapping[str, str] = field(default_factory=dict)
    """Which messages, and what of them: function's name or ARN → SQL as of IoT rules, the table `[mqtt_rules]`."""
    memory_mb: int = field(default_factory=_default_memory_mb)
    """What all environments together may be promised."""
    proportional_cpu: bool = True
    """Whether a function gets processor time in proportion to its memory, as on AWS: 1,769 MB are one processor."""
    zygotes: bool = True
    """Whether environments are forked from an interpreter that is loaded; if not, each starts its own."""
    idle_seconds: float = 300.0
    """An environment that has served nothing for so long is stopped, or sooner where it is sure to wait in vain."""
    queue_invocations: int = 4_000
    """So many invocations may wait for room on this machine, of all functions; no function takes all the places."""
    queue_seconds: float = 30.0
    """An invocation that has found no room for so long is throttled."""
    freeze_seconds: float = 0.1
    """An environment that has rested so long gets no processor time until its next invocation."""
    age_seconds: float = 4 * 3600.0
    """An environment older than this serves no more, however busy it is."""
    grace_seconds: float = 10.0
    """How long running invocations may go on after the server was told to stop."""
    event_time_scale: float = 1.0
    """All waits and ages of asynchronous events times this: 0.01 makes a retry after a minute one after 0.6 s."""
    event_failed_kept: int = 10_000
    """So many events that were given up are kept to be shown and redriven, of all functions."""
    event_failed_seconds: float = 14 * 86_400.0
    """And for so long."""
    metrics_open: bool = False
    """Whether everyone who reaches the server may read `/metrics`, of all accounts, without a signature."""
    limits: Limits = field(default_factory=Limits)

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            # A name: who may reach it is for the resolver to say.
            return False

    @property
    def network_options(self) -> NetworkOptions:
        """Raises OperatorError."""
        try:
            return NetworkOptions(
                self.network, self.network_range, self.network_deny, self.network_allow_host, self.network_resolvers
            )
        except ValueError as error:
            raise OperatorError(f"the settings of the network cannot be: {error}") from error

    @property
    def s3_options(self) -> S3Options:
        return S3Options(self.s3_endpoint, self.s3_region, self.s3_profile)

    @property
    def image_options(self) -> ImageOptions:
        """Raises OperatorError."""
        try:
            return ImageOptions(
                self.registries,
                self.registry_credentials,
                self.image_directories,
                self.registry_certificates,
                self.image_retry_seconds,
            )
        except ValueError as error:
            raise OperatorError(f"the settings of container images cannot be: {error}.") from error

    @property
    def event_source_endpoints(self) -> Endpoints:
        """Raises OperatorError."""
        try:
            return Endpoints(self.event_sources)
        except ValueError as error:
            raise OperatorError(f"the settings of event sources cannot be: {error}.") from error

    @property
    def push_hooks(self) -> Hooks:
        """Raises OperatorError."""
        try:
            return Hooks(self.hooks)
        except ValueError as error:
            raise OperatorError(f"the settings of hooks cannot be: {error}.") from error

    @property
    def mqtt_options(self) -> tuple[Broker, tuple[MqttRule, ...]] | None:
        """None without a broker. Raises OperatorError."""
        try:
            rules = read_rules(self.mqtt_rules)
            return (Broker.read(self.mqtt), rules) if self.mqtt else None
        except ValueError as error:
            raise OperatorError(f"the settings of MQTT cannot be: {error}.") from error

    def checked(self) -> "Settings":
        """Raises OperatorError for what cannot be."""
        if not self.auth and not self.is_loopback:
            raise OperatorError(
                f"--no-auth is refused on {self.host}: anyone who reaches this address could run code here.",
                "Listen on 127.0.0.1, or leave --no-auth away and use the keys of `pasture keys`.",
            )
        for name in _NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < inf:
                raise OperatorError(f"{name} cannot be negative or without end.")
        for limit in fields(self.limits):
            if not 0 <= getattr(self.limits, limit.name) < inf:
                raise OperatorError(f"limits.{limit.name} cannot be negative or without end.")
        _check_not_zero(self)
        _ = self.network_options, self.image_options, self.event_source_endpoints, self.push_hooks, self.mqtt_options
        if self.network_default not in {"nat", "none"}:
            raise OperatorError(f"network_default is {self.network_default!r}; it must be nat or none.")
        if self.s3_endpoint not in {"", AMAZON} and not re.match(r"https?://[^/]", self.s3_endpoint):
            raise OperatorError(f"s3_endpoint is {self.s3_endpoint!r}; it must be a URL, or {AMAZON} for Amazon's own.")
        if not 0 <= self.port <= 65_535:
            raise OperatorError(f"{self.port} is no port: it must be between 0 and 65535.")
        return self


def _check_not_zero(settings: Settings) -> None:
    for name in ("limits.scaling_seconds", "event_time_scale"):
        if not attrgetter(name)(settings):
            raise OperatorError(f"{name} cannot be zero.")


def load(config: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Defaults, then the file, then `overrides` that are not None. Raises OperatorError."""
    values = _from_file(config) if config else {}
    values |= {name: value for name, value in overrides.items() if value is not None}
    limits = values.pop("limits", None)
    values["neighbours"] = _neighbours(values)
    settings = replace(Settings(), **values)
    return (replace(settings, limits=limits) if limits else settings).checked()


def _neighbours(values: dict[str, Any]) -> NeighbourOptions:
    """The table of the file, and over it `neighbour`: endpoints, or endpoints of services (`sqs=http://…`)."""
    table = dict(values.get("neighbours", {}))
    for text in values.pop("neighbour", ()):
        name, is_named, endpoint = text.partition("=")
        table |= {name: endpoint} if is_named and "/" not in name else {DEFAULT: text}
    try:
        return NeighbourOptions.read(table, embedded=values.get("with_aws", False))
    except ValueError as error:
        raise OperatorError(f"{error}.") from error


def _from_file(config: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(config.read_text())
    except OSError as error:
        raise OperatorError(f"cannot read the configuration file {config}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"the configuration file {config} is not TOML: {error}.") from error
    neighbours = table.pop("neighbours", {})
    if not isinstance(neighbours, dict):
        raise OperatorError(f"{config} sets neighbours to {neighbours!r}, which is not a table of services.")
    limits = table.pop("limits", {})
    if not isinstance(limits, dict):
        raise OperatorError(f"{config} sets limits to {limits!r}, which is not a table of limits.")
    values = _typed(Settings, table, config, "") | ({"neighbours": neighbours} if neighbours else {})
    if limits:
        values["limits"] = replace(Limits(), **_typed(Limits, limits, config, "limits."))
    return values


def _typed(kind: type, table: Mapping[str, Any], config: Path, prefix: str) -> dict[str, Any]:
    """The table's values with the types that the dataclass's defaults have."""
    example = kind()
    known = {f.name for f in fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise OperatorError(
                f"{config} sets {prefix}{name}, which is no setting.", f"Known are: {', '.join(sorted(known))}."
            )
        wanted = Path if isinstance(getattr(example, name), Path) else type(getattr(example, name))
        if isinstance(value, str) and wanted is Path:
            values[name] = Path(value).expanduser()
        elif wanted is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
            values[name] = tuple(value)
        elif isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
            values[name] = value
        elif wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values[name] = float(value)
        else:
            raise OperatorError(f"{config} sets {prefix}{name} to {value!r}, which is not {_KINDS[wanted]}.")
    return values
