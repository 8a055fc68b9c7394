"""What Schemathesis cannot know about this API."""

import json

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

# Rules that no JSON Schema can say, by code. Any other refusal of a request that keeps the schema
# is a failure: then the schema promises what the API does not do.
BEYOND_THE_SCHEMA = {
    # depends on the currency
    "amount_too_many_digits",
    "amount_too_large",
    # depends on the payment
    "amount_above_capturable",
    "amount_above_refundable",
    "capture_failed",
    "cancel_failed",
    # check digit and today's date
    "card_invalid",
    # depends on the partner's processors
    "no_processor",
    "not_supported",
    # depends on earlier requests
    "idempotency_key_reused",
}

# The same for rules that have no code of their own: the field and what is said of it.
BEYOND_THE_SCHEMA_AT = {
    ("/merchant_id", "must be your own account's id"),
    # three spellings of one thing that must agree
    ("/customer_id", "names another user than an earlier field"),
    ("/customer/id", "names another user than an earlier field"),
    # parameters that need or exclude one another
    ("currency", "is required with an amount"),
    ("offset", "cannot be joined with currency; use cursor"),
    ("from", "must not be after to"),
    ("from", "must be at most 366 days before to"),
    # made by the API alone: the pattern tells its shape, not which ones were given out
    ("cursor", "is not a cursor of this list"),
}


def problem(response):
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if isinstance(failure, RejectedPositiveData):
        said = problem(response)
        place = (said.get("field"), said.get("detail"))
        return said.get("code") not in BEYOND_THE_SCHEMA and place not in BEYOND_THE_SCHEMA_AT
    return True


@schemathesis.check
def refusals_are_problems(ctx, response, case):
    """Every refusal is RFC 9457 problem+json, also where no operation documents it (405, unknown paths)."""
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    media = response.headers.get("content-type", [""])[0]
    body = problem(response)
    wrong = []
    if media != "application/problem+json":
        wrong.append(f"its media type is {media!r}")
    if body.get("status") != response.status_code:
        wrong.append("its body has not the same status")
    if not all(isinstance(body.get(name), str) for name in ("type", "title", "code")):
        wrong.append("its body lacks type, title or code")
    if wrong:
        raise Failure(
            operation=case.operation.label,
            title="Refusal that is no problem+json",
            message=f"{response.status_code} to {response.request.method}: {'; '.join(wrong)}",
        )
