"""What an environment's log and its telemetry are told of its phases: init, restore, invocation."""

from collections.abc import Callable

from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import MIB
from pasture.environments.endings import Ending
from pasture.environments.journal import Journal
from pasture.environments.plan import Plan
from pasture.kit.clock import Clock
from pasture.logs import platform
from pasture.logs.report import Phase


class Account:
    """Mutable state: when the invocation that is served, or was last, began, and whether its runtime is done; and what
    the next REPORT has to show.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        clock: Clock,
        runtime_version_arn: str,
        on_report: Callable[[Invocation, Outcome, float], None],
    ) -> None:
        self._plan = plan
        self._version = plan.version
        self._journal = journal
        self._clock = clock
        self._runtime_version_arn = runtime_version_arn
        self._on_report = on_report
        self._began = clock.monotonic()
        self._runtime_is_done = False
        self._tracing: platform.Tracing | None = None
        self.init_ms: float | None = None
        """Of an init that nobody has been told of yet."""
        self._restore_ms: float | None = None
        """Likewise of a restore."""

    # Init and restore...

    def init_start(self, phase: Phase) -> None:
        """The log tells of the first init only; one that is repeated shows in what becomes of it."""
        version = self._version
        event = platform.InitStart(
            version.name,
            version.version,
            self._plan.runtime.family_version,
            self._runtime_version_arn,
            phase,
            self._plan.initialization,
            instance_max_memory=version.memory_mb * MIB,
        )
        (self._journal.platform if phase is Phase.INIT else self._journal.telemetry_only)(event)

    def restore_start(self) -> None:
        version = self._version
        self._journal.platform(
            platform.RestoreStart(
                version.name, version.version, self._plan.runtime.family_version, self._runtime_version_arn,
                instance_max_memory=version.memory_mb * MIB,
            )
        )  # fmt: skip

    def restored(self, failed: Ending | None, duration_ms: float) -> None:
        status, error_type = (failed.status, failed.error_type) if failed else (Status.SUCCESS, "")
        self._journal.platform(platform.RestoreRuntimeDone(status, error_type))
        self._journal.platform(platform.RestoreReport(status, duration_ms, error_type))
        if failed is None:
            self._restore_ms = duration_ms

    # An invocation...

    def begin(self, invocation: Invocation) -> None:
        """Its time counts from here on."""
        self._began = self._clock.monotonic()
        self._runtime_is_done = False
        self._tracing = platform.Tracing(invocation.trace_id) if invocation.trace_id else None

    def start(self, invocation: Invocation) -> None:
        self._journal.platform(platform.Start(invocation.request_id, self._version.version, self._tracing))

    def runtime_done(self, invocation: Invocation, ending: Ending) -> None:
        """Told once: an extension may bring the end after the runtime was done."""
        if self._runtime_is_done:
            return
        self._runtime_is_done = True
        if not self._journal.tells_all:
            return
        self._journal.platform(
            platform.RuntimeDone(
                invocation.request_id,
                ending.status,
                ending.error_type,
                produced_bytes=len(ending.outcome.payload),
                duration_ms=self._duration_ms,
                tracing=self._tracing,
            )
        )

    def conclude(self, invocation: Invocation, ending: Ending, peak_bytes: int) -> None:
        """The bad news if any, END and REPORT. A timeout's duration is the timeout: what the reset took is not the
        function's.
        """
        version = self._version
        duration_ms = version.timeout * 1000.0 if ending.status is Status.TIMEOUT else self._duration_ms
        init_ms, self.init_ms = self.init_ms, None
        restore_ms, self._restore_ms = self._restore_ms, None
        if ending.news:
            self._journal.platform(platform.Fault(ending.news))
        if ending.reset:
            self.runtime_done(invocation, ending)
        self._on_report(invocation, ending.outcome, duration_ms)
        self._journal.platform(platform.End(invocation.request_id))
        self._journal.platform(
            platform.Report(
                invocation.request_id,
                ending.status,
                duration_ms,
                version.memory_mb,
                min(-(-peak_bytes // MIB), version.memory_mb),
                ending.error_type,
                init_ms,
                restore_ms,
                tracing=self._tracing,
            )
        )

    @property
    def _duration_ms(self) -> float:
        return (self._clock.monotonic() - self._began) * 1000
