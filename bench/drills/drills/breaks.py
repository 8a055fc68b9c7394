"""What is broken, and how it is mended. One function a drill: it breaks, and gives what mends."""

import dataclasses
import json
import time
import urllib.request
from typing import Callable

from tier import netns
from tier.plan import Plan
from tier.tier import ask


@dataclasses.dataclass
class Drill:
    name: str
    what: str  # for people
    broken: Callable  # breaks, and gives what mends
    lasts: float = 25.0  # seconds from breaking to mending
    after: float = 12.0  # seconds from mending to the end of the load
    standstill_max: float = 30.0  # seconds that any partner may be without an acknowledged payment
    shard: int = 0  # whose partners it is about
    others_max: float | None = None  # seconds that partners of other shards may be without one
    needs_network: bool = False
    needs_broker: bool = False
    strict: bool = False  # whether nothing may be acknowledged meanwhile that only the primary has
    short: bool = False


DRILLS = []


def drill(name, what, **more):
    def keep(broken):
        DRILLS.append(Drill(name, what, broken, **more))
        return broken

    return keep


def patch(tier, shard, change):
    """Changes Patroni's settings of a shard while it runs."""
    for half in "ab":
        url = f"http://{tier.plan.at(f'db{shard}{half}', Plan.PATRONI)}/config"
        request = urllib.request.Request(url, method="PATCH", data=json.dumps(change).encode())
        try:
            with urllib.request.urlopen(request, timeout=5):
                break
        except OSError:
            continue
    # Both halves take it over with their next look.
    time.sleep(5)


def cut(tier, machine, others):
    """Cuts a machine from others, both ways."""
    for other in others:
        netns.cut(tier.plan, machine, other)
    return lambda: netns.mend(tier.plan, machine, *others)


# PostgreSQL.


@drill("postgres", "the primary's PostgreSQL, kill -9", short=True, lasts=15)
def postgres(tier):
    tier.kill_postgres(tier.primary(0))
    # Patroni sees to the rest.
    return lambda: None


@drill("primary", "the primary's machine: PostgreSQL and Patroni, kill -9", lasts=32)
def primary(tier):
    machine = tier.primary(0)
    tier.kill_machine(machine)
    return lambda: tier.start(machine)


@drill("replica", "the replica's machine, kill -9")
def replica(tier):
    machine = tier.replica(0)
    tier.kill_machine(machine)
    return lambda: tier.start(machine)


@drill("strict", "the replica's machine, kill -9, where nothing may be written without a replica", strict=True,
       standstill_max=60)
def strict(tier):
    machine = tier.replica(0)
    tier.kill_machine(machine)
    return lambda: tier.start(machine)


@drill("etcd", "etcd, kill -9")
def etcd(tier):
    names = [f"etcd{n}" for n in range(1, tier.plan.etcd + 1)]
    for name in names:
        tier.processes[name].kill()
    return lambda: tier.start(*names)


# Beside it.


@drill("redis", "Redis's master, kill -9", short=True, lasts=12, after=6)
def redis(tier):
    machine = tier.redis_master() or "redis1"
    tier.processes[machine].kill()
    return lambda: tier.start(machine)


@drill("redis-all", "both Redis and their sentinels, kill -9", lasts=15)
def redis_all(tier):
    names = ["sentinel1", "sentinel2", "sentinel3", "redis1", "redis2"]
    for name in names:
        tier.processes[name].kill()
    return lambda: tier.start(*reversed(names))


@drill("broker", "the broker, kill -9", needs_broker=True, lasts=15)
def broker(tier):
    tier.processes["broker"].kill()
    return lambda: tier.start("broker")


@drill("vault", "the vault, kill -9", lasts=10)
def vault(tier):
    tier.processes["vault"].kill()
    return lambda: tier.start("vault")


@drill("gateway", "one gateway, kill -9", short=True, lasts=8, after=6)
def gateway(tier):
    tier.processes["gate1"].kill()
    return lambda: tier.start("gate1")


# Cables.


@drill("net-gateway-primary", "the cable between one gateway and a primary", needs_network=True, lasts=20)
def net_gateway_primary(tier):
    return cut(tier, "gate1", [tier.primary(0)])


@drill("net-primary-replica", "the cable between a primary and its replica", needs_network=True)
def net_primary_replica(tier):
    return cut(tier, tier.primary(0), [tier.replica(0)])


@drill("net-one-way", "what a replica sends to its primary", needs_network=True)
def net_one_way(tier):
    machine = tier.primary(0)
    netns.deafen(tier.plan, machine, tier.replica(0))
    return lambda: netns.mend(tier.plan, machine)


@drill("net-primary-apart", "the cables between a primary and etcd and its replica; gateways still reach it",
       needs_network=True, lasts=35)
def net_primary_apart(tier):
    etcds = [f"etcd{n}" for n in range(1, tier.plan.etcd + 1)]
    return cut(tier, tier.primary(0), [tier.replica(0), *etcds])


@drill("net-primary-alone", "all cables of a primary", needs_network=True, lasts=35)
def net_primary_alone(tier):
    machine = tier.primary(0)
    netns.cut_off(tier.plan, machine)
    return lambda: netns.mend(tier.plan, machine)


@drill("net-other-shard", "all cables of the second shard's primary: who is on the first must not notice",
       needs_network=True, shard=1, others_max=4, lasts=15, after=20, standstill_max=45)
def net_other_shard(tier):
    machine = tier.primary(1)
    netns.cut_off(tier.plan, machine)
    return lambda: netns.mend(tier.plan, machine)


@drill("net-then-primary", "the cable between a primary and its replica, and 14 s later the primary's machine",
       needs_network=True, lasts=40, standstill_max=50)
def net_then_primary(tier):
    # The default of PostgreSQL: only after a minute is a silent replica given up.
    patch(tier, 0, {"postgresql": {"parameters": {"wal_sender_timeout": "60s"}}})
    machine, other = tier.primary(0), tier.replica(0, "replica")
    mend = cut(tier, machine, [other])
    time.sleep(14)
    tier.kill_machine(machine)

    def back():
        mend()
        tier.start(machine)
        tier.wait("the shard has two halves again", lambda: tier.replicated(True), 90)
        patch(tier, 0, {"postgresql": {"parameters": {"wal_sender_timeout": "6s"}}})

    return back


@drill("net-delay", "60 ms, give or take 20, on all that a primary sends", needs_network=True, lasts=20)
def net_delay(tier):
    machine = tier.primary(0)
    netns.delay(tier.plan, machine, 60, 20)
    return lambda: netns.mend(tier.plan, machine)


@drill("net-loss", "every tenth packet that reaches a primary is lost", needs_network=True, lasts=20)
def net_loss(tier):
    machine = tier.primary(0)
    netns.lose(tier.plan, machine, 10)
    return lambda: netns.mend(tier.plan, machine)


@drill("net-gateway-alone", "all cables of one gateway", needs_network=True, lasts=20)
def net_gateway_alone(tier):
    netns.cut_off(tier.plan, "gate1")
    return lambda: netns.mend(tier.plan, "gate1")


@drill("net-processors", "the cables between gateways and processors", needs_network=True, lasts=12, after=20,
       standstill_max=60)
def net_processors(tier):
    return cut(tier, "processors", tier.plan.gates())


@drill("net-redis", "the cables between gateways and Redis", needs_network=True, lasts=15)
def net_redis(tier):
    mends = [cut(tier, machine, tier.plan.gates()) for machine in ("redis1", "redis2", "redis3")]
    return lambda: [mend() for mend in mends]


def ready(tier):
    return ask(tier.plan.url() + "/ready")[0] == 200
