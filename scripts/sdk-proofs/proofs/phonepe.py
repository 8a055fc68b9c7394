"""PhonePe's official SDKs (Python and Node) against the simulator and the connector.

Their addresses are constants: both are set before the first call. The legacy API has no official SDK on
the registries any more; the community package `phonepe` signs and verifies as PhonePe documents it.

Both Python packages call themselves `phonepe`, and whichever was installed last owns the folder's
`__init__`: the version that the SDK looks for there is put back. The Node SDK allows a release of
`class-transformer` that it does not work with; `package.json` holds the one before.
"""

import base64
import importlib.metadata
import json

import phonepe

phonepe.__version__ = importlib.metadata.version("phonepe-pg-sdk-python")

from phonepe import main as legacy
from phonepe.sdk.pg import env as sdk_env

from harness import Proof, check, reference, run

RETURN_URL = "https://shop.invalid/return"
MANDATE = {"max": "500.00", "frequency": "monthly", "ends_at_ms": 4_000_000_000_000}


def python_sdk(proof: Proof, account):
    place = proof.places["phonepe"]
    for name in ("SANDBOX_PG_BASE_URL", "SANDBOX_OAUTH_BASE_URL"):
        setattr(sdk_env, name, place)
    from phonepe.sdk.pg.common.exceptions import PhonePeException
    from phonepe.sdk.pg.common.models.request.pg_payment_request import PgPaymentRequest
    from phonepe.sdk.pg.common.models.request.refund_request import RefundRequest
    from phonepe.sdk.pg.payments.v2.custom_checkout_client import CustomCheckoutClient
    from phonepe.sdk.pg.payments.v2.models.request.standard_checkout_pay_request import (
        StandardCheckoutPayRequest,
    )
    from phonepe.sdk.pg.payments.v2.standard_checkout_client import StandardCheckoutClient
    from phonepe.sdk.pg.subscription.v2.models.request.amount_type import AmountType
    from phonepe.sdk.pg.subscription.v2.models.request.auth_workflow_type import AuthWorkflowType
    from phonepe.sdk.pg.subscription.v2.models.request.frequency import Frequency
    from phonepe.sdk.pg.subscription.v2.models.request.redemption_retry_strategy import (
        RedemptionRetryStrategy,
    )
    from phonepe.sdk.pg.subscription.v2.subscription_client import SubscriptionClient

    login = {
        "client_id": account["client_id"],
        "client_secret": account["client_secret"],
        "client_version": account["client_version"],
        "env": sdk_env.Env.SANDBOX,
    }
    custom = CustomCheckoutClient(**login)
    try:
        CustomCheckoutClient(**{**login, "client_secret": "another"})
        check("another secret is refused", False)
    except PhonePeException as refused:
        check("another secret is refused", refused.code == "AUTHORIZATION_FAILED", refused.code)

    # An order of the SDK's, seen by the connector.
    order = reference()
    intent = custom.pay(
        PgPaymentRequest.build_upi_intent_pay_request(
            merchant_order_id=order, amount=10_050, device_os="ANDROID", target_app="com.phonepe.app"
        )
    )
    check("the SDK pays by UPI intent", intent.state == "PENDING" and "am=100.50" in intent.intent_url, intent)
    qr = custom.pay(PgPaymentRequest.build_upi_qr_pay_request(merchant_order_id=reference(), amount=100))
    check("the SDK pays by UPI QR", qr.qr_data.startswith("upi://pay?"), qr)
    collect = custom.pay(
        PgPaymentRequest.build_upi_collect_pay_via_vpa_request(
            merchant_order_id=reference(), amount=100, vpa="success@ybl", message="Tea"
        )
    )
    check("the SDK pays by UPI collect", collect.state == "PENDING", collect)
    bank = custom.pay(
        PgPaymentRequest.build_net_banking_pay_request(
            merchant_order_id=reference(), amount=100, bank_id="SBIN", redirect_url=RETURN_URL
        )
    )
    check("the SDK pays by net banking", bank.redirect_url.startswith(place), bank)
    try:
        custom.pay(PgPaymentRequest.build_upi_qr_pay_request(merchant_order_id=order, amount=100))
        check("an order is taken once", False)
    except PhonePeException as refused:
        check("an order is taken once", refused.code == "ORDER_ALREADY_EXISTS", refused.code)
    found = proof.run("phonepe", "enquire_charge", reference=order, amount="100.50")
    check("the connector finds the SDK's order", found["outcome"] == "pending", found)
    proof.http("POST", f"{place}/sim/approve/{order}", "")
    status = custom.get_order_status(order, details=True)
    check(
        "the SDK reads a paid order, its attempt and its rail",
        status.state == "COMPLETED"
        and status.amount == 10_050
        and status.payment_details[0].split_instruments[0].rail.type == "UPI",
        status,
    )
    found = proof.run("phonepe", "enquire_charge", reference=order, amount="100.50")
    check(
        "the connector reads it alike",
        (found["outcome"], found["amount_minor"], found["processor_payment_id"])
        == ("captured", 10_050, status.order_id),
        found,
    )

    # An order of the connector's, seen by the SDK; refunds of both.
    ours = reference()
    charged = proof.run("phonepe", "charge", reference=ours, method="upi_qr", amount="100.50")
    check("the connector charges", charged["outcome"] == "action", charged)
    proof.http("POST", f"{place}/sim/approve/{ours}", "")
    check("the SDK finds it paid", custom.get_order_status(ours).state == "COMPLETED")
    given = reference()
    begun = custom.refund(
        RefundRequest.build_refund_request(
            merchant_refund_id=given, amount=4_000, original_merchant_order_id=ours
        )
    )
    check("the SDK refunds a part", begun.state == "PENDING" and begun.amount == 4_000, begun)
    seen = proof.run(
        "phonepe", "enquire_refund", reference=given, charge_reference=ours, charge_amount="100.50", amount="40.00"
    )
    check("the connector reads the SDK's refund", (seen["outcome"], seen["amount_minor"]) == ("refunded", 4_000), seen)
    own = reference()
    rest = proof.run(
        "phonepe", "refund", reference=own, charge_reference=ours, charge_amount="100.50", amount="60.50"
    )
    check("the connector refunds the rest", rest["outcome"] == "refunded", rest)
    read = custom.get_refund_status(own)
    check(
        "the SDK reads the connector's refund",
        (read.state, read.amount, read.original_merchant_order_id) == ("COMPLETED", 6_050, ours),
        read,
    )

    # PhonePe's own page.
    standard = StandardCheckoutClient(**login)
    order = reference()
    page = standard.pay(
        StandardCheckoutPayRequest.build_request(
            merchant_order_id=order, amount=10_050, redirect_url=RETURN_URL, message="Tea"
        )
    )
    proof.browse({"type": "redirect", "url": page.redirect_url}, "reject")
    status = standard.get_order_status(order, details=True)
    check("the SDK reads a refused order", (status.state, status.detailed_error_code) == ("FAILED", "ZA"), status)
    found = proof.run("phonepe", "enquire_charge", reference=order, amount="100.50")
    check("the connector finds it among the three products", found["outcome"] == "declined", found)
    page = proof.run(
        "phonepe", "charge", reference=(ours := reference()), method="card", amount="100.50", return_url=RETURN_URL
    )
    address, query, _ = proof.browse(page["action"])
    check("the connector's page brings the browser back", address == RETURN_URL, address)
    back = proof.callback("phonepe", ours, query)
    check("the browser proves nothing", back == {"ok": True, "outcome": "ask"}, back)
    check("the SDK finds it paid on the page", standard.get_order_status(ours).state == "COMPLETED")

    # UPI AutoPay.
    subscriptions = SubscriptionClient(**login)
    order, mandate = reference(), reference()
    setup = subscriptions.setup(
        PgPaymentRequest.build_subscription_setup_upi_intent(
            merchant_order_id=order,
            merchant_subscription_id=mandate,
            amount=10_050,
            max_amount=50_000,
            auth_workflow_type=AuthWorkflowType.TRANSACTION,
            amount_type=AmountType.VARIABLE,
            frequency=Frequency.ON_DEMAND,
            device_os="ANDROID",
            target_app="com.phonepe.app",
        )
    )
    check("the SDK sets a mandate up", setup.intent_url.startswith("upi://mandate?"), setup)
    proof.http("POST", f"{place}/sim/approve/{order}", "")
    state = subscriptions.get_subscription_status(mandate)
    check("the SDK reads an active mandate", (state.state, state.max_amount) == ("ACTIVE", 50_000), state)
    debit = reference()
    told = subscriptions.notify(
        PgPaymentRequest.build_subscription_notify_request(
            merchant_order_id=debit,
            merchant_subscription_id=mandate,
            amount=2_000,
            redemption_retry_strategy=RedemptionRetryStrategy.STANDARD,
            auto_debit=False,
        )
    )
    check("the SDK announces a debit", told.state == "NOTIFICATION_IN_PROGRESS", told)
    check("the SDK makes it", subscriptions.redeem(debit).state == "PENDING")
    proof.http("POST", f"{place}/sim/approve/{debit}", "")
    status = subscriptions.get_order_status(debit)
    check("the SDK reads the debit", (status.state, status.amount) == ("COMPLETED", 2_000), status)
    subscriptions.cancel_subscription(mandate)
    check("the SDK ends the mandate", subscriptions.get_subscription_status(mandate).state == "CANCELLED")
    ours = reference()
    setup = proof.run("phonepe", "charge", reference=ours, method="upi_intent", amount="100.50", mandate=MANDATE)
    check("the connector sets a mandate up", setup["action"]["uri"].startswith("upi://mandate?"), setup)
    proof.http("POST", f"{place}/sim/approve/{ours}", "")
    state = subscriptions.get_subscription_status(ours)
    check("the SDK finds it by the charge's reference", (state.state, state.frequency.value) == ("ACTIVE", "MONTHLY"), state)

    # Webhooks.
    proof.faults("phonepe", webhooks="all", pending_end="never")
    ours = reference()
    proof.run("phonepe", "charge", reference=ours, method="upi_qr", amount="100.50")
    proof.http("POST", f"{place}/sim/approve/{ours}", "")
    headers, body = proof.webhook_where("phonepe", lambda _, body: ours in body)
    name, password = account["webhook_username"], account["webhook_password"]
    parsed = custom.validate_callback(name, password, headers["authorization"], body)
    check(
        "the SDK validates and reads the simulator's webhook",
        (parsed.event, parsed.payload.merchant_order_id, parsed.payload.state)
        == ("pg.order.completed", ours, "COMPLETED"),
        parsed,
    )
    read = proof.webhook("phonepe", {"authorization": headers["authorization"]}, body)
    check(
        "the connector reads it alike",
        (read["ok"], read["reference"], read["outcome"], read["amount_minor"]) == (True, ours, "captured", 10_050),
        read,
    )
    try:
        custom.validate_callback(name, "another", headers["authorization"], body)
        check("the SDK refuses another password", False)
    except PhonePeException:
        check("the SDK refuses another password", True)
    forged = proof.webhook("phonepe", {"authorization": "0" * 64}, body)
    check("the connector refuses a forged one", forged == {"ok": False, "error": "signature"}, forged)
    for client in (custom, standard, subscriptions):
        client.close()
    return headers, body


