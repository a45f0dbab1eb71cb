"""What a server is made of before anything is invoked or answered. Whoever opened a part takes it down."""

from dataclasses import dataclass
from pathlib import Path

from pasture.app.neighbourhood import Neighbourhood
from pasture.domain.scope import Scope
from pasture.environments.pool import Pool
from pasture.functions import code_signing
from pasture.functions.catalog import Catalog
from pasture.functions.provisioned_allocation import ProvisionedAllocation
from pasture.functions.sources import Sources
from pasture.iam.roles import Roles
from pasture.iam.sessions import Sessions
from pasture.isolation.spec import Isolation
from pasture.kit.clock import Clock
from pasture.logs.service import LogService
from pasture.metrics.names import Place
from pasture.metrics.service import Metrics
from pasture.runtimes.registry import Runtimes
from pasture.settings import Settings
from pasture.store.blobs import Blobs
from pasture.store.documents import Documents


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    clock: Clock
    data: Path
    """The data directory."""
    documents: Documents
    blobs: Blobs
    catalog: Catalog
    sources: Sources
    """Of functions' code."""
    runtimes: Runtimes
    roles: Roles
    sessions: Sessions
    logs: LogService
    metrics: Metrics
    isolation: Isolation
    pool: Pool
    provisioned: ProvisionedAllocation
    neighbourhood: Neighbourhood

    def signature_failed(self, scope: Scope, subject: str) -> None:
        """`subject` is the name of a function, or its ARN."""
        name = subject.split(":")[6] if subject.startswith("arn:") else subject
        place = Place(scope.account, scope.region, name)
        self.metrics.recorder.observe(code_signing.METRIC, place, 1)
