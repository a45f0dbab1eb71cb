"""What every store of one SQLite file of its own is: opened by its path, closed at the end."""

from pathlib import Path
from typing import ClassVar, Self

from pasture.store.database import Database
from pasture.store.opening import Schema


class FileStore:
    schema: ClassVar[Schema]

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Raises OperatorError when the file is damaged, not ours or newer than this program."""
        return cls(await Database.open(path, cls.schema))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.path})"

    async def close(self) -> None:
        await self._database.close()
