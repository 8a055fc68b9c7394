"""What Schemathesis cannot know about this API."""

import hmac
import itertools
import json
import re

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

# Of the simulated account that `tollgate dev` configures; it opens nothing else.
WEBHOOK_SECRET = b"simulated-webhook-secret"

KEYS = itertools.count(1)
PAYMENTS = itertools.count(1)

# What a customer pays with decides what the simulated processor does: `instrument.rs` of `tollgate-sim`.
INSTRUMENTS = [
    {"type": "upi", "upi": {"vpa": f"{name}@upi"}}
    for name in (
        "success", "declined", "pending", "pending-rejected", "timeout-after", "drop-before", "ratelimited",
        "error500", "error503", "garbage",
    )
] + [
    {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2099, "cvc": "123"}}
    for number in ("4111111111111111", "4000000000000002", "4000000000003220", "4000000000001976")
]

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
    # plans are for sandbox partners too: there is no test instrument for them
    "details_required",
    # depends on the partner's category and the customer's phone
    "upi_collect_discontinued",
    # depend on what was put into the vault before
    "card_token_unknown",
    # a check digit again, in any text
    "card_number_in_text",
    # Indian accounts store network tokens alone
    "card_storage_forbidden",
    # depends on other payments
    "mandate_unusable",
    "no_mandate",
    "not_supported",
    # depends on the partner's fraud policy and the customer's passkeys
    "confirmation_required",
    # are signatures, of challenges that were given out before
    "passkey_invalid",
    "confirmation_invalid",
    "confirmation_expired",
    "processor_refused",
    # depends on earlier requests
    "idempotency_key_reused",
    # the schema leaves a webhook's message to its processor
    "webhook_malformed",
    # depend on the key that asks, and on those that there are
    "forbidden",
    "too_many_api_keys",
    "api_key_ended",
    # depends on the vault, and on the person's payments
    "no_vault_key",
    "subject_busy",
    # depend on the credentials that are there
    "another_account",
    "account_unclear",
    # depends on who changed it before
    "version_changed",
}

# The same for rules that have no code of their own: the field and what is said of it.
BEYOND_THE_SCHEMA_AT = {
    ("/merchant_id", "must be your own account's id"),
    # three spellings of one thing that must agree
    ("/customer_id", "names another user than an earlier field"),
    ("/customer/id", "names another user than an earlier field"),
    # depends on what was registered before, or is a signature
    ("/user_id", "has no passkey"),
    ("/confirmation", "must be a credential as `PublicKeyCredential.toJSON` writes it"),
    ("/credential", "must be a credential as `PublicKeyCredential.toJSON` writes it"),
    # depends on the day
    # plans are in one currency, from an amount that depends on the bank
    ("/amount", "the bank's smallest amount is 3000.00 INR"),
    ("/currency", "instalments are in INR alone"),
    ("/currency", "the lender does not lend in this currency"),
    ("/consent/given_at", "must be an RFC 3339 moment that is not in the future"),
    # a debit on a mandate has no other fields
    ("/payment_method/upi/mandate", "stands alone"),
    ("/payment_method/upi/mandate", "must be the id of the payment that set it up"),
    # of the method, and of the amount
    ("/mandate", "belongs to payments by upi or qr"),
    ("/mandate/max_amount", "must be at least the payment's amount"),
    # depend on earlier requests
    ("/user_id", "has as many cards as a customer may have"),
    ("/user_id", "has as many passkeys as a user may have"),
    ("/payment_method/card/network_token", "is required: a network token needs a new cryptogram each time"),
    ("/mandate/ends_at", "must be an RFC 3339 moment within the next thirty years"),
    # parameters that need or exclude one another
    ("currency", "is required with an amount"),
    ("from", "must not be after to"),
    ("from", "must be at most 366 days before to"),
    ("amount_min", "the amount is too large"),
    ("amount_max", "the amount is too large"),
    ("amount_min", "the amount has more decimal digits than the currency allows"),
    ("amount_max", "the amount has more decimal digits than the currency allows"),
    # made by the API alone: the pattern tells its shape, not which ones were given out
    ("cursor", "is not a cursor of this list"),
    ("after", "is not a cursor of this list"),
    ("before", "must be a job's id"),
    ("/before", "must be a payment's id"),
    ("/before", "must be a payment's id or a checkout session's"),
    ("If-Match", "must be one version in quotes"),
    ("from", "must be before to, by 366 days at most"),
    # the credentials that a processor's accounts have depend on the processor, the mode on the key
    ("/mode", "is not the key's"),
    # texts that are more than a pattern can say
    ("/contact_email", "must be an email address"),
    ("/contact_email", "is required for a contact"),
    ("/display_name", "has control characters"),
    ("/contact_name", "has control characters"),
    ("/display_name", "is longer than 512 bytes"),
    ("/contact_name", "is longer than 512 bytes"),
    ("/display_name", "shows a card number"),
    ("/contact_name", "shows a card number"),
    # a person needs one name at least, and not one of blanks
    (None, "names nobody"),
    ("/user_id", "must have 1 to 255 characters"),
    ("/email", "must have 1 to 255 characters"),
    ("/phone", "must have 1 to 255 characters"),
    ("/vpa", "must have 1 to 255 characters"),
    ("/device_id", "must have 1 to 255 characters"),
    # a URL is more than a pattern can say
    ("/url", "must be an absolute URL"),
    ("/url", "must have a host"),
    ("/url", "must have its host in its usual form"),
    ("/url", "must have no user name or password"),
    ("/url", "must have no fragment"),
    ("/url", "must have a port that can be connected to"),
    ("/url", "must be an address of the public internet"),
    # depends on the day
    ("/expires_at", "must be an RFC 3339 moment in the future"),
    ("/from", "must be within the last 30 days"),
    ("/to", "must be after `from`"),
    ("/from", "must be an RFC 3339 date and time such as 2026-01-31T12:00:00Z"),
    ("/to", "must be an RFC 3339 date and time such as 2026-01-31T12:00:00Z"),
    # addresses belong to no account
    ("/address_per_minute", "is everybody's: addresses belong to no account"),
    # goes where the mandate is: there is nothing to preview
    ("/payment_method/upi/mandate", "a debit has no choice: it goes where its mandate is"),
}


