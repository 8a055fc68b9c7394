"""PayU's official Python and Node SDKs against the simulator and the connector.

The Python SDK keeps its addresses in a singleton, which is pointed at the simulator; for the Node SDK see
`payu.mjs`. Neither SDK knows the hash with `si_details`, so mandates are proved without them.
"""

import json
import urllib.parse

from base.payubase import Base
from payu_websdk import Client

from harness import Proof, check, reference, run

BROWSER = {"return_url": "https://shop.invalid/back", "email": "asha@example.com", "name": "Asha Rao"}


def fields_of(body):
    return dict(urllib.parse.parse_qsl(body, keep_blank_values=True))


def prove(proof: Proof):
    account, place = proof.accounts["payu"], proof.places["payu"]
    key, salt = account["key"], account["salt"]
    client = Client(key, salt, "TEST")
    Base().set_params(
        {
            "key": key,
            "salt": salt,
            "paymentURL": place + "/_payment",
            "apiURL": place + "/merchant/postservice.php?form=2",
        }
    )
    proof.faults("payu", webhooks="all", pending_end="never")

    # Hashes of the connector's requests.
    request = fields_of(
        proof.start(
            "payu", "charge", reference=reference(), method="card", description="Tea", **BROWSER
        )["body"]
    )
    unsigned = {name: value for name, value in request.items() if name not in ("key", "hash")}
    check("the Python SDK makes the connector's hash", client.generatePaymentHash(unsigned) == request["hash"])

    # The SDK and the connector on the same payment, through the customer's browser.
    ours = reference()
    started = proof.run("payu", "charge", reference=ours, method="net_banking", provider="HDFC", **BROWSER)
    check("net banking leads to a page", started["action"]["type"] == "page", started)
    _, _, body = proof.browse(started["action"])
    returned = fields_of(body)
    check("the Python SDK validates what the browser brings back", client.validateReverseHash(returned))
    check("and refuses another amount", not client.validateReverseHash({**returned, "amount": "1.00"}))
    said = proof.callback("payu", ours, body=body)
    check("the connector believes it", said["ok"] and said["outcome"] == "captured", said)
    other = proof.callback("payu", reference(), body=body)
    check("but not for another payment", other == {"ok": False, "error": "signature"}, other)
    forged = proof.callback("payu", ours, body=body.replace("amount=100.00", "amount=900.00"))
    check("nor for another amount", forged == {"ok": False, "error": "signature"}, forged)
    verified = json.loads(client.verifyPayment(ours))["transaction_details"][ours]
    check("the Python SDK verifies the payment", verified["status"] == "success", verified)
    checked = json.loads(client.checkPayment(verified["mihpayid"]))
    check("and finds it by PayU's id", checked["transaction_details"]["txnid"] == ours, checked)
    missing = json.loads(client.verifyPayment("never-sent"))
    check("an unknown reference is not found", missing["status"] == 0, missing)

    # A signature of the SDK's reads with the connector.
    made = {**returned, "txnid": reference(), "amount": "42.00"}
    made["hash"] = client.generateReverseHash(made)
    said = proof.callback("payu", made["txnid"], body=urllib.parse.urlencode(made))
    check("the connector verifies a hash of the SDK's", said.get("amount_minor") == 4_200, said)

    # The Node SDK.
    refund = reference()
    node = proof.node(
        "payu.mjs",
        {
            "place": place,
            "key": key,
            "salt": salt,
            "txnid": ours,
            "request": unsigned,
            "returned": returned,
            "refund": refund,
        },
    )
    check("the Node SDK makes the connector's hash", node["hash"] == request["hash"])
    check("it validates what the browser brings back", node["valid"] is True and node["forged"] is False)
    check("its form carries that hash", request["hash"] in node["form"])
    seen = node["verified"]["transaction_details"][ours]
    check("it verifies the payment", seen["status"] == "success", seen)
    check("it refunds", node["refunded"]["status"] == 1, node["refunded"])
    refunded = proof.run(
        "payu", "enquire_refund", reference=refund, charge_reference=ours, amount="50.00"
    )
    check("the connector finds that refund", refunded["outcome"] == "refunded", refunded)

    # Webhooks.
    headers, body = proof.webhook_where("payu", lambda _, body: "status=success" in body)
    check("the Python SDK validates a webhook", client.validateReverseHash(fields_of(body)))
    check("so does the connector", proof.webhook("payu", headers, body)["ok"])
    changed = body.replace("status=success", "status=failure")
    refused = proof.webhook("payu", headers, changed)
    check("which refuses a changed one", not refused["ok"], refused)


run(prove)
