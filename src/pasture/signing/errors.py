"""What can be wrong with an archive that is to be signed, or that says it is."""


class Tampered(Exception):
    """The archive has a signature that does not fit it. The text says where, for whoever reads a traceback."""


class Unsignable(Exception):
    """An archive that cannot be signed, and why."""
