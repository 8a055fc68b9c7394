"""The command line: python3 -m tier up|down|status."""

import argparse
import os
import signal
import sys
from pathlib import Path

from .plan import Fault, Plan, default_folder
from .tier import Tier, remove

CURL = """curl -s {url}/api/v1/payments \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Idempotency-Key: first-payment' \\
  -H 'Content-Type: application/json' \\
  -d '{{"amount": "100.00", "currency": "INR", "payment_method": {{"type": "upi", "upi": {{"vpa": "success@upi"}}}}}}'"""


def find_binary(given):
    root = Path(__file__).resolve().parents[3]
    for place in (given, os.environ.get("TOLLGATE"), root / "target/release/tollgate", root / "target/debug/tollgate"):
        if place and os.access(place, os.X_OK):
            return os.path.abspath(place)
    raise Fault("there is no program: cargo build --release -p tollgate, or --binary FILE")


def read(words):
    options = argparse.ArgumentParser(prog="deploy/local/…", description="The whole tier on this machine.")
    options.add_argument("action", choices=["up", "down", "status"])
    options.add_argument("--base", type=int, default=17000, help="the first port; 200 from there are used")
    options.add_argument("--folder", help="where everything is kept; default: a temporary one, named after the base")
    options.add_argument("--binary", help="the program; default: target/release/tollgate, then target/debug/tollgate")
    options.add_argument("--shards", type=int, default=2, help="PostgreSQL databases with a replica each")
    options.add_argument("--gateways", type=int, default=3)
    options.add_argument("--etcd", type=int, default=1, help="1 or 3")
    options.add_argument("--strict", action="store_true", help="no writes while a shard has no replica")
    options.add_argument("--broker", action="store_true", help="RabbitMQ too")
    options.add_argument("--keep", action="store_true", help="down: stop everything, keep the folder")
    return options.parse_args(words)


def up(given, folder):
    plan = Plan(folder=folder, binary=find_binary(given.binary), base=given.base, shards=given.shards,
                gateways=given.gateways, etcd=given.etcd, strict=given.strict, broker=given.broker)
    plan.check()
    before = Plan.load(folder)
    if before:
        same = ("base", "shards", "gateways", "etcd", "strict", "broker")
        if any(getattr(before, name) != getattr(plan, name) for name in same):
            raise Fault(f"{folder} is a tier with other options; deploy/local/down first")
        plan.secret = before.secret
    elif os.path.isdir(folder) and os.listdir(folder):
        raise Fault(f"{folder} is not empty, and no tier")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    tier = Tier(plan)
    try:
        key = tier.up()
    except Fault as fault:
        raise Fault(f"{fault}\nWhat was started is still there; deploy/local/down removes it") from None
    print(f"""
gateway        {plan.url()}   (HAProxy; behind it {', '.join('http://' + plan.at(name, 2) for name in plan.gates())})
API reference  {plan.url()}/docs
card port      http://{plan.front()}:{plan.base + Plan.CARDS}
balancer       http://{plan.at('proxy', Plan.STATISTICS)}
PostgreSQL     {', '.join(f"shard {shard}: {plan.address('proxy')}:{plan.base + Plan.PRIMARIES + shard}" for shard in range(plan.shards))}
Redis          sentinels {', '.join(plan.at(f'redis{n}', Plan.SENTINEL) for n in (1, 2, 3))}
{f"broker         amqp://tollgate:{plan.secret}@{plan.at('broker', Plan.BROKER)}" + chr(10) if plan.broker else ""}simulators     {plan.path('log', 'processors.log')}
logs           {plan.path('log')}
API key        {key}

Take a payment:

{CURL.format(url=plan.url(), key=key)}

Stop with deploy/local/down{f' --folder {folder}' if given.folder else '' if given.base == 17000 else f' --base {given.base}'}.""")


def main():
    # Whoever reads only the first lines has read enough.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    given = read(sys.argv[1:])
    folder = os.path.abspath(given.folder or default_folder(given.base))
    try:
        if os.path.lexists(folder) and os.lstat(folder).st_uid != os.geteuid():
            raise Fault(f"{folder} is somebody else's")
        if given.action == "up":
            up(given, folder)
            return 0
        plan = Plan.load(folder)
        if given.action == "down":
            if plan is None and os.path.isdir(folder) and os.listdir(folder):
                raise Fault(f"{folder} is no tier: it is left alone")
            if given.keep and plan:
                Tier(plan).down()
            else:
                remove(folder, plan)
            return 0
        if plan is None:
            raise Fault(f"there is no tier in {folder}")
        return 0 if Tier(plan).status() else 1
    except Fault as fault:
        print(fault, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
