"""Example Bank, the processor of `examples/custom-processor.toml`: there is no SDK of a fictitious bank.

So this is a client of its own, written from the documentation at the head of that file alone, with
Python's `hmac` and `hashlib`. It pays, enquires, captures, refunds and checks signatures at the
simulator; it verifies what the connector signs, and signs what the connector must verify.
"""

import hashlib
import hmac
import json
import urllib.parse

from harness import Proof, check, reference, run

NAME = "examplebank"
RETURN_URL = "https://shop.invalid/back"


def digest(key, message):
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


class Client:
    """Example Bank's API as its documentation describes it."""

    def __init__(self, proof, api_key, signing_key, webhook_key):
        self.proof, self.place = proof, proof.places[NAME]
        self.api_key, self.signing_key, self.webhook_key = api_key, signing_key, webhook_key

    def call(self, method, path, fields=None, signing_key=None):
        body = json.dumps(fields) if fields is not None else ""
        key = signing_key or self.signing_key
        headers = {
            "content-type": "application/json",
            "x-api-key": self.api_key,
            "x-signature": digest(key, "\n".join((method, path, body))),
        }
        sent = body if fields is not None else None
        status, _, text = self.proof.http(method, self.place + path, sent, headers)
        return status, json.loads(text)

    def pay(self, ours, method, **fields):
        order = {"reference": ours, "amount": 10050, "currency": "INR", "method": method, "capture": "AUTO"}
        return self.call("POST", "/v1/payments", {**order, **fields})

    def payment(self, ours):
        return self.call("GET", "/v1/payments/" + ours)

    def is_signed(self, request):
        """Whether a request that the connector made is signed as documented."""
        parts = urllib.parse.urlsplit(request["url"])
        path = parts.path + ("?" + parts.query if parts.query else "")
        signed = "\n".join((request["method"], path, request["body"]))
        headers = request["headers"]
        return headers["x-signature"] == digest(self.signing_key, signed) and headers["x-api-key"] == self.api_key

    def browser_signature(self, fields):
        names = ("reference", "payment_id", "status", "amount", "currency", "error_code")
        return digest(self.signing_key, "|".join(fields[name] for name in names))


CARD = {"number": "4111111111111111", "exp_month": "12", "exp_year": "2030", "cvc": "123"}


