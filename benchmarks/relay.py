"""The least there can be between a client and AWS's runtime client: no API, no isolation, no logs, one environment.

One process on the same HTTP parser; a POST is handed to the runtime that waits at `next`, its response is the answer.
"""

import asyncio
import os
import sys
import uuid

from pasture.http.message import Request, Response
from pasture.http.server import HttpServer


class Relay:
    def __init__(self) -> None:
        self._poll: asyncio.Future[Response] | None = None
        self._event: Response | None = None
        self._answer: asyncio.Future[Response] | None = None

    def invoke(self, request: Request) -> asyncio.Future[Response]:
        self._answer = asyncio.get_running_loop().create_future()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
            "Lambda-Runtime-Deadline-Ms": "4102444800000",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:relay",
            "Content-Type": "application/json",
        }
        event = Response(200, headers, request.body)
        if self._poll is not None:
            self._poll.set_result(event)
            self._poll = None
        else:
            self._event = event
        return self._answer

    def runtime(self, request: Request) -> Response | asyncio.Future[Response]:
        if request.method == "GET":
            event, self._event = self._event, None
            if event is not None:
                return event
            self._poll = asyncio.get_running_loop().create_future()
            return self._poll
        self._answer.set_result(Response(200, {"Content-Type": "application/json"}, request.body))
        return Response(202, {}, b"{}")


async def main(runtime_dir: str, task_root: str) -> None:
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
    process = await asyncio.create_subprocess_exec(
        sys.executable, f"{runtime_dir}/bootstrap.py", "app.handler", env=environment, cwd=task_root
    )
    print(f"http://127.0.0.1:{port}", flush=True)
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))
