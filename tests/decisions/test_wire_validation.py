"""The generic validator's words, held against answers recorded from AWS."""

from typing import Any

import pytest
from botocore.model import ServiceModel

from pasture.api.wire.service import load_model
from pasture.api.wire.validation import Validator
from pasture.domain.errors import ValidationError

ROLE = "arn:aws:iam::123456789012:role/r"
FUNCTION: dict[str, Any] = {"FunctionName": "f", "Role": ROLE, "Code": {"ZipFile": b"PK"}}


def complaint(operation: str, request: dict[str, Any], model: ServiceModel | None = None) -> str:
    model = model or load_model("lambda")
    try:
        Validator(model.service_name, model.operation_model(operation)).validate(request)
    except ValidationError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("operation", "request_", "at", "words"),
    [
        (
            "PutProvisionedConcurrencyConfig",
            {"FunctionName": "f", "Qualifier": "1", "ProvisionedConcurrentExecutions": 0},
            "Value '0' at 'provisionedConcurrentExecutions'",
            "Member must have value greater than or equal to 1",
        ),
        (
            "CreateFunctionUrlConfig",
            {"FunctionName": "f", "AuthType": "NONE", "Qualifier": "$LATEST"},
            "Value '$LATEST' at 'qualifier'",
            r"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)",
        ),
        (
            "CreateFunctionUrlConfig",
            {"FunctionName": "f", "AuthType": "NONE", "InvokeMode": "UNKNOWN"},
            "Value 'UNKNOWN' at 'invokeMode'",
            "Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]",
        ),
        (
            "PutFunctionRecursionConfig",
            {"FunctionName": "f", "RecursiveLoop": "InvalidValue"},
            "Value 'InvalidValue' at 'recursiveLoop'",
            "Member must satisfy enum value set: [Terminate, Allow]",
        ),
        (
            "CreateAlias",
            {"FunctionName": "f", "Name": "2024", "FunctionVersion": "1"},
            "Value '2024' at 'name'",
            "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
        ),
        (
            "CreateFunction",
            {**FUNCTION, "VpcConfig": {"SubnetIds": ["x"]}},
            "Value '[x]' at 'vpcConfig.subnetIds'",
            (
                "Member must satisfy constraint: [Member must have length less than or equal to 1024, "
                "Member must have length greater than or equal to 0, "
                "Member must satisfy regular expression pattern: subnet-[0-9a-z]*]"
            ),
        ),
        (
            "CreateFunction",
            {**FUNCTION, "Architectures": ["X86_64"]},
            "Value '[X86_64]' at 'architectures'",
            (
                "Member must satisfy constraint: "
                "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
            ),
        ),
        (
            "CreateFunction",
            {**FUNCTION, "Architectures": ["x86_64", "arm64"]},
            "Value '[x86_64, arm64]' at 'architectures'",
            "Member must have length less than or equal to 1",
        ),
        (
            "CreateFunction",
            {**FUNCTION, "SnapStart": {"ApplyOn": "invalidOption"}},
            "Value 'invalidOption' at 'snapStart.applyOn'",
            "Member must satisfy enum value set: [PublishedVersions, None]",
        ),
        (
            "CreateFunction",
            {**FUNCTION, "Role": "r1"},
            "Value 'r1' at 'role'",
            (
                r"Member must satisfy regular expression pattern: "
                r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
            ),
        ),
        (
            "CreateFunction",
            {**FUNCTION, "FunctionName": "arn:aws:lambda:us-east-1:111111111111:function:" + "f" * 100},
            "Value 'arn:aws:lambda:us-east-1:111111111111:function:" + "f" * 100 + "' at 'functionName'",
            "Member must have length less than or equal to 140",
        ),
        (
            "CreateAlias",
            {
                "FunctionName": "f",
                "Name": "a",
                "FunctionVersion": "1",
                "RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.5}},
            },
            "Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights'",
            (
                "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
                "Member must have length greater than or equal to 1, "
                "Member must satisfy regular expression pattern: [0-9]+]"
            ),
        ),
        (
            "CreateAlias",
            {
                "FunctionName": "f",
                "Name": "a",
                "FunctionVersion": "1",
                "RoutingConfig": {"AdditionalVersionWeights": {"2": -1.0}},
            },
            "Value '{2=-1.0}' at 'routingConfig.additionalVersionWeights'",
            (
                "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
                "Member must have value greater than or equal to 0.0, Member must not be null]"
            ),
        ),
        (
            "UntagResource",
            {"Resource": "arn:aws:lambda:us-east-1:111111111111:function:f"},
            "Value null at 'tagKeys'",
            "Member must not be null",
        ),
    ],
)
def test_one_error_is_told_as_aws_tells_it(operation: str, request_: dict[str, Any], at: str, words: str) -> None:
    expected = f"1 validation error detected: {at} failed to satisfy constraint: {words}"
    assert complaint(operation, request_) == expected


