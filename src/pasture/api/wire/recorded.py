"""Where AWS's validator is known to differ from what its model says. Data only.

Source of every entry: answers recorded from AWS (see `docs/differences.md` for what is left over).
"""

# (service, operation, member) -> constraints that AWS checks later, in other words or with another error.
LEFT_TO_THE_OPERATION: dict[tuple[str, str, str], frozenset[str]] = {
    # InvalidParameterValueException "Value x at 'runtime' … or be a valid ARN", and other words for retired ones.
    ("lambda", "CreateFunction", "Runtime"): frozenset({"enum"}),
    ("lambda", "UpdateFunctionConfiguration", "Runtime"): frozenset({"enum"}),
}

# Lists of these may hold null: their words lack "Member must not be null".
NULLABLE_ELEMENTS = frozenset({"SubnetId", "SecurityGroupId"})

# The order in which AWS lists an enum's values, where it is not the model's.
ENUM_ORDER: dict[str, tuple[str, ...]] = {
    "RecursiveLoop": ("Terminate", "Allow"),
    "InvokeMode": ("RESPONSE_STREAM", "BUFFERED"),
    "EventSourcePosition": ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"),
    "Runtime": (
        "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x",
        "java25", "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9",
        "java17", "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
    ),
}  # fmt: skip

# Lists that AWS judges in the words of a single value.
ENUM_LISTS = frozenset({"CompatibleRuntimes"})
