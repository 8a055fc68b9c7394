"""CCAvenue's clients (PyPI `pay-ccavenue`, npm `node-ccavenue`) against the simulator and the connector.

CCAvenue publishes no SDK for its API, only kits with an encryption function; these two packages are the
clients there are. They encrypt forms and decrypt answers, so here they pay on the simulator's page, and
every message of the connector and the simulator goes through them, both ways.
"""

import json
import urllib.parse

from pay_ccavenue import CCAvenue

from harness import Proof, check, reference, run

NAME = "ccavenue"
RETURN_URL = "https://shop.invalid/back"


def prove(proof: Proof):
    account, place = proof.accounts[NAME], proof.places[NAME]
    python = CCAvenue(
        working_key=account["working_key"],
        access_code=account["access_code"],
        merchant_code=account["merchant_id"],
        redirect_url=RETURN_URL,
        cancel_url=RETURN_URL,
    )
    proof.faults(NAME, pending_end="never", webhooks="all")
    page = place + "/transaction/transaction.do?command=initiateTransaction"

    def node(**lists):
        keys = {"working_key": account["working_key"], "merchant_id": account["merchant_id"]}
        return proof.node("ccavenue.mjs", {**keys, **lists})

    def pay(enc_request, decision="approve"):
        fields = [("encRequest", enc_request), ("access_code", account["access_code"])]
        action = {"type": "form", "url": page, "fields": fields}
        _, _, body = proof.browse(action, decision, RETURN_URL)
        return body, dict(urllib.parse.parse_qsl(body))

    def api(command, request, version="1.1"):
        sent = {
            "enc_request": node(encrypt=[json.dumps(request)])["encrypt"][0],
            "access_code": account["access_code"],
            "command": command,
            "request_type": "JSON",
            "response_type": "JSON",
            "version": version,
        }
        url = place + "/apis/servlet/DoWebTrans"
        form = {"content-type": "application/x-www-form-urlencoded"}
        _, _, text = proof.http("POST", url, urllib.parse.urlencode(sent), form)
        answer = dict(urllib.parse.parse_qsl(text))
        return json.loads(node(decrypt=[answer["enc_response"]])["decrypt"][0])

    # The clients pay on the simulator's page, and read what the browser brings back.
    ours = reference()
    enc_request = python.encrypt({"order_id": ours, "currency": "INR", "amount": "100.50"})
    body, back = pay(enc_request)
    told = python.process_webhook(back)
    check("pay-ccavenue pays on the simulator's page", told.order_status == "Success", told)
    check("pay-ccavenue reads what the browser brings back", (told.order_id, told.amount) == (ours, "100.50"))
    read = node(responses=[back["encResp"]])["responses"][0]
    check("node-ccavenue reads the same", read["order_id"] == ours and read["order_status"] == "Success", read)
    answer = proof.callback(NAME, ours, body=body)
    check("the connector takes it as a reason to ask", answer == {"ok": True, "outcome": "ask"}, answer)
    state = proof.run(NAME, "enquire_charge", reference=ours, amount="100.50")
    check("the connector finds that payment captured", state["outcome"] == "captured", state)
    check("… with the clients' amount and CCAvenue's number",
          (state["amount_minor"], state["processor_payment_id"]) == (10_050, told.tracking_id), state)

    theirs = reference()
    order = {"order_id": theirs, "currency": "USD", "amount": "7.00", "redirect_url": RETURN_URL,
             "cancel_url": RETURN_URL, "billing_email": "insufficient@example.com"}
    _, back = pay(node(orders=[order])["orders"][0])
    read = python.decrypt(back)
    check("node-ccavenue's order is refused by the simulated bank", read["order_status"] == "Failure", read)
    state = proof.run(NAME, "enquire_charge", reference=theirs, amount="7.00", currency="USD")
    check("the connector reads it as declined", (state["outcome"], state["code"]) == ("declined", "insufficient_funds"), state)

    # What the connector sends, the clients decrypt.
    ours = reference()
    fields = {"reference": ours, "amount": "1234.56", "method": "net_banking", "provider": "HDFC",
              "return_url": RETURN_URL, "name": "Asha Rao", "email": "asha@example.com"}
    first = proof.start(NAME, "charge", **fields)
    sent = dict(urllib.parse.parse_qsl(first["body"]))
    plain = node(decrypt=[sent["enc_request"]])["decrypt"][0]
    check("node-ccavenue decrypts the connector's status request", json.loads(plain) == {"order_no": ours}, plain)
    check("… and encrypts it to the same bytes", node(encrypt=[plain])["encrypt"][0] == sent["enc_request"])
    action = proof.run(NAME, "charge", **fields)["action"]
    form = dict(action["fields"])
    plain = node(decrypt=[form["encRequest"]])["decrypt"][0]
    wanted = {"merchant_id": account["merchant_id"], "order_id": ours, "currency": "INR", "amount": "1234.56",
              "redirect_url": RETURN_URL, "cancel_url": RETURN_URL, "language": "EN",
              "payment_option": "OPTNBK", "billing_name": "Asha Rao", "billing_email": "asha@example.com"}
    check("node-ccavenue decrypts the connector's form", dict(urllib.parse.parse_qsl(plain)) == wanted, plain)
    check("… and encrypts it to the same bytes", node(encrypt=[plain])["encrypt"][0] == form["encRequest"])
    found = python.decrypt({"encResp": form["encRequest"]})
    check("pay-ccavenue decrypts it too", found["order_id"] == ours and found["amount"] == "1234.56", found)
    card = proof.run(NAME, "charge", reference=reference(), method="card", card="4111111111111111", return_url=RETURN_URL)
    plain = node(decrypt=[dict(card["action"]["fields"])["encRequest"]])["decrypt"][0]
    check("no card number is in a card's form", "4111" not in plain and "OPTCRDC" in plain)

    # Status and refund by the clients' encryption, at the simulator's API.
    _, back = pay(form["encRequest"])
    check("the connector's form is paid", python.process_webhook(back).order_status == "Success")
    state = api("orderStatusTracker", {"order_no": ours}, "1.2")
    check("the clients ask for the order's status", (state["order_status"], state["order_amt"]) == ("Shipped", 1234.56), state)
    refund = reference()
    request = {"reference_no": state["reference_no"], "refund_amount": "200.00", "refund_ref_no": refund}
    check("the clients refund", api("refundOrder", request)["refund_status"] == 0)
    check("… once under one reference", api("refundOrder", request)["error_code"] == "51309")
    answer = proof.run(NAME, "enquire_refund", reference=refund, charge_reference=ours, amount="200.00", charge_amount="1234.56")
    check("the connector finds that refund", (answer["outcome"], answer["amount_minor"]) == ("refunded", 20_000), answer)
    refund = reference()
    answer = proof.run(NAME, "refund", reference=refund, charge_reference=ours, amount="34.56", charge_amount="1234.56")
    check("the connector refunds", answer["outcome"] == "refunded", answer)
    listed = api("getRefundDetails", {"reference_no": state["reference_no"]})["refund_list"]
    one = [entry for entry in listed if entry["refund_mer_ref_no"] == refund]
    check("the clients find that refund", [entry["refund_amt"] for entry in one] == ["34.56"], listed)

    # Notifications.
    def read(body):
        return python.process_webhook(dict(urllib.parse.parse_qsl(body)))

    headers, body = proof.webhook_where(NAME, lambda _, body: read(body).order_id == ours)
    told = read(body)
    check("pay-ccavenue reads the simulator's notification", (told.order_id, told.order_status) == (ours, "Success"), told)
    heard = proof.webhook(NAME, headers, body)
    check("the connector hears whose it is and settles nothing by it",
          (heard["ok"], heard["reference"], heard["outcome"]) == (True, ours, "pending"), heard)
    unpaid = reference()
    lie = f"order_id={unpaid}&tracking_id=204000000000&order_status=Success&currency=INR&amount=100.50"
    body = "encResp=" + node(encrypt=[lie])["encrypt"][0]
    check("a client's message is understood", proof.callback(NAME, unpaid, body=body)["ok"])
    check("… and makes no payment", proof.webhook(NAME, {}, body)["outcome"] == "pending")
    check("… which the enquiry does not know", proof.run(NAME, "enquire_charge", reference=unpaid)["outcome"] == "not_found")
    other = proof.node("ccavenue.mjs", {"working_key": "another", "merchant_id": "1", "encrypt": [lie]})
    body = "encResp=" + other["encrypt"][0]
    refused = {"ok": False, "error": "signature"}
    check("a message under another key is refused", proof.callback(NAME, unpaid, body=body) == refused)
    check("… also as a notification", proof.webhook(NAME, {}, body) == refused)

    # The customer leaves.
    ours = reference()
    action = proof.run(NAME, "charge", reference=ours, method="upi_intent", return_url=RETURN_URL)["action"]
    _, back = pay(dict(action["fields"])["encRequest"], "reject")
    check("pay-ccavenue reads that the customer left", python.process_webhook(back).order_status == "Aborted")
    state = proof.run(NAME, "enquire_charge", reference=ours)
    check("the connector reads it as cancelled", (state["outcome"], state["code"]) == ("declined", "customer_cancelled"), state)


run(prove)
