"""What the SDK proofs share: Tollgate's connectors and simulators, driven line by line.

A proof is a script in `proofs/`:

    from harness import Proof, check, run

    def proof(proof):
        client = razorpay.Client(auth=(…))
        client.base_url = proof.places["razorpay"]
        …
        check("orders are created", order["status"] == "created")

    run(proof)

It prints a line for each thing proved and ends with a code other than zero at the first that fails.
Protocol: crates/tollgate-sim/examples/proof.rs.
"""

import base64
import html.parser
import http.server
import json
import os
import pathlib
import random
import string
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 15


class Inbox:
    """Takes the webhooks that the simulators send."""

    def __init__(self):
        arrived = self.arrived = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                arrived.append((self.path.rsplit("/", 1)[-1], headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]


class Proof:
    """The running simulators and connectors."""

    def __enter__(self):
        self.inbox = Inbox()
        self.process = subprocess.Popen(
            [os.environ["TOLLGATE_PROOF"], self.inbox.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        first = json.loads(self.process.stdout.readline())
        self.places = first["places"]
        self.accounts = tomllib.loads(first["accounts"])["processors"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()
        self.inbox.server.shutdown()

    def ask(self, what, **fields):
        """One line in, one line out."""
        fields = {name: value for name, value in fields.items() if value is not None}
        self.process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the proof program has stopped")
        return json.loads(line)

    def webhook(self, processor, headers, body):
        """What the connector reads in a webhook. Header names in lower case."""
        return self.ask("webhook", processor=processor, headers=headers, body=body)

    def callback(self, processor, reference, query="", body=""):
        """What the connector reads in what the customer's browser brings back."""
        return self.ask("callback", processor=processor, reference=reference, query=query, body=body)

    def start(self, processor, operation, **fields):
        """The first exchange of an operation, not sent."""
        return self.ask("start", processor=processor, operation=operation, **fields)

    def run(self, processor, operation, **fields):
        """The outcome of an operation, carried out against the simulator."""
        return self.ask("run", processor=processor, operation=operation, **fields)

    def node(self, script, payload):
        """Runs a Node script of `proofs/`: JSON on its standard input, JSON on its standard output."""
        done = subprocess.run(
            ["node", str(HERE / "proofs" / script)],
            input=json.dumps(payload),
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            sys.exit("%s ended with code %d" % (script, done.returncode))
        return json.loads(done.stdout)

    def faults(self, processor, **profile):
        """Sets a simulator's faults and webhook policy."""
        self.http("PUT", self.places[processor] + "/sim/faults", json.dumps(profile))

    def webhooks(self, processor, count):
        """The first `count` webhooks of a processor that arrived: (headers, body) each."""
        for _ in range(PATIENCE_S * 20):
            found = [(headers, body) for name, headers, body in self.inbox.arrived if name == processor]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        sys.exit("%s: %d webhooks of %d arrived" % (processor, len(found), count))

    def webhook_where(self, processor, wanted):
        """The first webhook of a processor for whose (headers, body) `wanted` holds. Webhooks arrive in
        any order and late ones of earlier charges among them, so one is known by what it says."""
        for _ in range(PATIENCE_S * 20):
            for name, headers, body in list(self.inbox.arrived):
                if name == processor and wanted(headers, body):
                    return headers, body
            time.sleep(0.05)
        sys.exit("%s: the webhook looked for did not arrive" % processor)

    def http(self, method, url, body=None, headers=None):
        """A plain exchange; redirections are not followed: (status, headers, text)."""
        request = urllib.request.Request(
            url, data=body.encode() if body is not None else None, method=method, headers=headers or {}
        )
        try:
            answer = OPENER.open(request, timeout=PATIENCE_S)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, found, answer.read().decode()

    def browse(self, action, decision="approve", until="https://shop.invalid/"):
        """The customer's browser: follows an action (`redirect`, `form` or `page`) through the
        simulator's pages, presses the button of that decision, and stops when it is sent to an
        address that begins with `until`: (address without query, query, body)."""
        if action["type"] == "form":
            here, body = action["url"], urllib.parse.urlencode([tuple(field) for field in action["fields"]])
        elif action["type"] == "page":
            page = Page(base64.b64decode(action["html_base64"]).decode())
            encoded = urllib.parse.urlencode(page.fields)
            here, body = page.action, encoded if page.method == "post" else None
        else:
            here, body = action["url"], None
        for _ in range(12):
            if here.startswith(until):
                address, _, query = here.partition("?")
                return address, query, body or ""
            form = {"content-type": "application/x-www-form-urlencoded"} if body is not None else {}
            status, headers, text = self.http("GET" if body is None else "POST", here, body, form)
            if status in (301, 302, 303, 307, 308):
                here, body = urllib.parse.urljoin(here, headers["location"]), None
                continue
            page = Page(text)
            if status != 200 or page.action is None:
                sys.exit("the browser is stuck at %s: %d %s" % (here, status, text[:300]))
            fields = list(page.fields)
            if "decision" in page.buttons:
                fields.append(("decision", decision))
            encoded = urllib.parse.urlencode(fields)
            here = urllib.parse.urljoin(here, page.action)
            if page.method == "post":
                body = encoded
            else:
                here, body = here + ("?" + encoded if encoded else ""), None
        sys.exit("the browser goes round in circles")


class Page(html.parser.HTMLParser):
    """The first form of a page."""

    def __init__(self, text):
        super().__init__()
        self.action, self.method, self.fields, self.buttons = None, "get", [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action") or ""
            self.method = (attributes.get("method") or "get").lower()
        elif tag == "input" and attributes.get("name"):
            self.fields.append((attributes["name"], attributes.get("value") or ""))
        elif tag == "button" and attributes.get("name"):
            self.buttons.add(attributes["name"])


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def reference():
    """A new reference as Tollgate makes them."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=22))


def check(what, holds, seen=None):
    """Ends the proof unless it holds."""
    if not holds:
        sys.exit("NOT PROVED: %s%s" % (what, "" if seen is None else "\n  seen: %r" % (seen,)))
    print("  proved: %s" % what, flush=True)


def run(proof):
    """Carries out a proof."""
    with Proof() as world:
        proof(world)
