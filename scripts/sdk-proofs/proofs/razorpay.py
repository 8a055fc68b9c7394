"""Razorpay's official Python SDK against the simulator and the connector."""

import razorpay

from harness import Proof, check, reference, run


def prove(proof: Proof):
    account = proof.accounts["razorpay"]
    client = razorpay.Client(
        auth=(account["key_id"], account["key_secret"]), base_url=proof.places["razorpay"]
    )
    ours = reference()
    order = client.order.create({"amount": 10_050, "currency": "INR", "receipt": ours})
    check("the SDK creates orders", order["status"] == "created" and order["receipt"] == ours, order)


run(prove)
