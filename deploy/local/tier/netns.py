"""A network namespace for each machine, on one bridge, so that drills can cut one machine from another."""

import subprocess

from .plan import Fault
from .process import namespace, program

HOST = "10.77.0.1"


def run(*words, check=True):
    done = subprocess.run([program(words[0]), *words[1:]], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Fault(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def allowed():
    """Whether namespaces, bridges and netem can be had here; if not, why."""
    name = "tg-probe"
    try:
        run("ip", "netns", "add", name)
        try:
            run("ip", "-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")
            run("ip", "-n", name, "link", "add", "probe2", "type", "bridge")
            run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "probe0", "root", "netem", "loss", "100%")
        finally:
            run("ip", "netns", "del", name, check=False)
    except (Fault, OSError) as error:
        return str(error)
    return None


def bridge(plan):
    return f"tg{plan.base}"


def port(plan, machine):
    """The bridge's end of a machine's cable; a name has 15 letters at most."""
    return f"t{plan.base}-{plan.machines().index(machine)}"


def up(plan):
    there = run("ip", "-o", "link", "show")
    if f" {bridge(plan)}:" not in there:
        if "10.77.0.1/16" in run("ip", "-o", "address", "show"):
            raise Fault("10.77.0.0/16 is in use here: another tier with namespaces?")
        run("ip", "link", "add", bridge(plan), "type", "bridge")
        run("ip", "address", "add", f"{HOST}/16", "dev", bridge(plan))
        run("ip", "link", "set", bridge(plan), "up")
    known = run("ip", "netns", "list").split()
    for machine in plan.machines():
        name = namespace(plan, machine)
        if name in known:
            continue
        run("ip", "netns", "add", name)
        run("ip", "link", "add", port(plan, machine), "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", port(plan, machine), "master", bridge(plan), "up")
        run("ip", "-n", name, "address", "add", f"{plan.address(machine)}/16", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")


def down(plan):
    known = run("ip", "netns", "list", check=False).split()
    for machine in plan.machines():
        if namespace(plan, machine) in known:
            run("ip", "netns", "del", namespace(plan, machine), check=False)
    run("ip", "link", "del", bridge(plan), check=False)


def tc(plan, machine, *words, check=True):
    return run("ip", "netns", "exec", namespace(plan, machine), "tc", *words, check=check)


def trouble(plan, machine, others, *netem):
    """What `machine` sends to `others` suffers `netem` (such as loss 100%): one way only. What it sends to anybody
    else goes as before."""
    mend(plan, machine)
    tc(plan, machine, "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "prio", "bands", "4")
    tc(plan, machine, "qdisc", "add", "dev", "eth0", "parent", "1:4", "handle", "40:", "netem", *netem, "limit", "10000")
    for other in others:
        address = HOST if other == "callers" else plan.address(other)
        tc(plan, machine, "filter", "add", "dev", "eth0", "parent", "1:", "protocol", "ip", "prio", "1", "u32",
           "match", "ip", "dst", f"{address}/32", "flowid", "1:4")


def everybody(plan, machine, *netem):
    """All that a machine sends suffers."""
    mend(plan, machine)
    tc(plan, machine, "qdisc", "add", "dev", "eth0", "root", "netem", *netem, "limit", "10000")


def mend(plan, machine):
    tc(plan, machine, "qdisc", "del", "dev", "eth0", "root", check=False)