def test_several_errors_are_told_in_one_message() -> None:
    assert complaint("PublishLayerVersion", {"LayerName": "l", "CompatibleArchitectures": ["invalidarch"]}) == (
        "2 validation errors detected: Value null at 'content' failed to satisfy constraint: Member must not be null; "
        "Value '[invalidarch]' at 'compatibleArchitectures' failed to satisfy constraint: Member must satisfy "
        "constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    )


def test_a_list_of_runtimes_is_judged_in_the_words_of_one() -> None:
    request = {"LayerName": "l", "Content": {"ZipFile": b"PK"}, "CompatibleRuntimes": ["invalid", "nodejs20.x"]}
    assert complaint("PublishLayerVersion", request).startswith(
        "1 validation error detected: Value '[invalid, nodejs20.x]' at 'compatibleRuntimes' failed to satisfy "
        "constraint: Member must satisfy enum value set: [nodejs20.x, python3.14, provided.al2023, python3.12, "
    )


def test_the_runtime_of_a_function_is_left_to_the_operation() -> None:
    assert not complaint("CreateFunction", {**FUNCTION, "Runtime": "non-existent-runtime"})
    assert not complaint("UpdateFunctionConfiguration", {"FunctionName": "f", "Runtime": "non-existent-runtime"})


def test_a_bare_name_over_64_is_left_to_the_operation() -> None:
    assert not complaint("GetFunction", {"FunctionName": "a" * 65})


def test_a_secret_value_is_not_shown() -> None:
    assert complaint("CreateFunction", {**FUNCTION, "Environment": {"Variables": {"1-secret": "x"}}}) == (
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must "
        "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
    )


def test_null_in_a_list_is_told_unless_aws_allows_it() -> None:
    assert "Value '[null]' at 'architectures'" in complaint("CreateFunction", {**FUNCTION, "Architectures": [None]})
    assert not complaint("CreateFunction", {**FUNCTION, "VpcConfig": {"SubnetIds": [None]}})


def test_a_structure_within_a_list_has_a_path_that_counts_from_one() -> None:
    request = {"FunctionName": "f", "FilterCriteria": {"Filters": [{"Pattern": "{}"}, {"Pattern": "x" * 4097}]}}
    assert complaint("CreateEventSourceMapping", request).endswith(
        "at 'filterCriteria.filters.2.member.pattern' failed to satisfy constraint: "
        "Member must have length less than or equal to 4096"
    )


def test_a_map_of_lists_nests_its_words() -> None:
    endpoints: dict[str, Any] = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": []}}
    assert "Value '{KAFKA_BOOTSTRAP_SERVERS=[]}' at 'selfManagedEventSource.endpoints'" in complaint(
        "CreateEventSourceMapping", {"FunctionName": "f", "SelfManagedEventSource": endpoints}
    )


def test_a_pattern_must_match_the_whole_value() -> None:
    assert "at 'functionName'" in complaint("GetFunction", {"FunctionName": "f\n"})
    assert "at 'functionName'" in complaint("GetFunction", {"FunctionName": "f!"})


def test_tags_may_be_in_any_script() -> None:
    resource = "arn:aws:lambda:us-east-1:111111111111:function:f"
    assert not complaint("TagResource", {"Resource": resource, "Tags": {"Größe": "大きい ½"}})
    assert "Map keys" in complaint("TagResource", {"Resource": resource, "Tags": {"a!": ""}})


def test_a_very_long_value_is_shown_in_part() -> None:
    assert len(complaint("GetFunction", {"FunctionName": "a" * 1_000_000})) < 5_000
