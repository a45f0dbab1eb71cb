"""The least there can be between clients and AWS's runtime client: no API, no isolation, no logs, no time-outs.

One process on the same HTTP parser; a POST is handed to a runtime that waits at `next`, its response is the answer.
Arguments: the directory of the runtime client, that of the code, and how many runtimes there are to be. Prints its
address, and ends with its standard input.
"""

import asyncio
import os
import sys
import uuid
from collections import deque

from pasture.http.message import Request, Response
from pasture.http.server import HttpServer

_PATH = "/2018-06-01/runtime/invocation/"


class Relay:
    """Mutable state: the runtimes that wait, the events that wait, and the answers that are owed."""

    def __init__(self) -> None:
        self._polls: deque[asyncio.Future[Response]] = deque()
        self._events: deque[Response] = deque()
        self._answers: dict[str, asyncio.Future[Response]] = {}

    def invoke(self, request: Request) -> asyncio.Future[Response]:
        id_ = str(uuid.uuid4())
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": id_,
            "Lambda-Runtime-Deadline-Ms": "4102444800000",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:relay",
            "Content-Type": "application/json",
        }
        event = Response(200, headers, request.body)
        if self._polls:
            self._polls.popleft().set_result(event)
        else:
            self._events.append(event)
        return answer

    def runtime(self, request: Request) -> Response | asyncio.Future[Response]:
        if request.method == "GET":
            if self._events:
                return self._events.popleft()
            poll = asyncio.get_running_loop().create_future()
            self._polls.append(poll)
            return poll
        id_ = request.target[len(_PATH) :].partition("/")[0]
        self._answers.pop(id_).set_result(Response(200, {"Content-Type": "application/json"}, request.body))
        return Response(202, {}, b"{}")


async def main(runtime_dir: str, task_root: str, runtimes: str) -> None:
    relay = Relay()
    front, back = HttpServer(relay.invoke), HttpServer(relay.runtime)
    _, port = await front.listen("127.0.0.1", 0)
    _, api = await back.listen("127.0.0.1", 0)
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api}",
        "LAMBDA_TASK_ROOT": task_root,
        "LAMBDA_RUNTIME_DIR": runtime_dir,
        "PYTHONPATH": runtime_dir,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
    }
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, f"{runtime_dir}/bootstrap.py", "app.handler", env=environment, cwd=task_root
        )
        for _ in range(int(runtimes))
    ]
    print(f"http://127.0.0.1:{port}", flush=True)
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        for process in processes:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))
