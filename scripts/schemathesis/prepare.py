"""Makes payments and refunds to be found, and writes what the configuration names.

auth.json: both partners' keys. payments.dict, refunds.dict: ids that exist.
"""

import json
import pathlib
import sys
import urllib.request

URL, KEY, OTHER_KEY, FOLDER = sys.argv[1], sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4])


def post(path, body):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def pay(capture_mode, amount="1000000.00", number="4111111111111111"):
    card = {"number": number, "exp_month": 12, "exp_year": 2099, "cvc": "123"}
    body = {
        "amount": amount, "currency": "INR", "capture_mode": capture_mode, "processor": "razorpay",
        "payment_method": {"type": "card", "card": card},
    }
    return post("/api/v1/payments", body)["id"]


# A reservation can be captured or cancelled once: there are many of them.
payments = [pay("manual") for _ in range(60)]
completed = [pay("automatic") for _ in range(20)]
refunds = [post(f"/api/v1/payments/{payment}/refunds", {"amount": "1.00"})["id"] for payment in completed[:10]]
payments += completed + [pay("automatic", number=number) for number in ("4000000000000002", "4000000000003220")]

auth = [
    {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
    for name, key in [("partner", KEY), ("other", OTHER_KEY)]
]
(FOLDER / "auth.json").write_text(json.dumps({"auth": auth}))
for name, ids in [("payments.dict", payments), ("refunds.dict", refunds)]:
    (FOLDER / name).write_text("".join(f'"{known}"\n' for known in ids))
print(f"Prepared {len(payments)} payments and {len(refunds)} refunds at {URL}")
