"""May it run now? What is reserved for a function is its own and its limit; the others share what is left. Pure.

Source: "Understanding Lambda function scaling" and "Configuring reserved concurrency" in the developer guide.
"""

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
ACCOUNT = "ConcurrentInvocationLimitExceeded"


def refusal(*, running: int, reserved: int | None, unreserved_running: int, unreserved: int) -> str | None:
    """AWS's reason why one more may not run, None when it may.

    `running` counts this function's; `unreserved_running` those of all functions without a reservation, and
    `unreserved` is what the account has left for those.
    """
    if reserved is not None:
        return RESERVED if running >= reserved else None
    return ACCOUNT if unreserved_running >= unreserved else None
