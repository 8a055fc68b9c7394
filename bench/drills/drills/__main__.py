"""Runs drills one after the other on one tier, audits after each, and prints a table."""

import argparse
import asyncio
import os
import platform
import random
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from tier import netns
from tier.__main__ import find_binary
from tier.plan import Fault, Plan
from tier.tier import Tier, remove

from .audit import UNDER_WAY, booked, looked_up, sent_again, verify
from .breaks import DRILLS, patch, ready
from .callers import Callers, Client
from .told import Told

BEFORE = 8.0  # seconds of load before something breaks
ANSWERED_WITHIN = 60.0  # seconds after the load's end in which everybody must have been answered
SETTLED_WITHIN = 60.0
TOLD_WITHIN = 60.0  # seconds until nothing waits for the bus any more

# What is in doubt is asked about soon, so that a drill need not wait for hours.
QUICK = """
[engine]
processor_timeout_ms = 3000
[enquiry]
first_ms = 200
longest_ms = 2000
settle_absent_ms = 5000
sweep_ms = 2000
"""


def read(words):
    options = argparse.ArgumentParser(prog="bench/drills/run")
    options.add_argument("names", nargs="*", metavar="NAME")
    options.add_argument("--list", action="store_true", help="name the drills and do nothing")
    options.add_argument("--short", action="store_true", help="three small drills on one shard")
    options.add_argument("--rate", type=float, help="payments a second; default: 100, with --short 20")
    options.add_argument("--partners", type=int, default=8)
    options.add_argument("--shards", type=int, help="default: 2, with --short 1")
    options.add_argument("--binary")
    options.add_argument("--report", help="write the table to this file, too")
    options.add_argument("--broker", action="store_true", help="with a broker, and its drill")
    options.add_argument("--asynchronous", action="store_true",
                         help="without synchronous replication: to see net-then-primary find what was lost")
    options.add_argument("--no-netns", action="store_true", help="no namespaces, and no drills of the network")
    options.add_argument("--keep", action="store_true", help="leave the tier behind if something was wrong")
    return options.parse_args(words)


def free_base():
    """A first port such that those behind it are free; below the ports that the kernel gives to callers."""
    for _ in range(200):
        base = random.randrange(10_000, 14_000, 200)
        try:
            for offset in (0, 1, 2, 3, 10, 20, 21, 30, 31, 40, 50, 100):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1" if offset == 0 else "127.0.0.12", base + offset))
            return base
        except OSError:
            continue
    raise Fault("there are no free ports")


class Wrong(Exception):
    """A drill cannot be gone on with."""