# Fields whose values depend on one another: which plans a bank or lender has for this amount, and lists
# without repetition.
# A fraud policy's rules and lists have a language of their own, and one threshold bounds the other. A routing
# policy names the partner's processors, and of its weights one at least is above zero.
BEYOND_THE_SCHEMA_IN = (
    "/payment_method/emi/", "/payment_method/bnpl/", "/payment_methods/", "/rules/", "/lists/", "/thresholds",
    "/maintenance/", "/weights", "/policy/rules/", "/policy/maintenance/", "/policy/weights",
    # Each once; networks and fingerprints are more than a pattern can say.
    "/permissions/", "/networks/", "/certificates_sha256/",
    # Which there are depends on the processor.
    "/credentials",
)


ENDS_A_KEY = ("/api/v1/api_keys/{id}/rotate", "/api/v1/api_keys/{id}/revoke")
BATCH = "/api/v1/payments/batch"
# Each payment has a key of its own, from its member or from the request's header.
BATCH_KEY = re.compile(r"^/payments/[0-9]+/idempotency_key$")


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
        if str(said.get("field")).startswith(BEYOND_THE_SCHEMA_IN):
            return False
        if case.path == BATCH and (BATCH_KEY.match(str(said.get("field"))) or response.status_code == 413):
            return False
        return said.get("code") not in BEYOND_THE_SCHEMA and place not in BEYOND_THE_SCHEMA_AT
    # What is wrong with one payment of a batch is said in its own result.
    if case.path == BATCH and response.status_code == 200 and "schema-violating" in failure.title.lower():
        return False
    # Headers that nobody knows are no fault of a request.
    return "in header - object with unexpected properties" not in failure.message


def reach_a_processor(body):
    """Makes three of four valid payments ones that some processor takes, with a test instrument."""
    number = next(PAYMENTS)
    if number % 4 == 0:
        return body
    # What the schema cannot say of these: it must be our own account, and one customer.
    kept = {name: body[name] for name in body if name not in ("merchant_id", "customer_id", "customer")}
    instrument = INSTRUMENTS[number % len(INSTRUMENTS)]
    return kept | {"amount": "100.00", "currency": "INR", "payment_method": instrument}


# Members that make a drawn policy one that declines nobody and leaves no processor out: payments would all
# end there.
LENIENT = {
    "/api/v1/fraud/policy": {"thresholds": {"step_up_above": 1, "block_above": 1}, "rules": [], "lists": {}},
    "/api/v1/routing/policy": {"residency": [], "rules": [], "maintenance": []},
}


def sign(request):
    """Signs a message as the simulated Razorpay does, so that it is read and not only turned away."""
    body = request.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    request.headers["X-Razorpay-Signature"] = hmac.new(WEBHOOK_SECRET, body, "sha256").hexdigest()
    return request


def fresh_key(key):
    """Makes an idempotency key one of its own, but for each eighth.

    Schemathesis sends the same few keys with ever other bodies: nearly all would be turned away as
    reused, and their bodies not be looked at.
    """
    number = next(KEYS)
    right = isinstance(key, str) and re.fullmatch("[!-~]{1,240}", key)
    return f"{key}-{number}" if right and number % 8 else key


@schemathesis.hook
def before_call(context, case, kwargs):
    is_payment = case.method == "POST" and case.path == "/api/v1/payments"
    # The coverage phase varies one field at a time: it is left to it.
    drawn = case.meta and case.meta.generation.mode.is_positive and case.meta.phase.name.value != "coverage"
    if is_payment and drawn and isinstance(case.body, dict):
        # A new object: Schemathesis makes further cases out of this one.
        case.body = reach_a_processor(case.body)
    if drawn and case.method == "PUT" and case.path in LENIENT and isinstance(case.body, dict):
        case.body = case.body | LENIENT[case.path]
    if case.method == "PUT" and case.path == "/api/v1/api_version" and isinstance(case.body, dict):
        # All calls share an account, and the document describes the newest version alone.
        versions = case.operation.schema.raw_schema["components"]["schemas"]["ApiVersionName"]["enum"]
        if case.body.get("version") in versions:
            case.body = case.body | {"version": versions[-1]}
    if case.path in ENDS_A_KEY:
        # Not its own: everything after would be refused.
        case.path_parameters["id"] = "key_0000000000000000000001"
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = fresh_key(case.headers["Idempotency-Key"])
    if case.path_parameters and case.path_parameters.get("processor") == "razorpay":
        kwargs["auth"] = sign


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
