"""Whether the bus was told everything: what the store's log holds against what a reader of the broker's queue has got, in each
partner's order."""

import json
import subprocess
import time
from pathlib import Path

from tier.plan import Fault, Plan

QUEUE = "tollgate.payment_events"
# Debian's, which knows Debian's packages, whatever python3 this is run by.
PYTHON = "/usr/bin/python3"


class Told:
    """Everything that was ever read from the queue."""

    def __init__(self, tier):
        self.tier = tier
        self.read = {}  # a partner's ids, in the order in which each was first seen
        self.seen = set()
        self.repeats = 0

    def drain(self):
        plan = self.tier.plan
        done = subprocess.run(
            [PYTHON, str(Path(__file__).with_name("read_queue.py")), plan.address("broker"), str(plan.base + Plan.BROKER),
             "tollgate", QUEUE], input=plan.secret, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Fault(f"the queue cannot be read: {done.stderr[-500:]}")
        for line in done.stdout.splitlines():
            partner, found = line.split()
            if found in self.seen:
                self.repeats += 1
            else:
                self.seen.add(found)
                self.read.setdefault(partner, []).append(found)

    def wait(self, patience):
        """Waits until nothing is left to tell; gives what is left."""
        until = time.monotonic() + patience
        while True:
            lines = self.tier.tollgate("events", "status").stdout.splitlines()
            waiting = [line for line in lines if line.startswith("events-") and " 0 wait" not in line]
            if lines and not waiting or time.monotonic() > until:
                return waiting
            time.sleep(1)

    def wrong(self):
        """What the log says that the queue's readers were not told, or not in order. Gateways must stand still."""
        self.drain()
        printed = self.tier.tollgate("events", "replay", "--stdout", "--from", "0", "--topic", "payment_events").stdout
        log = {}
        for line in printed.splitlines():
            event = json.loads(line)
            log.setdefault(event["partitionkey"], []).append(event["id"])
        found = []
        for partner, ids in log.items():
            read = self.read.get(partner, [])
            missing = set(ids) - set(read)
            if missing:
                found.append(f"{len(missing)} events of {partner} were never told, such as {min(missing)}")
            elif len(read) > len(ids):
                found.append(f"events of {partner} were told and are not in the log, such as {min(set(read) - set(ids))}")
            elif read != ids:
                first = next(one for one, other in zip(ids, read) if one != other)
                found.append(f"events of {partner} were told in another order from {first} on")
        for partner in self.read.keys() - log.keys():
            found.append(f"events of {partner} were told and are not in the log")
        return found, sum(map(len, log.values()))