class Session:
    """A tier, its partners, and what was acknowledged so far."""

    def __init__(self, tier, given):
        self.tier, self.given = tier, given
        self.keys, self.shards = [], []
        self.ack_file = tier.plan.path("acknowledged")
        self.ack_log = open(self.ack_file, "a")
        self.told = Told(tier) if tier.plan.broker else None

    def client(self):
        return Client(self.tier.plan.front(), self.tier.plan.base + Plan.API)

    async def partners(self):
        """Some partners, and on which shard each is: where a payment of it makes the table longer."""
        client = self.client()
        tier = self.tier
        count = lambda shard: int(tier.sql(shard, "SELECT count(*) FROM payments", "tollgate"))
        for number in range(self.given.partners):
            key = await asyncio.to_thread(tier.add_partner, f"Drill {number}")
            before = [count(shard) for shard in range(tier.plan.shards)]
            callers = Callers(client, [key], f"place-{number}", 1, self.ack_log)
            payment = callers.new(0, time.monotonic())
            await asyncio.wait_for(callers.pay(payment), 60)
            after = [count(shard) for shard in range(tier.plan.shards)]
            self.keys.append(key)
            self.shards.append(next((n for n, pair in enumerate(zip(before, after)) if pair[0] < pair[1]), 0))
        client.close()

    async def well(self, seconds=120):
        """Waits until the tier is whole."""
        tier = self.tier

        def holds():
            for name in tier.processes:
                tier.start(name)
            return tier.replicated(self.given.asynchronous) and all(tier.is_ready(name) for name in tier.plan.gates()) and ready(tier)

        await asyncio.to_thread(tier.wait, "the tier is whole again", holds, seconds)

    async def run(self, drill):
        """One drill. Gives its row, and what was wrong."""
        tier, wrong = self.tier, []
        await self.well()
        if drill.strict:
            await asyncio.to_thread(patch, tier, 0, {"synchronous_mode_strict": True})
        if self.given.asynchronous:
            await asyncio.to_thread(patch, tier, 0, {"synchronous_mode": False, "maximum_lag_on_failover": 1 << 30})
        known = set().union(*await asyncio.to_thread(booked, tier.plan, set()))
        client = self.client()
        callers = Callers(client, self.keys, f"{drill.name}-{os.getpid()}", self.given.rate, self.ack_log)
        load = asyncio.create_task(callers.run())
        begun = time.monotonic()
        await asyncio.sleep(BEFORE - 3 * self.given.short)
        broken_at = time.monotonic()
        mend = await asyncio.to_thread(drill.broken, tier)
        really_broken = time.monotonic()
        await asyncio.sleep(max(0.0, broken_at + drill.lasts - time.monotonic()))
        mended_at = time.monotonic()
        mending = asyncio.create_task(asyncio.to_thread(mend))
        await asyncio.sleep(drill.after)
        ended = time.monotonic()
        await callers.end(ANSWERED_WITHIN)
        await load
        await mending
        answered_at = time.monotonic()
        if drill.strict:
            await asyncio.to_thread(patch, tier, 0, {"synchronous_mode_strict": False})
        await self.well()

        # What was acknowledged, and what has become of it.
        taken = [payment for payment in callers.payments if payment.was_taken()]
        refused = [payment for payment in callers.payments if payment.answer and not payment.was_taken()]
        if callers.unfinished:
            wrong.append(f"{callers.unfinished} requests were not answered: {', '.join(callers.waiting[:5])}")
        for payment in refused[:3]:
            wrong.append(f"{payment.key} was refused for good: {payment.answer.status} {payment.answer.code}")
        # What a processor knows is settled soon; what it never heard of stays open until its report.
        patience, before = SETTLED_WITHIN, None
        while True:
            lost, statuses = await looked_up(client, self.keys, taken)
            open_still = sum(status in UNDER_WAY for status in statuses.values())
            patience = patience - 5 if open_still != before else patience - 15
            before = open_still
            if not open_still or patience <= 0:
                break
            await asyncio.sleep(5)
        repeated = [p for p in taken if broken_at - 3 <= (p.end or 0) <= mended_at + 5][:4000]
        lost |= await sent_again(client, self.keys, repeated)
        ids = {}
        for payment in taken:
            ids.setdefault(payment.id(), set()).add(payment.key)
        lost |= {found: f"{found}: one payment for {sorted(keys)}" for found, keys in ids.items() if len(keys) > 1}
        kept, _ = await asyncio.to_thread(booked, tier.plan, known)
        completed = sum(status == "completed" for status in statuses.values())
        doubles = len(kept) - completed
        if doubles:
            wrong.append(f"processors have kept money of {len(kept)} charges, callers know of {completed} payments")
        wrong += list(lost.values())[:5]
        alone = 0
        if drill.strict:
            # Only the primary had these when they were acknowledged.
            alone = sum(self.shards[p.partner] == 0 and p.sent > really_broken + 0.5 and p.end < mended_at for p in taken)
            if alone:
                wrong.append(f"{alone} payments were acknowledged that no replica had")
        standstill = callers.standstill(broken_at, range(len(self.keys)))
        others = [partner for partner, shard in enumerate(self.shards) if shard != drill.shard]
        if drill.others_max is not None:
            stood = callers.standstill(broken_at, others)
            if not others or stood > drill.others_max:
                wrong.append(f"partners of other shards ({len(others)}) stood still for {stood:.1f} s")
        # The short form is a test, on machines of any speed: it asks what became of the money, not how fast.
        if standstill > drill.standstill_max and not self.given.short:
            wrong.append(f"a partner's payments stood still for {standstill:.1f} s")
        client.close()
        words, clean, untold = await self.audit()
        if not clean:
            wrong.append("verify:\n" + words)
        wrong += untold[:5]

        before = callers.percentile(begun + 2, broken_at, 0.99)
        errors = callers.errors_since(broken_at)
        first = callers.first_success(really_broken)
        row = [
            drill.name, drill.what, str(len(callers.payments)),
            ", ".join(f"{count} × {what}" for what, count in errors.most_common(5)) or "none",
            f"{standstill:.1f}", "–" if first is None else f"{first:.1f}",
            f"{before * 1000:.0f}", f"{callers.percentile(broken_at, answered_at, 0.99) * 1000:.0f}",
            f"{callers.back_to_normal(broken_at, ended, before):.0f}",
            str(len(lost)), str(max(doubles, 0)), str(open_still),
            "clean" if clean else "NOT CLEAN"]
        return row, wrong

    async def audit(self):
        """Gateways stand still while verify reads, and the bus has been told everything before."""
        tier = self.tier

        def stopped():
            untold = self.told.wait(TOLD_WITHIN) if self.told else []
            for name in tier.plan.gates():
                tier.processes[name].send(signal.SIGTERM)
            for name in tier.plan.gates():
                if not tier.processes[name].wait_for_end(50):
                    raise Fault(f"{name} does not stop")
            words, clean = verify(tier, self.ack_file)
            if self.told:
                more, count = self.told.wrong()
                untold += more
                print(f"the bus was told {count} events, {self.told.repeats} of them more than once", flush=True)
            tier.start(*tier.plan.gates())
            return words, clean, untold

        return await asyncio.to_thread(stopped)


