"""Method, path and query name an operation, however the client writes them."""

import pytest

from pasture.api.wire.routes import Routes
from pasture.api.wire.service import load_model
from pasture.http.message import Headers, Request

ROUTES = Routes(load_model("lambda"))


def operation(method: str, target: str) -> str | None:
    request = Request(method, target, Headers())
    match = ROUTES.find(method, request.raw_path, request.query)
    return match.operation if match else None


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("POST", "/2015-03-31/functions", "CreateFunction"),
        ("POST", "/2015-03-31/functions/", "CreateFunction"),
        ("GET", "/2015-03-31/functions/?MaxItems=1", "ListFunctions"),
        ("GET", "/2015-03-31/functions/f", "GetFunction"),
        ("GET", "/2015-03-31/functions/f/", "GetFunction"),
        ("GET", "/2015-03-31/functions/configuration", "GetFunction"),
        ("GET", "/2015-03-31/functions/f/configuration", "GetFunctionConfiguration"),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1", "GetProvisionedConcurrencyConfig"),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL", "ListProvisionedConcurrencyConfigs"),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency?Marker=a&List=ALL",
            "ListProvisionedConcurrencyConfigs",
        ),
        ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=a", "GetLayerVersionByArn"),
        ("GET", "/2018-10-31/layers?CompatibleRuntime=python3.12", "ListLayers"),
        ("PUT", "/2019-09-25/functions/f/event-invoke-config", "PutFunctionEventInvokeConfig"),
        ("POST", "/2019-09-25/functions/f/event-invoke-config", "UpdateFunctionEventInvokeConfig"),
        ("GET", "/2019-09-25/functions/f/event-invoke-config/list", "ListFunctionEventInvokeConfigs"),
        ("PATCH", "/2015-03-31/functions/f", None),
        ("GET", "/2015-03-31/functions//configuration", "GetFunction"),
        ("GET", "/2015-03-31/functions/.", "ListFunctions"),
        ("GET", "/2015-03-31/functions/f/../g/configuration", "GetFunctionConfiguration"),
        ("GET", "/../..", None),
        ("GET", "/2015-04-01/functions", None),
        ("GET", "/", None),
        ("GET", "", None),
    ],
)
def test_a_request_means_one_operation_or_none(method: str, target: str, name: str | None) -> None:
    assert operation(method, target) == name


@pytest.mark.parametrize(
    ("sent", "means"),
    [
        (
            "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af",
            "arn:aws:lambda:us-east-1:123456789012:function:f",
        ),
        ("arn:aws:lambda:us-east-1:123456789012:function:f", "arn:aws:lambda:us-east-1:123456789012:function:f"),
        ("f%2Fg", "f/g"),
        ("a+b", "a+b"),
        ("%E2%82%AC", "€"),
    ],
)
def test_a_label_is_decoded(sent: str, means: str) -> None:
    match = ROUTES.find("GET", f"/2015-03-31/functions/{sent}", [])
    assert match is not None
    assert match.labels == {"FunctionName": means}