def node_sdk(proof: Proof, account, headers, body):
    ids = {name: reference() for name in ("intent", "page", "refund")}
    said = proof.node(
        "phonepe.mjs",
        {
            "place": proof.places["phonepe"],
            "account": account,
            "ids": ids,
            "return_url": RETURN_URL,
            "authorization": headers["authorization"],
            "body": body,
        },
    )
    check("the Node SDK pays by UPI intent", said["intent"].startswith("upi://pay?"), said)
    check("the Node SDK opens PhonePe's page", said["page"].startswith(proof.places["phonepe"]), said)
    check("the Node SDK reads a paid order", said["status"] == ["COMPLETED", 10_050], said)
    check("the Node SDK refunds, and reads the refund", said["refund"] == ["PENDING", "COMPLETED"], said)
    check("the Node SDK validates the simulator's webhook", said["webhook"] == "COMPLETED", said)
    check("the Node SDK refuses a forged one", said["forged"] == "refused", said)
    found = proof.run("phonepe", "enquire_charge", reference=ids["intent"], amount="100.50")
    check("the connector reads the Node SDK's order", found["outcome"] == "captured", found)


def legacy_package(proof: Proof, account):
    place = proof.places["phonepe_v1"]
    client = legacy.PhonePe(
        merchant_id=account["merchant_id"],
        phone_pe_salt=account["salt_key"],
        phone_pe_salt_index=account["salt_index"],
        phone_pe_host=place,
        redirect_url=RETURN_URL,
        webhook_url="https://shop.invalid/webhook",
    )
    order = reference()
    opened = client.create_txn(order, 10_050, "user1")
    check("v1: the package's signed request is taken", opened["code"] == "PAYMENT_INITIATED", opened)
    proof.http("POST", f"{place}/sim/approve/{order}", "")
    status = client.check_txn_status(order)
    check("v1: the package reads a paid order", status["data"]["state"] == "COMPLETED", status)
    found = proof.run("phonepe_v1", "enquire_charge", reference=order, amount="100.50")
    check("v1: the connector reads it alike", (found["outcome"], found["amount_minor"]) == ("captured", 10_050), found)

    ours = reference()
    wanted = {"reference": ours, "method": "upi_qr", "amount": "100.50"}
    request = proof.start("phonepe_v1", "charge", **wanted)
    payload = json.loads(request["body"])["request"]
    signed = "%s###%d" % (
        client.sha256_encode(payload + "/pg/v1/pay" + account["salt_key"]),
        account["salt_index"],
    )
    check("v1: the connector signs as the package does", request["headers"]["x-verify"] == signed, request["headers"])
    proof.faults("phonepe_v1", webhooks="all", pending_end="never")
    proof.run("phonepe_v1", "charge", **wanted)
    proof.http("POST", f"{place}/sim/approve/{ours}", "")
    headers, body = proof.webhook_where(
        "phonepe_v1", lambda _, body: ours in base64.b64decode(json.loads(body)["response"]).decode()
    )
    holds = client.verify_webhook_checksum(headers["x-verify"], json.loads(body))
    check("v1: the package verifies the simulator's callback", holds)
    read = proof.webhook("phonepe_v1", {"x-verify": headers["x-verify"]}, body)
    check("v1: the connector reads it", (read["ok"], read["reference"], read["outcome"]) == (True, ours, "captured"), read)
    own = json.dumps({"response": "e30="})
    signature = "%s###%d" % (client.sha256_encode("e30=" + account["salt_key"]), account["salt_index"])
    read = proof.webhook("phonepe_v1", {"x-verify": signature}, own)
    check("v1: the connector verifies what the package signs", read["ok"], read)

    given = reference()
    begun = client.refund_txn(
        legacy.RefundTxn(txn_user_id="user1", merchant_order_id=ours, phonepe_txn_id=given, amount=4_000)
    )
    check("v1: the package refunds", begun["code"] == "PAYMENT_PENDING", begun)
    seen = proof.run(
        "phonepe_v1", "enquire_refund", reference=given, charge_reference=ours, charge_amount="100.50", amount="40.00"
    )
    check("v1: the connector reads the package's refund", (seen["outcome"], seen["amount_minor"]) == ("refunded", 4_000), seen)


def prove(proof: Proof):
    for name in ("phonepe", "phonepe_v1"):
        proof.faults(name, pending_end="never")
    account = proof.accounts["phonepe"]
    headers, body = python_sdk(proof, account)
    node_sdk(proof, account, headers, body)
    legacy_package(proof, proof.accounts["phonepe_v1"])


run(prove)