def prove(proof: Proof):
    secrets = proof.accounts[NAME]["secrets"]
    client = Client(proof, secrets["api_key"], secrets["signing_key"], secrets["webhook_key"])
    proof.faults(NAME, pending_end="never", webhooks="all")

    # The client alone, against the simulator.
    ours = reference()
    status, paid = client.pay(ours, "CARD", card=CARD)
    check("the client pays by card", (status, paid["status"], paid["amount"]) == (201, "CAPTURED", 10050), paid)
    status, again = client.pay(ours, "CARD", card=CARD)
    check("a reference is charged once", status == 409 and again["error"]["code"] == "DUPLICATE_REFERENCE", again)
    check("the client enquires", client.payment(ours) == (200, paid))
    check("an unknown reference is not found", client.payment(reference())[0] == 404)
    check("a wrong signature is refused", client.call("GET", "/v1/payments/" + ours, signing_key="x")[0] == 401)
    refund = {"reference": reference(), "amount": 4000, "currency": "INR"}
    status, refunded = client.call("POST", "/v1/payments/%s/refunds" % ours, refund)
    check("the client refunds", (status, refunded["status"], refunded["amount"]) == (200, "REFUNDED", 4000))
    told = proof.run(NAME, "enquire_charge", reference=ours, amount="100.50")
    same = (told["outcome"], told["amount_minor"], told["processor_payment_id"])
    check("the connector finds the client's payment", same == ("captured", 10050, paid["payment_id"]), told)
    told = proof.run(
        NAME, "enquire_refund", reference=refund["reference"], charge_reference=ours, amount="40.00"
    )
    check("the connector finds the client's refund", told["outcome"] == "refunded", told)

    # What the connector sends.
    for operation, fields in (
        ("charge", {"method": "card", "card": CARD["number"], "email": 'a"}@x.in', "description": "tea\n\u20b9"}),
        ("charge", {"method": "upi_collect", "vpa": "asha@upi"}),
        ("charge", {"method": "net_banking", "provider": "HDFC", "return_url": RETURN_URL}),
        ("charge", {"method": "wallet", "provider": "paytm"}),
        ("capture", {"charge_reference": ours}),
        ("void", {"charge_reference": ours}),
        ("refund", {"charge_reference": ours}),
        ("enquire_charge", {}),
        ("enquire_refund", {"charge_reference": ours}),
    ):
        request = proof.start(NAME, operation, reference=reference(), amount="100.50", **fields)
        what = "%s %s" % (operation, fields.get("method", ""))
        check("the connector signs: " + what.strip(), client.is_signed(request), request)
        if request["body"]:
            sent = json.loads(request["body"])
            check("its amount is ours", sent.get("amount", 10050) == 10050, sent)
    mine = reference()
    told = proof.run(
        NAME, "charge", reference=mine, amount="100.50", method="card", card=CARD["number"], capture="manual"
    )
    check("the connector reserves", told["outcome"] == "authorized", told)
    status, found = client.payment(mine)
    check("the client sees it reserved", found["status"] == "AUTHORIZED", found)
    capture = {"capture_reference": reference(), "amount": 7000, "currency": "INR"}
    status, found = client.call("POST", "/v1/payments/%s/captures" % mine, capture)
    check("the client captures a part", (status, found["captured_amount"]) == (200, 7000), found)
    told = proof.run(NAME, "enquire_charge", reference=mine, amount="100.50")
    check("the connector sees that part", (told["outcome"], told["amount_minor"]) == ("captured", 7000), told)

    # The browser's way back, both ways.
    mine = reference()
    told = proof.run(
        NAME, "charge", reference=mine, amount="100.50", method="net_banking", provider="SBIN", return_url=RETURN_URL
    )
    _, query, _ = proof.browse(told["action"], "approve", RETURN_URL)
    back = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    check("the client verifies the way back", back["signature"] == client.browser_signature(back), back)
    told = proof.callback(NAME, mine, query)
    check("so does the connector", told.get("outcome") == "captured", told)
    made = {**back, "status": "DECLINED", "error_code": "CARD_DECLINED"}
    made["signature"] = client.browser_signature(made)
    told = proof.callback(NAME, mine, urllib.parse.urlencode(made))
    check("the connector takes what the client signs", told.get("outcome") == "declined", told)
    forged = urllib.parse.urlencode({**back, "amount": "1"})
    check("and nothing else", proof.callback(NAME, mine, forged)["ok"] is False)
    check("nor for another payment", proof.callback(NAME, reference(), query)["ok"] is False)

    # Webhooks, both ways.
    arrived = proof.webhooks(NAME, 4)
    signed = [
        hmac.compare_digest(headers["x-examplebank-signature"], "sha256=" + digest(client.webhook_key, body))
        for headers, body in arrived
    ]
    check("the client verifies the simulator's webhooks", all(signed), signed)
    told = [proof.webhook(NAME, headers, body) for headers, body in arrived]
    check("so does the connector", all(it["ok"] for it in told), told)
    _, paid = client.payment(mine)
    body = json.dumps({"event_id": "made-here", "type": "payment.updated", "data": paid})
    headers = {"x-examplebank-signature": "sha256=" + digest(client.webhook_key, body)}
    told = proof.webhook(NAME, headers, body)
    check("the connector takes the client's webhook", (told["reference"], told["outcome"]) == (mine, "captured"), told)
    check("and no forged one", proof.webhook(NAME, headers, body.replace("10050", "10051"))["ok"] is False)


run(prove)
