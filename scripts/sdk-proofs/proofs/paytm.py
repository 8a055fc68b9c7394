"""Paytm's SDKs against the simulator and the connector: `paytm-pg` (PyPI) creates orders, asks and
refunds; `paytmchecksum` (PyPI and npm) signs and verifies, both ways.

`paytm-pg` knows two hosts and takes no other: its four addresses are set from here. It has no call for
the payment itself (`processTransaction`), which is therefore sent as Paytm's documents show it.
"""

import json
import urllib.parse

import paytmchecksum
import paytmpg

from harness import Proof, check, reference, run

NAME = "paytm"
RETURN_URL = "https://shop.invalid/back?order=1"


def prove(proof: Proof):
    account, place = proof.accounts[NAME], proof.places[NAME]
    mid, key = account["mid"], account["merchant_key"]
    proof.faults(NAME, pending_end="never", webhooks="all")

    def node(**lists):
        return proof.node("paytm.mjs", {"key": key, **lists})

    def python_verifies(payload, signature):
        payload = dict(payload) if isinstance(payload, dict) else payload
        try:
            return paytmchecksum.verifySignature(payload, key, signature)
        except (ValueError, UnicodeDecodeError, IndexError):
            return False

    def both_verify(payload, signature):
        return python_verifies(payload, signature) and node(verify=[[payload, signature]])["verify"] == [True]

    def decide(verb, order):
        status, _, text = proof.http("POST", "%s/sim/%s/%s" % (place, verb, order), "")
        check("the simulator takes the customer's decision", status == 200, text)

    # paytm-pg, pointed at the simulator.
    merchant = paytmpg.MerchantProperty
    merchant.initialize(paytmpg.LibraryConstants.STAGING_ENVIRONMENT, mid, key, "C11", "WEBSTAGING")
    merchant.set_callback_url(RETURN_URL)
    merchant.initiate_txn_url = place + "/order/initiate"
    merchant.payment_status_url = place + "/v3/order/status"
    merchant.refund_url = place + "/refund/apply"
    merchant.refund_status_url = place + "/v2/refund/status"

    def result(answer):
        info = answer.get_response_object().get_body().get_result_info()
        return info.get_result_status(), info.get_result_code()

    def create(order, amount):
        user = paytmpg.UserInfo()
        user.set_cust_id("CUST_1")
        money = paytmpg.Money(paytmpg.EnumCurrency.INR, amount)
        builder = paytmpg.PaymentDetailsBuilder(paytmpg.EChannelId.WEB, order, money, user)
        return paytmpg.Payment.createTxnToken(builder.build())

    def status(order):
        return paytmpg.Payment.getPaymentStatus(paytmpg.PaymentStatusDetailBuilder(order).build())

    theirs = reference()
    order = create(theirs, "100.50")
    token = order.get_response_object().get_body().get_txn_token()
    check("paytm-pg creates an order, and the reply's signature holds", result(order) == ("S", "0000"), result(order))
    check("… the same order again is the same", result(create(theirs, "100.50")) == ("S", "0002"))
    check("… with another amount it is refused", result(create(theirs, "7.00")) == ("F", "2023"))
    check("an order that nobody has paid is not known", result(status(theirs)) == ("TXN_FAILURE", "334"))

    pay = {
        "head": {"txnToken": token},
        "body": {"requestType": "NATIVE", "mid": mid, "orderId": theirs, "paymentMode": "UPI_INTENT"},
    }
    url = "%s/theia/api/v1/processTransaction?mid=%s&orderId=%s" % (place, mid, theirs)
    _, _, text = proof.http("POST", url, json.dumps(pay), {"content-type": "application/json"})
    link = json.loads(text)["body"]["deepLinkInfo"]["deepLink"]
    check("its token pays by UPI", link.startswith("upi://pay?pa="), link)
    check("paytm-pg finds it pending", result(status(theirs)) == ("PENDING", "402"))
    decide("approve", theirs)
    answer = status(theirs)
    body = answer.get_response_object().get_body()
    check("paytm-pg finds it paid, and the reply's signature holds", result(answer) == ("TXN_SUCCESS", "01"), result(answer))
    state = proof.run(NAME, "enquire_charge", reference=theirs, amount="100.50")
    check("the connector finds the same payment captured", state["outcome"] == "captured", state)
    same = (state["processor_payment_id"], state["amount_minor"]) == (body.get_txn_id(), 10_050)
    check("… with the same id and amount", same and body.get_txn_amount() == "100.50", state)

    # Refunds, asked for by the SDK and by the connector, seen by both.
    def refund_status(order, ref):
        builder = paytmpg.RefundStatusDetailBuilder().set_order_id(order).set_ref_id(ref)
        return result(paytmpg.Refund.getRefundStatus(builder.build()))

    def refund(order, ref, amount):
        builder = paytmpg.RefundDetailBuilder(order, ref, body.get_txn_id(), "REFUND", amount)
        return result(paytmpg.Refund.doRefund(builder.build()))

    ref = reference()
    check("paytm-pg's refund is taken on", refund(theirs, ref, "40.00") == ("PENDING", "601"))
    check("… and done", refund_status(theirs, ref) == ("TXN_SUCCESS", "10"))
    check("… and not made twice", refund(theirs, ref, "40.00") == ("TXN_FAILURE", "629"))
    check("… and not above what is left", refund(theirs, reference(), "60.51") == ("TXN_FAILURE", "619"))
    seen = proof.run(NAME, "enquire_refund", reference=ref, charge_reference=theirs, amount="40.00", charge_amount="100.50")
    check("the connector finds that refund", (seen["outcome"], seen["amount_minor"]) == ("refunded", 4_000), seen)
    ours = reference()
    fields = {"reference": ours, "charge_reference": theirs, "amount": "60.50", "charge_amount": "100.50"}
    check("the connector's refund is taken on", proof.run(NAME, "refund", **fields)["outcome"] == "pending")
    check("paytm-pg finds it done", refund_status(theirs, ours) == ("TXN_SUCCESS", "10"))

    merchant.set_merchant_key("another--merkey!")
    check("paytm-pg with another key is refused", result(create(reference(), "1.00")) == ("F", "2005"))
    check("… also for its questions", result(status(theirs)) == ("TXN_FAILURE", "330"))
    merchant.set_merchant_key(key)

    # The connector charges; the SDK asks.
    charged = reference()
    charge = {"amount": "250.75", "currency": "INR", "return_url": RETURN_URL}
    first = proof.run(NAME, "charge", reference=charged, method="upi_intent", **charge)
    check("the connector's charge waits for the customer", first["action"]["type"] == "upi", first)
    check("paytm-pg finds it pending", result(status(charged)) == ("PENDING", "402"))
    decide("reject", charged)
    check("paytm-pg finds it refused by the customer", result(status(charged)) == ("TXN_FAILURE", "141"))
    state = proof.run(NAME, "enquire_charge", reference=charged, amount="250.75")
    check("… and so does the connector", (state["outcome"], state["code"]) == ("declined", "customer_cancelled"), state)

    # What the browser brings back.
    for method, extra in [("wallet", {"provider": "paytm"}), ("net_banking", {"provider": "KKBK"}), ("card", {})]:
        paid = reference()
        first = proof.run(NAME, "charge", reference=paid, method=method, **extra, **charge)
        check("%s: the connector sends the customer to a page" % method, first["action"]["type"] == "form", first)
        check("… without the card", "4111111111111111" not in json.dumps(first))
        _, _, back = proof.browse(first["action"], "approve", RETURN_URL)
        said = dict(urllib.parse.parse_qsl(back, keep_blank_values=True))
        signature = said.pop("CHECKSUMHASH")
        check("… and both SDKs verify what the browser brings back", both_verify(said, signature), said)
        told = proof.callback(NAME, paid, body=back)
        check("… as the connector does", (told["outcome"], told["amount_minor"]) == ("captured", 25_075), told)
        forged = urllib.parse.urlencode({**said, "TXNAMOUNT": "1.00", "CHECKSUMHASH": signature})
        check("… none of the three takes it changed",
              not python_verifies({**said, "TXNAMOUNT": "1.00"}, signature)
              and node(verify=[[{**said, "TXNAMOUNT": "1.00"}, signature]])["verify"] == [False]
              and proof.callback(NAME, paid, body=forged) == {"ok": False, "error": "signature"})
        check("… and paytm-pg finds it paid", result(status(paid)) == ("TXN_SUCCESS", "01"))

    # Webhooks: of the first payment, its two refunds, the refused one and the three others.
    payments, refunds = [], []
    for headers, text in proof.webhooks(NAME, 7):
        told = proof.webhook(NAME, headers, text)
        check("the connector takes the simulator's webhook", told["ok"], told)
        if text.startswith("{"):
            message = json.loads(text)
            inner = text[text.index('"body":') + len('"body":'):-1]
            check("… of a refund, which both SDKs verify", both_verify(inner, message["head"]["signature"]), text)
            refunds.append((told["outcome"], told["amount_minor"]))
        else:
            fields = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
            check("… of a payment, which both SDKs verify", both_verify(fields, fields.pop("CHECKSUMHASH")), text)
            payments.append(told["outcome"])
    check("the refunds were done", sorted(refunds) == [("refunded", 4_000), ("refunded", 6_050)], refunds)
    check("the payments were as they were", sorted(payments) == ["captured"] * 4 + ["declined"], payments)

    # Messages that the SDKs sign, read by the connector.
    fields = {
        "CURRENCY": "INR", "MID": mid, "ORDERID": theirs, "RESPCODE": "01", "RESPMSG": "Txn Success",
        "STATUS": "TXN_SUCCESS", "TXNAMOUNT": "100.50", "TXNID": body.get_txn_id(), "BANKTXNID": "",
    }
    notice = json.dumps({"refId": ref, "refundId": "R1", "refundAmount": "40.00", "mid": mid,
                         "userCreditInitiateTimestamp": "2026-11-21 12:00:00.0"})
    by_node = node(sign=[fields, notice])["sign"]
    by_python = [paytmchecksum.generateSignature(dict(fields), key), paytmchecksum.generateSignature(notice, key)]
    for name, (form_hash, text_hash) in [("npm", by_node), ("PyPI", by_python)]:
        form = urllib.parse.urlencode({**fields, "CHECKSUMHASH": form_hash})
        told = proof.webhook(NAME, {}, form)
        check("the connector takes a payment webhook signed by paytmchecksum (%s)" % name, told.get("outcome") == "captured", told)
        forged = form.replace("100.50", "900.50")
        check("… and not a changed one", proof.webhook(NAME, {}, forged) == {"ok": False, "error": "signature"})
        told = proof.webhook(NAME, {}, '{"head":{"signature":"%s"},"body":%s}' % (text_hash, notice))
        check("… and its refund webhook", (told.get("outcome"), told.get("amount_minor")) == ("refunded", 4_000), told)

    # Requests that the connector signs, verified by the SDKs.
    follow = {"reference": reference(), "charge_reference": theirs, "amount": "1.00", "charge_amount": "100.50"}
    for operation, more in [
        ("charge", {"method": "upi_qr", "name": "Zoë | Rao", "email": "a@example.com", "amount": "1.00", "reference": reference()}),
        ("refund", {**follow, "processor_payment_id": body.get_txn_id()}),
        ("enquire_charge", {"reference": theirs, "amount": "100.50"}),
        ("enquire_refund", follow),
    ]:
        text = proof.start(NAME, operation, **more)["body"]
        sent = json.loads(text)
        inner = text[len('{"body":'):text.rindex(',"head":')]
        check("both SDKs verify the connector's request: %s" % operation, both_verify(inner, sent["head"]["signature"]), text)
        check("… and not a changed one", not python_verifies(inner.replace(mid, "OTHER"), sent["head"]["signature"]))

    # The cipher by itself.
    secret = "A signature is this, encrypted: 0123456789"
    encrypted = node(encrypt=[secret])["encrypt"][0]
    check("the SDKs decrypt each other", paytmchecksum.decrypt(encrypted, key) == secret
          and node(decrypt=[paytmchecksum.encrypt(secret, key)])["decrypt"] == [secret])


run(prove)
