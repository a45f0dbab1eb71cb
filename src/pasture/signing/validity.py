"""How long signatures are good for: `135m`, as AWS Signer's days, months and years. Pure."""

import calendar
import re
from datetime import UTC, datetime, timedelta

from pasture.kit.errors import OperatorError

DEFAULT = "135m"
"""AWS's default, which is also the most."""

_MOST = {"d": 4_108, "m": 135, "y": 11}
_FORM = re.compile(r"([1-9]\d{0,4})([dmy])", re.ASCII)


def check(validity: str) -> None:
    """Raises OperatorError."""
    form = _FORM.fullmatch(validity)
    if form is None:
        raise OperatorError(
            f"'{validity}' is no validity period.", "It is a number of days, months or years: 90d, 12m or 2y."
        )
    if int(form[1]) > _MOST[form[2]]:
        raise OperatorError(f"A validity period of {validity} is too long.", "At most it is 135 months.")


def expiry(validity: str, signed: float) -> int:
    """When a signature expires that is made at `signed`; both in seconds since the epoch."""
    number, unit = int(validity[:-1]), validity[-1]
    start = datetime.fromtimestamp(int(signed), UTC)
    if unit == "d":
        return int((start + timedelta(days=number)).timestamp())
    months = start.month - 1 + number * (12 if unit == "y" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())
