"""Everything that is set about a function beside its versions: the operations, a file for each kind."""

import uuid
from collections.abc import Callable

from pasture.api.code_signing_operations import CodeSigningOperations
from pasture.api.concurrency_operations import ConcurrencyOperations
from pasture.api.event_invoke_operations import EventInvokeOperations
from pasture.api.event_source_mapping_operations import EventSourceMappingOperations
from pasture.api.permissions_operations import PermissionsOperations
from pasture.api.provisioned_operations import Allocated, ProvisionedOperations, nothing_allocated
from pasture.api.recursion_operations import RecursionOperations
from pasture.api.runtime_management_operations import RuntimeManagementOperations
from pasture.api.tags_operations import TagsOperations
from pasture.api.urls_operations import UrlsOperations
from pasture.destinations.rights import Lacks, lacks_nothing
from pasture.functions.catalog import Catalog
from pasture.kit.clock import Clock


def settings_operations(
    catalog: Catalog,
    clock: Clock,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    allocated: Allocated = nothing_allocated,
    url_domain: Callable[[str], str] = lambda _base_url: "",
    lacks: Lacks = lacks_nothing,
) -> list[object]:
    return [
        TagsOperations(catalog),
        PermissionsOperations(catalog),
        ConcurrencyOperations(catalog),
        ProvisionedOperations(catalog, allocated),
        CodeSigningOperations(catalog),
        EventInvokeOperations(catalog, clock, lacks),
        RecursionOperations(catalog),
        RuntimeManagementOperations(catalog),
        UrlsOperations(catalog, clock, new_id, url_domain),
        EventSourceMappingOperations(catalog, clock, new_id),
    ]
