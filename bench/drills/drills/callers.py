"""Callers: payments on a schedule, however the gateway feels, each under an idempotency key and sent again under it
until there is an answer. What was answered is what must be there afterwards."""

import asyncio
import collections
import dataclasses
import json
import time

TIMEOUT = 10.0  # of one request
CONNECTIONS = 400
AMOUNT = "100.00"
CURRENCY = "INR"

# Some answers of processors are lost on purpose, so that there is always somebody whose money is in doubt.
INSTRUMENTS = ["success"] * 46 + ["drop-after", "timeout-after", "garbage", "declined"]
REFUNDED = 10  # every so many-th completed payment is paid back


@dataclasses.dataclass
class Answer:
    """What came of one request."""

    status: int  # 0: none
    code: str  # the stable code, or what happened to the connection
    body: dict | None


class Connection:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.reader = self.writer = None
        self.used = 0.0

    async def call(self, verb, path, headers, body):
        """One request. Raises what the connection raises; then it may have arrived."""
        if self.writer is not None and (self.reader.at_eof() or time.monotonic() - self.used > 30):
            # The other side has ended it, or may be about to.
            self.close()
        self.used = time.monotonic()
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        lines = [f"{verb} {path} HTTP/1.1", f"Host: {self.host}", *(f"{name}: {text}" for name, text in headers.items())]
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await self.writer.drain()
        first = await self.reader.readline()
        if not first:
            raise ConnectionResetError("closed")
        status = int(first.split()[1])
        length, close, chunked = 0, False, False
        while True:
            line = await self.reader.readline()
            if line in (b"\r\n", b""):
                break
            name, _, text = line.decode().partition(":")
            name, text = name.lower(), text.strip().lower()
            if name == "content-length":
                length = int(text)
            elif name == "connection":
                close = text == "close"
            elif name == "transfer-encoding":
                chunked = text == "chunked"
        if chunked:
            data = b""
            while size := int(await self.reader.readline(), 16):
                data += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readline()
        else:
            data = await self.reader.readexactly(length)
        if close:
            self.close()
        return status, data

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Client:
    """Requests to one address over kept-alive connections."""

    def __init__(self, host, port):
        self.host, self.port = host, port
        self.idle = []
        self.places = asyncio.Semaphore(CONNECTIONS)

    async def call(self, verb, path, key, idempotency_key=None, body=None, timeout=TIMEOUT):
        headers = {"Authorization": f"Bearer {key}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        async with self.places:
            connection = self.idle.pop() if self.idle else Connection(self.host, self.port)
            try:
                status, data = await asyncio.wait_for(connection.call(verb, path, headers, body), timeout)
            except (asyncio.TimeoutError, TimeoutError):
                connection.close()
                return Answer(0, "timeout", None)
            except ConnectionRefusedError:
                connection.close()
                return Answer(0, "refused connection", None)
            except (OSError, EOFError, ValueError, IndexError):
                connection.close()
                return Answer(0, "lost connection", None)
            self.idle.append(connection)
        try:
            answer = json.loads(data)
        except ValueError:
            return Answer(status, "no JSON", None)
        return Answer(status, answer.get("code", "") if status >= 400 else "", answer)

    def close(self):
        for connection in self.idle:
            connection.close()
        self.idle.clear()


@dataclasses.dataclass
class Payment:
    """One payment of one caller."""

    partner: int
    key: str
    body: dict
    due: float
    end: float | None = None
    answer: Answer | None = None
    sendings: int = 0
    sent: float = 0.0  # the sending that was answered
    refund: Answer | None = None
    last: str = ""  # what the latest request was told instead of an answer

    def was_taken(self):
        return self.answer is not None and 200 <= self.answer.status < 300

    def id(self):
        return self.answer.body["id"]

    def status(self):
        return self.answer.body["status"]


class Callers:
    """An open loop over some partners' keys."""

    def __init__(self, client, keys, name, rate, ack_log):
        self.client, self.keys, self.name, self.rate = client, keys, name, rate
        self.payments = []
        self.errors = []  # (when, what), one for every request without a proper answer
        self.ack_log = ack_log
        self.stopped = asyncio.Event()
        self.tasks = set()
        self.completed = 0
        self.unfinished = 0
        self.waiting = []

    async def run(self):
        """Until it is stopped; then what is under way has its time to be answered."""
        begun = time.monotonic()
        number = 0
        while not self.stopped.is_set():
            due = begun + number / self.rate
            pause = due - time.monotonic()
            if pause > 0:
                try:
                    await asyncio.wait_for(self.stopped.wait(), pause)
                    break
                except (asyncio.TimeoutError, TimeoutError):
                    pass
            payment = self.new(number, due)
            self.payments.append(payment)
            task = asyncio.create_task(self.pay(payment))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            number += 1

    def new(self, number, due):
        name = INSTRUMENTS[(number * 7) % len(INSTRUMENTS)]
        body = {"amount": AMOUNT, "currency": CURRENCY,
                "payment_method": {"type": "upi", "upi": {"vpa": f"{name}@upi"}},
                "metadata": {"drill": self.name}}
        return Payment(number % len(self.keys), f"{self.name}-{number}", body, due)

    async def until_answered(self, path, payment, key, body, note):
        """Sends the same until it is answered for good."""
        pause = 0.1
        while True:
            note(time.monotonic())
            answer = await self.client.call("POST", path, self.keys[payment.partner], key, body)
            if 200 <= answer.status < 300:
                payment.last = ""
                return answer
            payment.last = f"{answer.status or ''} {answer.code}".strip()
            self.errors.append((time.monotonic(), payment.last))
            # Only what says that waiting helps is sent again; an answer that was not given is no answer.
            if answer.status and answer.status not in (408, 409, 425, 429) and answer.status < 500:
                payment.last = ""
                return answer
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def pay(self, payment):
        def note(now):
            payment.sendings += 1
            payment.sent = now

        answer = await self.until_answered("/api/v1/payments", payment, payment.key, payment.body, note)
        payment.end, payment.answer = time.monotonic(), answer
        if not payment.was_taken():
            return
        # One write a line, at once: what was acknowledged is on record even if the drill dies.
        self.ack_log.write("\t".join([payment.id(), payment.status(), AMOUNT, CURRENCY, payment.key]) + "\n")
        self.ack_log.flush()
        if payment.status() == "completed":
            self.completed += 1
            if self.completed % REFUNDED == 0:
                path = f"/api/v1/payments/{payment.id()}/refunds"
                payment.refund = await self.until_answered(path, payment, payment.key + "-back", {}, lambda _: None)

    async def end(self, patience):
        """Nothing new; what is under way is waited for. What is not answered by then never will be."""
        self.stopped.set()
        await asyncio.sleep(0)
        if self.tasks:
            await asyncio.wait(set(self.tasks), timeout=patience)
        self.unfinished = len(self.tasks)
        self.waiting = [f"{payment.key} ({payment.sendings} sendings, at last: {payment.last or 'no answer yet'})"
                        for payment in self.payments if payment.answer is None or payment.last]
        for task in list(self.tasks):
            task.cancel()

    # What it was like.

    def standstill(self, since, partners):
        """The longest time, from then on, that any one of these partners went without an acknowledged payment."""
        longest = 0.0
        for partner in partners:
            ends = sorted(p.end for p in self.payments if p.partner == partner and p.was_taken() and p.end >= since)
            times = [since, *ends]
            longest = max([longest, *(b - a for a, b in zip(times, times[1:]))])
            if not ends:
                longest = max(longest, time.monotonic() - since)
        return longest

    def first_success(self, since):
        """After how long every partner had a payment acknowledged that was sent after that moment."""
        firsts = []
        for partner in range(len(self.keys)):
            ends = [p.end for p in self.payments if p.partner == partner and p.was_taken() and p.sent >= since]
            if not ends:
                return None
            firsts.append(min(ends) - since)
        return max(firsts)

    def percentile(self, begun, ended, share):
        """Of the times from due to answered, all repetitions included, of payments due in between."""
        times = sorted((p.end or time.monotonic()) - p.due for p in self.payments if begun <= p.due < ended
                       and p.body["payment_method"]["upi"]["vpa"] != "timeout-after@upi")
        return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0

    def back_to_normal(self, since, until, before):
        """After how long no second was slow any more: its p99 above three times what it was before, and 250 ms more."""
        bound = before * 3 + 0.25
        slow, second = 0.0, 0
        while since + second + 1 <= until:
            if self.percentile(since + second, since + second + 1, 0.99) > bound:
                slow = second + 1
            second += 1
        return slow

    def errors_since(self, since):
        return collections.Counter(what for when, what in self.errors if when >= since)
