"""Composes what is beside Pasture: the neighbours, the services that it brings along, and the way to both."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pasture.api.auth.authenticator import Authenticates, OpenDoor
from pasture.api.auth.authorisation import Authorizer
from pasture.api.gateway import Gateway
from pasture.api.inside import Insides
from pasture.api.passing.passing import Passing
from pasture.api.passing.rights import PassingRights
from pasture.domain.scope import Scope
from pasture.functions.s3 import S3
from pasture.functions.s3_neighbour import NeighbourS3
from pasture.functions.sources import Fetches
from pasture.http.message import Request, Response
from pasture.iam.neighbour_rights import NeighbourRights
from pasture.iam.roles import Roles
from pasture.iam.sessions import Sessions
from pasture.kit.clock import Clock
from pasture.neighbours.client import Neighbours
from pasture.neighbours.connections import Connections
from pasture.neighbours.directory import Directory
from pasture.neighbours.embedded.keeper import EmbeddedServices
from pasture.runtime_api.outward import Outward
from pasture.settings import Settings

_SOCKET = "aws.sock"


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    settings: Settings
    neighbours: Neighbours
    """The `Caller` of destinations and event sources."""
    embedded: EmbeddedServices | None
    insides: Insides

    async def ready(self) -> None:
        """Once the embedded services serve. Raises OperatorError when they cannot."""
        if self.embedded is not None:
            await self.embedded.ready()

    def outward(self, scope: Scope) -> Outward | None:
        """What functions of this account and region find at AWS_ENDPOINT_URL."""
        return self.insides.of(scope) if self.settings.aws_endpoint else None

    def passing(self, authorizer: Authorizer, roles: Roles, clock: Clock) -> Passing:
        rights = NeighbourRights(roles, clock, open_door=not self.settings.auth)
        return Passing(self.neighbours, PassingRights(authorizer, rights))

    def let_out(self, gateway: Gateway, authenticator: Authenticates, sessions: Sessions) -> None:
        """Let functions' calls in. With the door open to everybody they still are of the function's own account."""

        async def answer(scope: Scope, request: Request) -> Response:
            if self.settings.auth:
                return await gateway.signed(authenticator, request)
            return await gateway.signed(OpenDoor(scope, sessions, names_accounts=False), request)

        self.insides.open(answer)

    def code_in_s3(self) -> Fetches:
        """Where code is read from: what `s3_endpoint` names, or else the neighbour that serves S3."""
        settings = self.settings
        most = settings.limits.code_unzipped_bytes
        if settings.s3_endpoint or not self.neighbours.directory.has("s3"):
            return S3(settings.s3_options, most)
        return NeighbourS3(self.neighbours, most)


async def open_neighbourhood(stack: AsyncExitStack, settings: Settings, run_directory: Path) -> Neighbourhood:
    """The embedded services start meanwhile."""
    embedded = None
    if settings.with_aws:
        embedded = EmbeddedServices(run_directory / _SOCKET)
        stack.push_async_callback(embedded.close)
        embedded.start()
    directory = Directory(settings.neighbours, embedded.path if embedded is not None else None)
    neighbours = Neighbours(directory, Connections())
    stack.push_async_callback(neighbours.close)
    return Neighbourhood(settings, neighbours, embedded, Insides())
