"""The official Standard Webhooks and Svix libraries verify what the gateway sends to a partner.

The whole gateway runs (`tollgate dev`); a payment's events go to an endpoint of this script. Both libraries
verify each message, with the secret as the API gave it, with the old and the new one while they are rotated,
and refuse what was changed.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

import standardwebhooks
import svix.webhooks

from harness import PATIENCE_S, Inbox, check

BINARY = pathlib.Path(os.environ["TOLLGATE_PROOF"]).parent.parent / "tollgate"


def main():
    inbox = Inbox()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [BINARY, "dev", "--listen", "127.0.0.1:0", "--folder", folder],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            base = None
            for line in process.stdout:
                found = re.search(r"Tollgate is ready at (\S+)", line)
                if found:
                    base = found[1]
                    break
            key = pathlib.Path(folder, "dev.key").read_text().strip()
            prove(base, key, inbox)
        finally:
            process.terminate()
            process.wait()


def prove(base, key, inbox):
    def call(verb, path, body=None):
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(base + path, data=data, headers=headers, method=verb)
        for _ in range(50):
            try:
                with urllib.request.urlopen(request) as reply:
                    return json.loads(reply.read())
            except urllib.error.URLError as error:
                if isinstance(error, urllib.error.HTTPError):
                    raise
                time.sleep(0.1)
        raise AssertionError("the gateway does not answer")

    def arrive(count):
        until = time.monotonic() + PATIENCE_S
        while len(inbox.arrived) < count and time.monotonic() < until:
            time.sleep(0.02)
        return inbox.arrived[count - 1]

    endpoint = call("POST", "/api/v1/webhook_endpoints", {"url": inbox.url + "/hooks"})
    old = endpoint["secret"]
    call(
        "POST",
        "/api/v1/payments",
        {"amount": "12.50", "currency": "USD", "payment_method": "credit_card"},
    )
    libraries = {
        "standardwebhooks": (standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError),
        "svix": (svix.webhooks.Webhook, svix.webhooks.WebhookVerificationError),
    }

    def verified(library, secret, message):
        _, headers, body = message
        # One of the libraries gives the payload back, the other nothing.
        libraries[library][0](secret).verify(body, headers)
        return json.loads(body)

    def refused(library, secret, message):
        try:
            verified(library, secret, message)
        except libraries[library][1]:
            return True
        return False

    arrive(2)
    for library in libraries:
        payloads = [verified(library, old, message) for message in inbox.arrived[:2]]
        kinds = sorted(payload["type"] for payload in payloads)
        check(f"{library} verifies a payment's events", kinds == ["payment.completed", "payment.created"])
        path, headers, body = inbox.arrived[0]
        check(f"{library} refuses another body", refused(library, old, (path, headers, body + " ")))
        other = {**headers, "webhook-id": "msg_0000000000000000000000"}
        check(f"{library} refuses another id", refused(library, old, (path, other, body)))
    rotate = f"/api/v1/webhook_endpoints/{endpoint['id']}/rotate_secret"
    new = call("POST", rotate, {})["secret"]
    call("POST", f"/api/v1/webhook_endpoints/{endpoint['id']}/test")
    message = arrive(3)
    for library in libraries:
        for name, secret in (("old", old), ("new", new)):
            payload = verified(library, secret, message)
            check(f"{library} verifies by the {name} secret while rotating", payload["type"] == "webhook.test")
    call("POST", rotate, {"overlap_hours": 0})
    call("POST", f"/api/v1/webhook_endpoints/{endpoint['id']}/test")
    message = arrive(4)
    for library in libraries:
        check(f"{library} refuses the secret that is over", refused(library, new, message))


main()
