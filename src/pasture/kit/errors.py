"""Errors for operators: what could not be done, why, and what to do about it."""


class OperatorError(Exception):
    """Something the person who runs the server can mend. Its text is shown as it is, without a traceback."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint
