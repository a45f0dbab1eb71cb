"""Deliveries that have failed, for people: the statements work within the transaction of whoever calls them."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import sqlite3

from pasture.store.events import COUNTED, Whose
from pasture.store.outbox import Troubled, Troubles

_STEP = 1_000

_OF = "FROM deliveries WHERE owner = ?1 AND attempts > 0 AND failed"
_SHOWN = (
    "id, json_extract(record, '$.channel'), json_extract(record, '$.target'), json_extract(record, '$.qualifier'),"
    " json_extract(record, '$.condition'), json_extract(record, '$.created'), due, failed, attempts,"
    " length(body), error"
)


def owner(whose: Whose) -> str:
    """As it is written with a delivery."""
    return f"{whose.scope.account}/{whose.scope.region}/{whose.name}"


def troubles(c: sqlite3.Connection, whose: Whose, limit: int) -> Troubles:
    of = owner(whose)
    (waiting,) = c.execute(f"SELECT count(*) FROM (SELECT 1 {_OF} IS NULL LIMIT ?2)", (of, COUNTED)).fetchone()
    (failed,) = c.execute(f"SELECT count(*) {_OF} IS NOT NULL", (of,)).fetchone()
    rows = c.execute(f"SELECT {_SHOWN} {_OF} IS NOT NULL ORDER BY failed DESC LIMIT ?2", (of, limit)).fetchall()
    rows += c.execute(f"SELECT {_SHOWN} {_OF} IS NULL ORDER BY due LIMIT ?2", (of, limit - len(rows)))
    return Troubles(waiting, failed, [Troubled(*row) for row in rows])


def deliver_again(c: sqlite3.Connection, whose: Whose, now: float, id_: str) -> int:
    """A step."""
    rows = _given_up(c, whose, id_)
    for seq, arn in rows:
        (target,) = c.execute(
            "INSERT INTO targets (arn, waiting) VALUES (?, 1)"
            " ON CONFLICT DO UPDATE SET waiting = waiting + 1 RETURNING id",
            (arn,),
        ).fetchone()
        c.execute(
            "UPDATE deliveries SET failed = NULL, attempts = 0, error = '', due = ?1, target = ?2,"
            " record = json_set(record, '$.redriven', ?1) WHERE seq = ?3",
            (now, target, seq),
        )
    _fewer(c, len(rows))
    return len(rows)


def forget(c: sqlite3.Connection, whose: Whose, id_: str) -> int:
    """A step."""
    rows = _given_up(c, whose, id_)
    c.executemany("DELETE FROM deliveries WHERE seq = ?", [(seq,) for seq, _ in rows])
    _fewer(c, len(rows))
    return len(rows)


def _given_up(c: sqlite3.Connection, whose: Whose, id_: str) -> list[tuple[int, str]]:
    """Rows and targets, in the order in which they were given up."""
    return c.execute(
        f"SELECT seq, json_extract(record, '$.target') {_OF} IS NOT NULL AND ?2 IN ('', id) ORDER BY failed LIMIT ?3",
        (owner(whose), id_, _STEP),
    ).fetchall()


def _fewer(c: sqlite3.Connection, count: int) -> None:
    c.execute("UPDATE totals SET failed_deliveries = failed_deliveries - ?", (count,))
