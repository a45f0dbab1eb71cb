"""Every limit of the service in one table. Source: the Lambda quotas page (October 2026) and recorded errors."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    concurrent_executions: int = 1_000
    minimum_unreserved_concurrency: int = 100
    requests_per_concurrency: float = 10.0
    """Requests a second, for each execution at once that may be."""
    scaling_burst: int = 1_000
    """Environments that a function may get at once, and again in every `scaling_seconds`."""
    scaling_seconds: float = 10.0
    tenant_environments_per_concurrency: float = 2.5
    code_storage_bytes: int = 300 * 1024 * MIB
    code_unzipped_bytes: int = 262_144_000
    code_zipped_bytes: int = 52_428_800
    image_bytes: int = 10 * 1024 * MIB
    """Of a container image, unpacked."""
    image_manifest_bytes: int = 25_400
    create_request_bytes: int = 70_167_211
    environment_bytes: int = 4 * 1024
    memory_mb_min: int = 128
    memory_mb_max: int = 10_240
    timeout_seconds_max: int = 900
    ephemeral_mb_min: int = 512
    ephemeral_mb_max: int = 10_240
    layers: int = 5
    # RAPID: 6 MiB + 100 bytes, both ways.
    payload_bytes: int = 6_291_556
    async_payload_bytes: int = MIB
    invoke_async_payload_bytes: int = 262_144
    header_bytes: int = MIB
    client_context_bytes: int = 3_583
    init_seconds: float = 10.0
    restore_seconds: float = 10.0
    open_files: int = 1_024
    processes: int = 1_024
    log_tail_bytes: int = 4 * 1024
    page_functions: int = 50
