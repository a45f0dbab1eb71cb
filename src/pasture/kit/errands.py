"""Coroutines that go on at once, where a task of asyncio waits for the event loop's next round.

A round costs a call of the kernel and more time than most of what is done in it; a task takes one to begin, and one
for each thing it has waited for. An `Errand` begins where it is made, in its maker's stack, and goes on within the
`tell` of the `Notice` that it waits for. The first time that it waits for anything else it becomes a task, and stays
one: whatever can be awaited can be awaited here. Until then it has no `asyncio.current_task`, and so no
`asyncio.timeout`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Notice(asyncio.Future[T]):
    """A future with one listener who hears of its end at once. A task may await it as any future.

    Whoever tells must have put everything in order before: the listener goes on within `tell`.
    """

    _listener: Callable[[], object] | None = None

    def tell(self, value: T) -> None:
        """Nothing when it is told already, or when nobody wants to know any more."""
        if not self.done():
            self.set_result(value)
            self._heard()

    def fail(self, error: Exception) -> None:
        if not self.done():
            self.set_exception(error)
            self._heard()

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self._heard()
        return True

    def then(self, listener: Callable[[], object] | None) -> None:
        """Call the listener when it is told, instead of the one before; now if it has been."""
        if listener is not None and self.done():
            listener()
        else:
            self._listener = listener

    def _heard(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener()


class Errand:
    """`ended` is called with it and with its error, or None; perhaps before the constructor returns."""

    __slots__ = ("_ended", "_loop", "_name", "_task", "_waited", "_work", "has_ended")

    def __init__(
        self,
        work: Coroutine[Any, Any, object],
        name: str,
        ended: "Callable[[Errand, BaseException | None], object]",
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._work = work
        self._name = name
        self._ended = ended
        self._loop = loop
        self._waited: Notice[Any] | None = None
        self._task: asyncio.Task[object] | None = None
        self.has_ended = False
        self._go_on()

    def __repr__(self) -> str:
        return f"<Errand {self._name}{', ended' if self.has_ended else ''}>"

    @property
    def is_running(self) -> bool:
        """Whether it is at work at this moment: whoever asks stands in its stack."""
        return not self.has_ended and self._task is None and self._waited is None

    def as_task(self) -> "asyncio.Task[object]":
        """A task from now on: to wait for, or to cancel. Only for one that waits."""
        if self._task is None:
            if self._waited is None:
                raise RuntimeError(f"{self!r} does not wait")
            self._waited.then(None)
            self._become_task(self._waited)
        assert self._task is not None
        return self._task

    def _go_on(self) -> None:
        self._waited = None
        try:
            waited = self._work.send(None)
        except StopIteration:
            self._end(None)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (told to `ended`)
            self._end(error)
        else:
            if isinstance(waited, Notice):
                self._waited = waited
                waited.then(self._go_on)
            else:
                self._become_task(waited)

    def _become_task(self, waited: Any) -> None:
        self._waited = None
        self._task = self._loop.create_task(_Begun(self._work, waited), name=self._name)
        self._task.add_done_callback(self._task_ended)

    def _task_ended(self, task: "asyncio.Task[object]") -> None:
        self._end(asyncio.CancelledError() if task.cancelled() else task.exception())

    def _end(self, error: BaseException | None) -> None:
        self.has_ended = True
        self._ended(self, error)


class _Begun(Coroutine[Any, Any, object]):
    """The rest of a coroutine that has begun already, and waits: what it waits for is what it yields first."""

    def __init__(self, work: Coroutine[Any, Any, object], waited: Any) -> None:
        self._work = work
        self._waited = waited
        self._has_yielded = False

    def send(self, value: Any) -> Any:
        if self._has_yielded:
            return self._work.send(value)
        self._has_yielded = True
        return self._waited

    def throw(self, *error: Any) -> Any:
        self._has_yielded = True
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        raise TypeError("it is for a task alone")


__all__ = ["Errand", "Notice"]
