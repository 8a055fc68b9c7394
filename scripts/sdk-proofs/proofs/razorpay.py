"""Razorpay's official Python SDK against the simulator and the connector.

The SDK takes its base URL as an argument: nothing of it is patched.
"""

import urllib.parse

import razorpay

from harness import Proof, check, reference, run


def refused(action, *arguments):
    """Whether the SDK refuses."""
    try:
        return not action(*arguments)
    except razorpay.errors.SignatureVerificationError:
        return True


def prove(proof: Proof):
    account = proof.accounts["razorpay"]
    client = razorpay.Client(
        auth=(account["key_id"], account["key_secret"]), base_url=proof.places["razorpay"]
    )
    verify = client.utility.verify_payment_signature
    proof.faults("razorpay", webhooks="all", pending_end="never")

    # The SDK against the simulator.
    ours = reference()
    order = client.order.create({"amount": 10_050, "currency": "INR", "receipt": ours})
    check("the SDK creates orders", order["status"] == "created" and order["receipt"] == ours, order)
    signed = client.payment.createPaymentJson(
        {
            "amount": 10_050,
            "currency": "INR",
            "order_id": order["id"],
            "email": "asha@example.com",
            "contact": "+919999999999",
            "method": "card",
            "card": {
                "number": "4111111111111111",
                "name": "Asha Rao",
                "expiry_month": "12",
                "expiry_year": "35",
                "cvv": "123",
            },
        }
    )
    check("the SDK pays, and verifies the simulator's signature", verify(signed))
    forged = {**signed, "razorpay_payment_id": "pay_forged0000000"}
    check("the SDK refuses a forged signature", refused(verify, forged))
    payment = client.payment.fetch(signed["razorpay_payment_id"])
    check("the SDK fetches the payment", payment["status"] == "captured", payment)
    listed = client.order.payments(order["id"])
    check("the SDK lists the order's payments", listed["items"][0]["id"] == payment["id"], listed)
    refund = client.payment.refund(payment["id"], {"amount": 50, "receipt": "refund-by-the-sdk"})
    check("the SDK refunds", refund["status"] == "processed" and refund["amount"] == 50, refund)
    again = client.payment.fetch_refund_id(payment["id"], refund["id"])
    check("the SDK fetches the refund", again["id"] == refund["id"], again)
    try:
        client.payment.refund(payment["id"], {"amount": 10_050})
        check("too large a refund is refused in the SDK's words", False)
    except razorpay.errors.BadRequestError:
        check("too large a refund is refused in the SDK's words", True)
    stranger = razorpay.Client(auth=("rzp_test_other", "secret"), base_url=proof.places["razorpay"])
    try:
        stranger.order.create({"amount": 100, "currency": "INR"})
        check("wrong keys are refused", False)
    except razorpay.errors.BadRequestError:
        check("wrong keys are refused", True)

    # The connector and the SDK on the same payments.
    enquired = proof.run("razorpay", "enquire_charge", reference=ours)
    check("the connector finds what the SDK paid", enquired["outcome"] == "captured", enquired)
    held = reference()
    charged = proof.run(
        "razorpay", "charge", reference=held, method="card", capture="manual", amount="250.00"
    )
    check("the connector authorizes", charged["outcome"] == "authorized", charged)
    captured = client.payment.capture(charged["processor_payment_id"], 25_000, {"currency": "INR"})
    check("the SDK captures what the connector authorized", captured["status"] == "captured", captured)
    enquired = proof.run("razorpay", "enquire_charge", reference=held, amount="250.00")
    check("the connector sees the capture", enquired["outcome"] == "captured", enquired)

    # The customer's browser.
    walleted = reference()
    started = proof.run(
        "razorpay",
        "charge",
        reference=walleted,
        method="wallet",
        provider="phonepe",
        return_url="https://shop.invalid/back",
    )
    check("a wallet leads to a page", started["action"]["type"] == "redirect", started)
    _, _, body = proof.browse(started["action"])
    fields = dict(urllib.parse.parse_qsl(body))
    check("the SDK verifies what the browser brings back", verify(fields), fields)
    said = proof.callback("razorpay", walleted, body=body)
    check("the connector takes it as a reason to ask", said == {"ok": True, "outcome": "ask"}, said)
    said = proof.callback("razorpay", walleted, body=body.replace("pay_Sim", "pay_Sin"))
    check("the connector refuses a forged one", said == {"ok": False, "error": "signature"}, said)
    enquired = proof.run("razorpay", "enquire_charge", reference=walleted)
    check("and the payment is captured", enquired["outcome"] == "captured", enquired)

    # Mandates.
    setup = reference()
    started = proof.run(
        "razorpay",
        "charge",
        reference=setup,
        method="upi_intent",
        amount="100.50",
        mandate={"max": "500.00", "frequency": "monthly", "ends_at_ms": 4_000_000_000_000},
    )
    check("a mandate's set-up waits for the customer", started["action"]["type"] == "upi", started)
    proof.http("POST", proof.places["razorpay"] + "/sim/approve/" + setup, "")
    paid = client.payment.fetch(started["processor_payment_id"])
    token = client.token.fetch(paid["customer_id"], paid["token_id"])
    check("the SDK sees the token", token["recurring_details"]["status"] == "confirmed", token)
    ordered = client.order.create({"amount": 5_000, "currency": "INR", "receipt": reference()})
    debit = client.payment.createRecurring(
        {
            "email": "asha@example.com",
            "contact": "+919999999999",
            "amount": 5_000,
            "currency": "INR",
            "order_id": ordered["id"],
            "customer_id": paid["customer_id"],
            "token": paid["token_id"],
            "recurring": True,
        }
    )
    check("the SDK debits the mandate", verify(debit), debit)
    ended = proof.run("razorpay", "revoke_mandate", reference=setup)
    check("the connector ends it", ended["outcome"] == "voided", ended)
    token = client.token.fetch(paid["customer_id"], paid["token_id"])
    check("the SDK sees its end", token["recurring_details"]["status"] == "cancelled", token)

    # Webhooks.
    for headers, body in proof.webhooks("razorpay", 3)[:3]:
        signature = headers["x-razorpay-signature"]
        holds = client.utility.verify_webhook_signature(body, signature, account["webhook_secret"])
        check("the SDK verifies a webhook of the simulator", holds)
        check("so does the connector", proof.webhook("razorpay", headers, body)["ok"])
        changed = body.replace('"currency":"INR"', '"currency":"USD"')
        refuses = refused(
            client.utility.verify_webhook_signature, changed, signature, account["webhook_secret"]
        )
        check("both refuse a changed one", refuses and not proof.webhook("razorpay", headers, changed)["ok"])


run(prove)
