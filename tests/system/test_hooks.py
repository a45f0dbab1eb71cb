"""Functions that a store of objects calls by its webhook, as MinIO posts (RELEASE.2025: its notification format)."""

import http.client
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from system.node import Server, until

TOKEN = "a-token-of-the-operator"
SAYS = "import json\n\ndef handler(event, context):\n    print('got', json.dumps(event))\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("hooks")
    config = directory / "pasture.toml"
    config.write_text(f'[hooks]\nthumbnail = "{TOKEN}"\n"later:live" = "{TOKEN}-2"\n')
    server = Server(directory / "data", "--config", str(config)).start()
    server.deploy("thumbnail", SAYS)
    yield server
    assert server.stop() == 0


def posted(sequencer: str, key: str = "in%2Fa.jpg") -> dict[str, Any]:
    """As MinIO does."""
    bucket = {"name": "photos", "ownerIdentity": {"principalId": "minioadmin"}, "arn": "arn:aws:s3:::photos"}
    thing = {"key": key, "size": 7, "eTag": "b026324c6904b2a9cb4b88d6d61c81d1", "sequencer": sequencer}
    record = {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-11-01T10:00:00.000Z",
        "eventName": "s3:ObjectCreated:Put",
        "userIdentity": {"principalId": "minioadmin"},
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config", "bucket": bucket, "object": thing},
        "source": {"host": "127.0.0.1", "port": "", "userAgent": "MinIO (linux; amd64)"},
    }
    return {"EventName": "s3:ObjectCreated:Put", "Key": "photos/in/a.jpg", "Records": [record]}


def post(server: Server, function: str, body: object, authorization: str = f"Bearer {TOKEN}") -> tuple[int, str]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=60)
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    connection.request("POST", f"/_pasture/hooks/s3/{function}", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def got(server: Server) -> list[Any]:
    try:
        lines = server.log_lines("/aws/lambda/thumbnail")
    except server.logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(line.removeprefix("got ")) for line in lines if line.startswith("got ")]


def test_what_a_store_posts_reaches_the_function_once_as_an_event_of_s3(server: Server) -> None:
    assert post(server, "thumbnail", posted("17A0")) == (200, "{}")
    assert post(server, "thumbnail", posted("17A0"))[0] == 200  # again: it has lost the answer
    assert post(server, "thumbnail", posted("17A1"), TOKEN)[0] == 200
    until(lambda: len(got(server)) >= 2, seconds=60)
    records = sorted((event["Records"][0] for event in got(server)), key=lambda r: str(r["s3"]["object"]["sequencer"]))
    assert [record["s3"]["object"]["sequencer"] for record in records] == ["17A0", "17A1"]
    assert records[0] == {
        **posted("17A0")["Records"][0],
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
    }


def test_who_has_not_the_token_of_a_hook_calls_nothing(server: Server) -> None:
    for function, authorization in (("thumbnail", "Bearer wrong"), ("thumbnail", ""), ("another", f"Bearer {TOKEN}")):
        assert post(server, function, posted("17B0"), authorization)[0] == 403
    assert post(server, "later:live", posted("17B0"), f"Bearer {TOKEN}")[0] == 403


def test_what_is_no_event_of_a_bucket_is_refused_and_a_test_event_is_not_handed_on(server: Server) -> None:
    bodies: list[object] = [{}, [], {"Records": []}, {"Records": [{"eventName": "s3:ObjectCreated:Put"}]}]
    for body in bodies:
        assert post(server, "thumbnail", body)[0] == 400
    assert post(server, "thumbnail", {"Event": "s3:TestEvent", "Bucket": "photos"})[0] == 200


def test_a_function_that_is_not_there_leaves_the_event_with_the_store(server: Server) -> None:
    assert post(server, "later%3Alive", posted("17C0"), f"Bearer {TOKEN}-2")[0] == 404