HEAD = ["drill", "what breaks", "payments", "what callers were told instead (repeated until answered)", "standstill s",
        "first success s", "p99 before ms", "p99 from then on ms", "p99 normal after s", "lost", "charged twice",
        "in doubt", "verify"]


def table(rows):
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def report(plan, given, rows):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}"
    shards = "1 shard with a replica" if plan.shards == 1 else f"{plan.shards} shards with a replica each"
    text = (f"{machine}; {shards}, {plan.gateways} gateways, {given.partners} partners, {given.rate:g} payments a second, "
            f"open loop\n\n{table(rows)}\n")
    if given.report:
        Path(given.report).write_text(text)
    return text


async def session(tier, drills, given):
    rows, failures = [], []
    it = Session(tier, given)
    await it.partners()
    for drill in drills:
        begun = time.monotonic()
        try:
            row, wrong = await it.run(drill)
            rows.append(row)
            report(tier.plan, given, rows)
        except Fault as fault:
            wrong = [str(fault)]
        for what in wrong:
            print(f"WRONG {drill.name}: {what}", flush=True)
            failures.append(drill.name)
        state = "WRONG" if wrong else "well"
        print(f"{drill.name}: {state}, {time.monotonic() - begun:.0f} s", flush=True)
        if wrong and given.keep:
            break
    return rows, failures


def main():
    given = read(sys.argv[1:])
    if given.list:
        for drill in DRILLS:
            print(f"{drill.name:20} {drill.what}")
        return 0
    given.rate = given.rate or (20 if given.short else 100)
    known = {drill.name for drill in DRILLS}
    if unknown := [name for name in given.names if name not in known]:
        print(f"there is no drill {unknown[0]}; --list names them", file=sys.stderr)
        return 2
    drills = [drill for drill in DRILLS if (drill.name in given.names if given.names else drill.short or not given.short)]
    drills = [drill for drill in drills if given.broker or not drill.needs_broker]
    plan_shards = given.shards or (1 if given.short else 2)
    drills = [drill for drill in drills if drill.shard < plan_shards]
    why_not = None
    if any(drill.needs_network for drill in drills):
        why_not = "--no-netns was given" if given.no_netns else netns.allowed()
        if why_not:
            left_out = [drill.name for drill in drills if drill.needs_network]
            print(f"left out, because network namespaces cannot be had here ({why_not}): {', '.join(left_out)}")
            drills = [drill for drill in drills if not drill.needs_network]
    if not drills:
        return 0
    folder = tempfile.mkdtemp(prefix="tollgate-drills.")
    plan = Plan(folder=folder, binary="", shards=plan_shards, extra=QUICK,
                gateways=2 if given.short else 3, broker=given.broker,
                netns=any(drill.needs_network for drill in drills))
    # A signal ends it as an error does: by what is below.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    failed = True
    tier = None
    try:
        plan.binary, plan.base = find_binary(given.binary), free_base()
        plan.check()
        begun = time.monotonic()
        tier = Tier(plan)
        tier.up()
        print(f"the tier is up after {time.monotonic() - begun:.0f} s; {given.rate:g} payments a second", flush=True)
        rows, failures = asyncio.run(session(tier, drills, given))
        print("\n" + report(plan, given, rows))
        failed = bool(failures)
        print("all well: nothing acknowledged was lost, nobody was charged twice" if not failed
              else f"WRONG: {', '.join(dict.fromkeys(failures))}")
        return 1 if failed else 0
    except Fault as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if failed and given.keep and tier:
            print(f"left behind: {folder} (deploy/local/down --folder {folder})")
        else:
            remove(folder, plan if tier else None)


if __name__ == "__main__":
    sys.exit(main())
