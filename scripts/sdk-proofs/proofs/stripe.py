"""Stripe's official Python SDK against the simulator and the connector.

The SDK's API base is set to the simulator. It pays, captures, cancels, refunds, lists and searches; it
verifies the webhooks that the simulator signs; and what it signs, the connector verifies.
"""

import urllib.parse

import stripe
from stripe._encode import _api_encode

from harness import Proof, check, reference, run

NAME = "stripe"
RETURN_URL = "https://shop.invalid/back"
VISA = "4242424242424242"
SECURE = "4000000000003220"


def refused(kind, act):
    """The SDK's exception of that kind."""
    try:
        act()
    except kind as error:
        return error
    return None


def prove(proof: Proof):
    account = proof.accounts[NAME]
    secret = account["webhook_secret"]

    def client_of(key):
        return stripe.StripeClient(
            key, base_addresses={"api": proof.places[NAME]}, max_network_retries=0
        )

    client = client_of(account["secret_key"])
    intents, refunds = client.v1.payment_intents, client.v1.refunds
    proof.faults(NAME, pending_end="never", webhooks="all")

    def card(number):
        return {
            "type": "card",
            "card": {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"},
        }

    def wanted(ours, number=VISA, **more):
        """A charge in one call, as Stripe's guides make it."""
        return {
            "amount": 10_050,
            "currency": "usd",
            "confirm": True,
            "payment_method_data": card(number),
            "return_url": RETURN_URL,
            "metadata": {"tollgate_reference": ours},
            **more,
        }

    def enquire(ours, **more):
        fields = {"reference": ours, "amount": "100.50", "currency": "USD", **more}
        return proof.run(NAME, "enquire_charge", **fields)

    def charge(ours, **more):
        fields = {"reference": ours, "amount": "100.50", "currency": "USD", "card": VISA,
                  "return_url": RETURN_URL, **more}
        return proof.run(NAME, "charge", **fields)

    # The SDK pays at the simulator; the connector finds it by the reference.
    ours = reference()
    paid = intents.create(wanted(ours), {"idempotency_key": ours})
    check("the SDK makes and confirms a payment intent", (paid.status, paid.amount_received) == ("succeeded", 10_050), paid)
    seen = enquire(ours)
    check("the connector finds it by the reference alone",
          (seen["outcome"], seen["amount_minor"], seen["processor_payment_id"]) == ("captured", 10_050, paid.id), seen)
    again = intents.create(wanted(ours), {"idempotency_key": ours})
    check("the same idempotency key gives the SDK the same intent", again.id == paid.id)
    check("… and says that it is a replay", again.last_response.headers.get("idempotent-replayed") == "true")
    error = refused(stripe.IdempotencyError, lambda: intents.create(wanted(ours, amount=1), {"idempotency_key": ours}))
    check("the SDK reads a key used for something else as an idempotency error", error is not None)
    found = intents.search({"query": "metadata['tollgate_reference']:'%s'" % ours})
    check("the SDK's search finds it", [intent.id for intent in found.data] == [paid.id])

    # Refusals.
    ours = reference()
    error = refused(stripe.CardError, lambda: intents.create(wanted(ours, "4000000000009995")))
    check("the SDK raises a card error", error is not None and error.http_status == 402)
    check("… with the issuer's reason", (error.code, error.error.decline_code) == ("card_declined", "insufficient_funds"))
    check("… and the payment intent", error.error.payment_intent.status == "requires_payment_method")
    seen = enquire(ours)
    check("the connector reads the same", (seen["outcome"], seen["code"], seen["processor_code"])
          == ("declined", "insufficient_funds", "insufficient_funds"), seen)
    error = refused(stripe.AuthenticationError, lambda: client_of("sk_test_other").v1.payment_intents.retrieve(paid.id))
    check("a wrong key is refused", error is not None)
    error = refused(stripe.InvalidRequestError, lambda: intents.create({"amount": 500, "currency": "isk", "confirm": False}))
    check("500 is an amount of Icelandic krónur", error is None)
    error = refused(stripe.InvalidRequestError, lambda: intents.create({"amount": 550, "currency": "isk"}))
    check("550 is not: the last two digits are zero", error is not None)
    error = refused(stripe.RateLimitError, lambda: intents.create(wanted(reference(), "4000000000006975")))
    check("the SDK reads 429 as a rate limit", error is not None)

    # The customer's bank, and the lender's page.
    for what, data, currency, decision, status, outcome in [
        ("3-D Secure", card(SECURE), "usd", "approve", "succeeded", "captured"),
        ("3-D Secure refused", card(SECURE), "usd", "reject", "requires_payment_method", "declined"),
        ("Klarna", {"type": "klarna", "billing_details": {"email": "asha@example.com"}}, "usd", "approve", "succeeded", "captured"),
    ]:
        ours = reference()
        intent = intents.create(wanted(ours, payment_method_data=data, currency=currency))
        check("%s: the SDK is told where the customer goes" % what,
              (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url"))
        action = {"type": "redirect", "url": intent.next_action.redirect_to_url.url}
        _, query, _ = proof.browse(action, decision, RETURN_URL)
        back = dict(urllib.parse.parse_qsl(query))
        check("%s: the browser brings back the intent" % what,
              (back["payment_intent"], back["payment_intent_client_secret"]) == (intent.id, intent.client_secret), back)
        answer = proof.callback(NAME, ours, query=query)
        check("%s: which the connector takes as a reason to ask" % what, answer == {"ok": True, "outcome": "ask"})
        check("%s: the SDK and the connector see the same end" % what,
              (intents.retrieve(intent.id).status, enquire(ours)["outcome"]) == (status, outcome))

    # Capture, cancellation and refunds by the SDK; the connector sees them.
    ours, returned = reference(), reference()
    held = intents.create(wanted(ours, capture_method="manual"))
    check("the SDK authorizes", (held.status, held.amount_capturable) == ("requires_capture", 10_050))
    check("the connector sees it", enquire(ours)["outcome"] == "authorized")
    taken = intents.capture(held.id, {"amount_to_capture": 4_000})
    check("the SDK captures a part", (taken.status, taken.amount_received) == ("succeeded", 4_000))
    check("the connector sees the part", enquire(ours)["amount_minor"] == 4_000)
    metadata = {"tollgate_reference": returned}
    back = refunds.create({"payment_intent": held.id, "amount": 1_500, "metadata": metadata}, {"idempotency_key": returned})
    check("the SDK refunds", (back.status, back.amount) == ("succeeded", 1_500))
    seen = proof.run(NAME, "enquire_refund", reference=returned, charge_reference=ours, amount="15.00",
                     charge_amount="100.50", currency="USD")
    check("the connector finds the refund by its reference",
          (seen["outcome"], seen["processor_refund_id"], seen["amount_minor"]) == ("refunded", back.id, 1_500), seen)
    error = refused(stripe.InvalidRequestError, lambda: refunds.create({"payment_intent": held.id, "amount": 2_501}))
    check("too large a refund is refused", error is not None)
    ours = reference()
    held = intents.create(wanted(ours, capture_method="manual"))
    check("the SDK cancels", intents.cancel(held.id).status == "canceled")
    check("the connector sees it", enquire(ours)["outcome"] == "voided")
    error = refused(stripe.InvalidRequestError, lambda: intents.capture(held.id))
    check("what is cancelled cannot be captured", error is not None and error.code == "payment_intent_unexpected_state")

    # The connector pays; the SDK sees it.
    ours, returned = reference(), reference()
    mine = charge(ours, capture="manual", email="asha@example.com")
    seen = intents.retrieve(mine["processor_payment_id"])
    check("the SDK sees what the connector authorized",
          (seen.status, seen.metadata["tollgate_reference"], seen.amount) == ("requires_capture", ours, 10_050))
    follow = {"charge_reference": ours, "charge_amount": "100.50", "currency": "USD",
              "processor_payment_id": mine["processor_payment_id"]}
    proof.run(NAME, "capture", reference=reference(), amount="60.00", **follow)
    check("… captured", intents.retrieve(mine["processor_payment_id"]).amount_received == 6_000)
    mine_back = proof.run(NAME, "refund", reference=returned, amount="60.00", **follow)
    listed = refunds.list({"payment_intent": mine["processor_payment_id"]}).data
    check("… and refunded", [(it.id, it.amount, it.metadata["tollgate_reference"]) for it in listed]
          == [(mine_back["processor_refund_id"], 6_000, returned)])

    # The connector's first exchange is what the SDK would have written.
    request = proof.start(NAME, "charge", reference=ours, amount="100.50", currency="USD", card=VISA, return_url=RETURN_URL)
    fields = {"amount": 10_050, "currency": "usd", "automatic_payment_methods": {"enabled": True},
              "metadata": {"tollgate_reference": ours}}
    encoded = {name: str(value) for name, value in _api_encode(fields)}
    check("the connector's form is the SDK's", dict(urllib.parse.parse_qsl(request["body"])) == encoded, request["body"])
    bearer = "Bearer " + account["secret_key"]
    check("… with the same authorization", request["headers"]["authorization"] == bearer)
    check("the card is not in the first exchange", VISA not in request["body"])

    # Webhooks of the simulator, read by the SDK and by the connector.
    kinds = set()
    for headers, body in proof.webhooks(NAME, 20):
        event = stripe.Webhook.construct_event(body, headers["stripe-signature"], secret)
        kinds.add(event.type)
        answer = proof.webhook(NAME, headers, body)
        same = answer["ok"] and answer["dedupe_key"] == event.id
        ours = event.data.object.metadata.to_dict().get("tollgate_reference") if answer["reference"] else None
        if not same or answer["reference"] != ours:
            check("the SDK and the connector read the same in %s" % event.type, False, answer)
        changed = body.replace("10050", "10051") if "10050" in body else body + " "
        forged = refused(stripe.SignatureVerificationError,
                         lambda: stripe.Webhook.construct_event(changed, headers["stripe-signature"], secret))
        if forged is None or proof.webhook(NAME, headers, changed) != {"ok": False, "error": "signature"}:
            check("a changed %s is refused" % event.type, False)
    check("the SDK verifies the simulator's webhooks: %s" % ", ".join(sorted(kinds)),
          {"payment_intent.succeeded", "payment_intent.payment_failed", "refund.created"} <= kinds, kinds)
    check("the connector reads the same in them", True)
    check("changed ones are refused by both", True)

    # Signatures that the SDK makes.
    headers, body = next(it for it in proof.webhooks(NAME, 20) if '"payment_intent.succeeded"' in it[1])
    sign = stripe.WebhookSignature.generate_signature_header
    compute = stripe.WebhookSignature._compute_signature
    answer = proof.webhook(NAME, {"stripe-signature": sign(body, secret)}, body)
    check("the connector verifies the SDK's signature", answer["ok"] and answer["outcome"] == "captured", answer)
    good, other = (compute("1700000000." + body, key) for key in (secret, "whsec_rolled"))
    rolled = "t=1700000000,v1=%s,v1=%s" % (other, good)
    check("… beside that of another secret", proof.webhook(NAME, {"stripe-signature": rolled}, body)["ok"])
    for what, header in [
        ("of another secret", sign(body, "whsec_other")),
        ("of another time", "t=1700000001,v1=%s" % good),
        ("of another scheme", "t=1700000000,v0=%s" % good),
    ]:
        answer = proof.webhook(NAME, {"stripe-signature": header}, body)
        check("a signature %s is refused" % what, answer == {"ok": False, "error": "signature"}, answer)


run(prove)
