"""Whether anything was lost, or anybody charged twice. Three ways that know nothing of each other: the program's own
`verify` (every history replayed, both sides' books compared, every acknowledged payment looked for), the same requests
sent once more, and the simulators' books counted against what callers were told."""

import asyncio
import json

from tier.plan import Plan
from tier.tier import ask

KEPT = {"completed": {"completed", "partially_refunded", "refunded"}}
# These were not the end, and may have become anything since.
UNDER_WAY = {"pending", "processing", "requires_action"}


async def sent_again(client, keys, payments):
    """Every acknowledged payment's request once more: its key must bring the same payment."""
    wrong = {}
    places = asyncio.Semaphore(32)

    async def again(payment):
        async with places:
            for _ in range(20):
                answer = await client.call("POST", "/api/v1/payments", keys[payment.partner], payment.key, payment.body)
                if answer.status and answer.status < 500 and answer.status not in (409, 429):
                    break
                await asyncio.sleep(0.3)
        if answer.status >= 300 or answer.status == 0 or answer.body["id"] != payment.id():
            found = answer.body["id"] if answer.status in range(200, 300) else f"{answer.status} {answer.code}"
            wrong[payment.id()] = f"{payment.key}: acknowledged as {payment.id()}, now {found}"

    await asyncio.gather(*(again(payment) for payment in payments))
    return wrong


async def looked_up(client, keys, payments):
    """Every acknowledged payment as it stands now; what is not there or has gone back; how many are completed, how many
    paid back, and how many nobody knows yet."""
    wrong, statuses = {}, {}
    places = asyncio.Semaphore(32)

    async def look(payment):
        async with places:
            for _ in range(20):
                answer = await client.call("GET", f"/api/v1/payments/{payment.id()}", keys[payment.partner])
                if answer.status and answer.status < 500 and answer.status != 429:
                    break
                await asyncio.sleep(0.3)
        if answer.status != 200:
            wrong[payment.id()] = f"{payment.id()}: acknowledged as {payment.status()}, now {answer.status} {answer.code}"
            return
        status = answer.body["status"]
        statuses[payment.id()] = status
        told = payment.status()
        if told not in UNDER_WAY and status not in KEPT.get(told, {told}):
            wrong[payment.id()] = f"{payment.id()}: acknowledged as {told}, now {status}"
        refund = payment.refund
        if refund and refund.status == 201 and refund.body.get("status") == "succeeded" and status != "refunded":
            wrong[payment.id()] = f"{payment.id()}: a refund was acknowledged, and the payment is {status}"

    await asyncio.gather(*(look(payment) for payment in payments))
    return wrong, statuses


def booked(plan, since):
    """What processors have taken and kept, and taken and given back, besides the references in `since`; from their
    books, not from ours."""
    kept, returned = set(), set()
    for number in range(16):
        status, text = ask(f"http://{plan.at('processors', Plan.SIMULATORS + number)}/sim/books", 30)
        if status != 200:
            continue
        for line in text.splitlines():
            entry = json.loads(line)
            if "totals" in entry or entry["captured_minor"] == 0 or entry["reference"] in since:
                continue
            back = sum(refund["amount_minor"] for refund in entry["refunds"] if refund["status"] == "processed")
            (returned if back >= entry["captured_minor"] else kept).add(entry["reference"])
            if entry["captured_minor"] > entry["amount_minor"]:
                raise AssertionError(f"{entry['reference']} was captured beyond its amount")
    return kept, returned


def verify(tier, ack_log):
    """The program's own audit; gateways must stand still. Gives its words and whether it found nothing."""
    done = tier.tollgate("verify", "--books", tier.plan.path("books"), "--acknowledged", ack_log, check=False)
    return (done.stdout + done.stderr).strip(), done.returncode == 0
