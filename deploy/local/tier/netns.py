"""A network namespace for each machine, on one bridge, so that drills can cut one machine from another."""

import os
import subprocess
import sys
from pathlib import Path

from .plan import Fault
from .process import MARK, namespace, program


def host(plan):
    """This machine's own address on the bridge: where callers are."""
    return plan.inside(1)


def run(*words, check=True):
    done = subprocess.run([program(words[0]), *words[1:]], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Fault(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def allowed(*more):
    """Whether namespaces and what drills do with them can be had here; if not, why."""
    name = "tg-probe"
    try:
        run("ip", "netns", "add", name)
        try:
            run("ip", "-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")
            run("ip", "-n", name, "link", "add", "probe2", "type", "bridge")
            run("ip", "netns", "exec", name, "nft", "add", "table", "ip", "drill")
            for words in more:
                run("ip", "netns", "exec", name, *words)
        finally:
            run("ip", "netns", "del", name, check=False)
    except (Fault, OSError) as error:
        return str(error)
    return None


def netem():
    """Why the kernel cannot delay packets here; None: it can."""
    return allowed(("tc", "qdisc", "add", "dev", "probe0", "root", "netem", "delay", "1ms"))


def bridge(plan):
    return f"tg{plan.base}"


def port(plan, machine):
    """The bridge's end of a machine's cable; a name has 15 letters at most."""
    return f"t{plan.base}-{plan.machines().index(machine)}"


def up(plan):
    there = run("ip", "-o", "link", "show")
    if f" {bridge(plan)}:" not in there:
        if f" {host(plan)}/" in run("ip", "-o", "address", "show"):
            raise Fault(f"{host(plan)} is in use here: another tier with namespaces?")
        run("ip", "link", "add", bridge(plan), "type", "bridge")
        run("ip", "address", "add", f"{host(plan)}/24", "dev", bridge(plan))
        run("ip", "link", "set", bridge(plan), "up")
    known = run("ip", "netns", "list").split()
    for machine in plan.machines():
        name = namespace(plan, machine)
        if name in known:
            continue
        run("ip", "netns", "add", name)
        run("ip", "link", "add", port(plan, machine), "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", port(plan, machine), "master", bridge(plan), "up")
        run("ip", "-n", name, "address", "add", f"{plan.address(machine)}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")


def down(plan):
    known = run("ip", "netns", "list", check=False).split()
    for machine in plan.machines():
        if namespace(plan, machine) in known:
            run("ip", "netns", "del", namespace(plan, machine), check=False)
    run("ip", "link", "del", bridge(plan), check=False)


def inside(plan, machine, *words, check=True):
    return run("ip", "netns", "exec", namespace(plan, machine), *words, check=check)


def rule(plan, machine, *words):
    """What a machine does with what arrives, before anybody there sees it: nobody is told of what is dropped."""
    inside(plan, machine, "nft", "add", "table", "ip", "drill")
    inside(plan, machine, "nft", "add", "chain", "ip", "drill", "arriving", "{ type filter hook input priority 0 ; }")
    inside(plan, machine, "nft", "add", "rule", "ip", "drill", "arriving", *words, "drop")


def deafen(plan, machine, other):
    """What `other` sends to `machine` is lost, one way: not what `machine` sends."""
    rule(plan, machine, "ip", "saddr", host(plan) if other == "callers" else plan.address(other))


def cut(plan, machine, other):
    """Both ways."""
    deafen(plan, machine, other)
    deafen(plan, other, machine)


def cut_off(plan, machine):
    """All cables of a machine, its own inside left alone."""
    run("ip", "link", "set", port(plan, machine), "down")


def lose(plan, machine, percent):
    """So many of the packets that arrive at a machine are lost, by chance."""
    rule(plan, machine, "iifname", "eth0", "numgen", "random", "mod", "100", "<", str(percent))


CABLES = {}  # slow ones, by machine


def delay(plan, machine, middle_ms, more_or_less_ms):
    """What a machine sends arrives later: by netem, or where the kernel has none by a program in between."""
    if netem() is None:
        inside(plan, machine, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", f"{middle_ms}ms",
               f"{more_or_less_ms}ms", "limit", "10000")
        return
    # Packets must be whole, as on a real cable: no sums left to the card, no bundles.
    inside(plan, machine, "ethtool", "-K", "eth0", "tx", "off")
    words = [port(plan, machine), bridge(plan), f"s{plan.base}-{plan.machines().index(machine)}", middle_ms, more_or_less_ms]
    environment = {**os.environ, MARK: plan.folder, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    child = subprocess.Popen([sys.executable, "-B", "-m", "tier.cable", *map(str, words)], env=environment,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    CABLES[machine] = child
    if not child.stdout.readline():
        raise Fault("the slow cable did not come into place")


def mend(plan, *machines):
    for machine in machines:
        slow = CABLES.pop(machine, None)
        if slow:
            slow.terminate()
            slow.wait(10)
        inside(plan, machine, "nft", "delete", "table", "ip", "drill", check=False)
        inside(plan, machine, "tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        run("ip", "link", "set", port(plan, machine), "up")
