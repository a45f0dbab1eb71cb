"""What goes wrong with a store, in words for the operator."""

from pasture.kit.errors import OperatorError


class StoreFailed(OperatorError):
    """The store could not do what was asked. Nothing of it was done; what was acknowledged before stands."""


class StoreBusy(StoreFailed):
    """Another process holds the file."""


class StoreFull(StoreFailed):
    """There is no room for the write. The store works on: it takes writes again as soon as there is room."""
