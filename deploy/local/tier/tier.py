"""All of the tier: up, down, status, and the handles that drills pull."""

import glob
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import netns, settings
from .plan import Fault, Plan
from .process import Process, begun, marked, program, reap, server_account

PARTNER = ["--country", "IN", "--mcc", "6211", "--processors", "razorpay,payu,stripe,phonepe,paytm"]


def ask(url, seconds=2, method="GET", body=None):
    """Status and text; 0 where nobody answers."""
    request = urllib.request.Request(url, method=method, data=body)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            return reply.status, reply.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError):
        return 0, ""


def listens(address, port):
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


class Tier:
    def __init__(self, plan):
        self.plan = plan
        self.account = server_account()
        self.processes = {process.name: process for process in self.all()}

    # What runs.

    def all(self):
        plan = self.plan
        peers = ",".join(f"etcd{n}=http://{plan.at(f'etcd{n}', Plan.ETCD_PEER)}" for n in range(1, plan.etcd + 1))
        for number in range(1, plan.etcd + 1):
            name = f"etcd{number}"
            client, peer = (f"http://{plan.at(name, port)}" for port in (Plan.ETCD, Plan.ETCD_PEER))
            yield Process(plan, name, [
                "etcd", "--name", name, "--data-dir", plan.path("etcd", name),
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", peers, "--initial-cluster-token", f"tollgate-{plan.base}",
                "--initial-cluster-state", "new", "--enable-v2=false", "--logger", "zap", "--log-level", "warn"])
        for machine in plan.patronis():
            # Debian's Python: that is whose packages Patroni is among.
            yield Process(plan, machine, ["/usr/bin/python3", program("patroni"), plan.path("postgres", f"{machine}.yml")],
                          account=self.account, environment={"PGPASSFILE": "", "PYTHONPATH": ""})
        for machine in ("redis1", "redis2"):
            yield Process(plan, machine, ["redis-server", plan.path("redis", f"{machine}.conf")])
        for number in (1, 2, 3):
            yield Process(plan, f"sentinel{number}", ["redis-sentinel", plan.path("redis", f"sentinel{number}.conf")],
                          machine=f"redis{number}")
        if plan.broker:
            yield Process(plan, "broker", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], environment=settings.broker(plan))
        yield Process(plan, "proxy", ["haproxy", "-W", "-db", "-f", plan.path("proxy", "haproxy.cfg")])
        yield Process(plan, "processors", [
            plan.binary, "simulate", "--listen", plan.at("processors", Plan.SIMULATORS), "--webhooks", plan.url(),
            "--accounts", plan.path("accounts.toml"), "--books", plan.path("books")])
        yield Process(plan, "vault", [plan.binary, "--config", plan.path("vault.toml"), "vault", "serve"])
        for name in plan.gates():
            yield Process(plan, f"{name}-way", ["haproxy", "-W", "-db", "-f", plan.path("proxy", f"{name}.cfg")],
                          machine=name)
            yield Process(plan, name, [plan.binary, "--config", plan.path("tollgate.toml"), "serve"],
                          environment={**settings.store(plan, name),
                                       "TOLLGATE_SERVER__LISTEN": plan.at(name, Plan.GATEWAY),
                                       "TOLLGATE_VAULT__FOLDER": plan.path("vault", name)})

    def start(self, *names):
        for name in names:
            self.processes[name].start()

    def wait(self, what, holds, seconds, *names):
        """Until it holds. If one of these processes dies meanwhile there is no hope."""
        until = time.monotonic() + seconds
        while True:
            reap()
            found = holds()
            if found:
                return found
            for name in names:
                if not self.processes[name].pid():
                    raise Fault(f"{name} has ended ({self.processes[name].log}):\n{self.processes[name].last_words()}")
            if time.monotonic() > until:
                said = "\n".join(f"-- {name}\n{self.processes[name].last_words()}" for name in names[:3])
                raise Fault(f"{what}: not within {seconds} s\n{said}")
            time.sleep(0.2)

    # Up.

    def up(self, say=lambda text: print(text, flush=True)):
        plan = self.plan
        plan.check()
        self.folders()
        plan.save()
        if plan.netns:
            netns.up(plan)
        self.refuse_taken_ports()
        say(f"{plan.shards} shards with a replica each, {plan.gateways} gateways; folder {plan.folder}")
        etcds = [f"etcd{n}" for n in range(1, plan.etcd + 1)]
        self.start(*etcds)
        self.write_settings()
        self.start("redis1", "redis2", "processors")
        self.wait("etcd answers", lambda: all(
            '"health":"true"' in ask(f"http://{plan.at(name, Plan.ETCD)}/health")[1] for name in etcds), 60, *etcds)
        self.start(*plan.patronis())
        if plan.broker:
            self.start("broker")
        self.wait("redis answers", lambda: listens(plan.address("redis1"), plan.base + Plan.REDIS), 30, "redis1", "redis2")
        self.start("sentinel1", "sentinel2", "sentinel3")
        self.wait("the simulators answer", lambda: Path(plan.path("accounts.toml")).exists(), 30, "processors")
        settings.write(plan.path("vault.toml"), settings.vault(plan))
        settings.write(plan.path("tollgate.toml"), settings.gateway(plan))
        self.start("vault", "proxy", *(f"{name}-way" for name in plan.gates()))
        say("waiting for PostgreSQL's primaries and their replicas")
        self.wait("every shard has a primary with a synchronous replica", self.replicated, 60 + 30 * plan.shards,
                  *plan.patronis(), *etcds)
        for shard in range(plan.shards):
            self.make_database(shard)
        self.tollgate("migrate")
        if plan.shards > 1 and not Path(plan.path("run", "sharded")).exists():
            self.tollgate("shards", "init")
            Path(plan.path("run", "sharded")).touch()
        self.wait("the vault answers", lambda: Path(plan.path("vault", "socket")).exists(), 30, "vault")
        if plan.broker:
            self.wait("the broker answers",
                      lambda: listens(plan.address("broker"), plan.base + Plan.BROKER), 120, "broker")
        self.start(*plan.gates())
        self.wait("every gateway is ready", lambda: all(self.is_ready(name) for name in plan.gates()), 60, *plan.gates())
        self.wait("HAProxy lets callers in", lambda: ask(plan.url() + "/ready")[0] == 200, 30, "proxy")
        return self.key()

    def folders(self):
        plan = self.plan
        for name in ("run", "log", "etcd", "redis/redis1", "redis/redis2", "redis/redis3", "proxy", "vault", "auth",
                     "books", "broker"):
            Path(plan.path(name)).mkdir(parents=True, exist_ok=True)
        postgres = Path(plan.path("postgres"))
        postgres.mkdir(exist_ok=True)
        for machine in plan.patronis():
            (postgres / machine).mkdir(exist_ok=True, mode=0o700)
            if self.account:
                os.chown(postgres / machine, self.account.pw_uid, self.account.pw_gid)
        # Servers of another account find their own folders, and look into nothing else.
        for place in (plan.folder, postgres):
            os.chmod(place, 0o711)
        for name in ("run", "log", "redis", "proxy", "vault", "auth", "books", "broker", "etcd"):
            os.chmod(plan.path(name), 0o700)

    def refuse_taken_ports(self):
        """A server that cannot listen would be noticed late, and with less clear words."""
        plan = self.plan
        if self.processes["proxy"].pid() or plan.netns:
            return
        for port in (Plan.API, Plan.STATISTICS, *range(Plan.PRIMARIES, Plan.PRIMARIES + plan.shards)):
            address = plan.front() if port == Plan.API else plan.address("proxy")
            if listens(address, plan.base + port):
                raise Fault(f"somebody listens at {address}:{plan.base + port}; take another --base")

    def write_settings(self):
        plan = self.plan
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        programs = found[-1] if found else os.path.dirname(os.path.realpath(program("initdb")))
        for machine in plan.patronis():
            file = settings.write(plan.path("postgres", f"{machine}.yml"), settings.patroni(plan, machine, programs))
            if self.account:
                os.chown(file, self.account.pw_uid, self.account.pw_gid)
        settings.write(plan.path("proxy", "haproxy.cfg"), settings.haproxy(plan))
        for name in plan.gates():
            way = settings.balancer(plan, name) + settings.databases(plan, name)
            settings.write(plan.path("proxy", f"{name}.cfg"), way)
        for machine in ("redis1", "redis2"):
            file = plan.path("redis", f"{machine}.conf")
            # Redis and its sentinels write into their files who is master now.
            if not os.path.exists(file):
                settings.write(file, settings.redis(plan, machine))
        for number in (1, 2, 3):
            file = plan.path("redis", f"sentinel{number}.conf")
            if not os.path.exists(file):
                settings.write(file, settings.sentinel(plan, f"redis{number}"))
        key = plan.path("vault", "master.key")
        if not os.path.exists(key):
            settings.write(key, secrets.token_hex(32))

    def sql(self, shard, text, database="postgres"):
        """Of a shard's primary, as its superuser."""
        plan = self.plan
        place = ["-h", plan.address("proxy"), "-p", str(plan.base + Plan.PRIMARIES + shard)]
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", *place, "-d", database, "-c", text],
            env={**os.environ, "PGPASSWORD": plan.secret, "PGCONNECT_TIMEOUT": "5"}, capture_output=True, text=True)
        if done.returncode != 0:
            raise Fault(f"shard {shard}: {done.stderr.strip()}")
        return done.stdout.strip()

    def make_database(self, shard):
        self.wait(f"HAProxy finds shard {shard}'s primary", lambda: self.answers(shard), 30, "proxy")
        if not self.sql(shard, "SELECT 1 FROM pg_roles WHERE rolname = 'tollgate'"):
            self.sql(shard, f"CREATE ROLE tollgate LOGIN PASSWORD '{self.plan.secret}'")
        if not self.sql(shard, "SELECT 1 FROM pg_database WHERE datname = 'tollgate'"):
            self.sql(shard, "CREATE DATABASE tollgate OWNER tollgate")

    def answers(self, shard):
        try:
            return self.sql(shard, "SELECT 1") == "1"
        except Fault:
            return False

    def tollgate(self, *words, check=True):
        """A command of the program, beside the servers."""
        command = [self.plan.binary, "--config", self.plan.path("tollgate.toml"), *words]
        environment = {**os.environ, **settings.store(self.plan, "proxy"), "TOLLGATE_LOG__FILTER": "error"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if check and done.returncode != 0:
            raise Fault(f"tollgate {' '.join(words)}: {done.stdout}{done.stderr}".strip())
        return done

    def add_partner(self, name):
        """A key of a new partner. Its fraud policy declines nobody: whoever tries things out pays with the same few
        addresses again and again."""
        policy = settings.write(self.plan.path("lenient.json"), '{"thresholds": {"step_up_above": 1, "block_above": 1}}')
        done = self.tollgate("partner", "add", "--name", name, "--fraud-policy", policy, *PARTNER)
        return done.stdout.split()[-1]

    def key(self):
        file = Path(self.plan.path("key"))
        if not file.exists():
            settings.write(file, self.add_partner("First shop") + "\n")
        return file.read_text().strip()

    # Looking.

    def members(self, shard):
        """Patroni's view of a shard; of the member that answers and knows of a leader."""
        for half in "ab":
            status, text = ask(f"http://{self.plan.at(f'db{shard}{half}', Plan.PATRONI)}/cluster")
            if status == 200:
                try:
                    return {member["name"]: member for member in json.loads(text)["members"]}
                except (ValueError, KeyError):
                    continue
        return {}

    def primary(self, shard):
        """The machine of a shard's primary; None: there is none."""
        for half in "ab":
            if ask(f"http://{self.plan.at(f'db{shard}{half}', Plan.PATRONI)}/primary")[0] == 200:
                return f"db{shard}{half}"
        return None

    def replica(self, shard, kind="sync"):
        """The machine of its synchronous replica, or of one of any `kind`; None: there is none."""
        for half in "ab":
            if ask(f"http://{self.plan.at(f'db{shard}{half}', Plan.PATRONI)}/{kind}")[0] == 200:
                return f"db{shard}{half}"
        return None

    def replicated(self, is_asynchronous=False):
        kind = "replica" if is_asynchronous else "sync"
        return all(self.primary(shard) and self.replica(shard, kind) for shard in range(self.plan.shards))

    def is_ready(self, name):
        return ask(f"http://{self.plan.at(name, Plan.GATEWAY)}/ready")[0] == 200

    def redis_master(self):
        """The machine where the sentinels say that Redis is."""
        for number in (1, 2, 3):
            done = subprocess.run(
                ["redis-cli", "-h", self.plan.address(f"redis{number}"), "-p", str(self.plan.base + Plan.SENTINEL),
                 "sentinel", "get-master-addr-by-name", "tollgate"], capture_output=True, text=True)
            words = done.stdout.split()
            for machine in ("redis1", "redis2"):
                if words and words[0] == self.plan.address(machine):
                    return machine
        return None

    def status(self, say=print):
        well = True
        for process in self.processes.values():
            pid = process.pid()
            well &= pid is not None
            say(f"{process.name:12} {'runs, ' + str(pid) if pid else 'is not running'}")
        for shard in range(self.plan.shards):
            primary, replica = self.primary(shard), self.replica(shard)
            well &= bool(primary and replica)
            say(f"shard {shard}: primary {primary or 'none'}, synchronous replica {replica or 'none'}")
        for name in self.plan.gates():
            ready = self.is_ready(name)
            well &= ready
            say(f"{name}: {'ready' if ready else 'not ready'}")
        return well

    # The handles of drills.

    def postmaster(self, machine):
        """The number of a machine's PostgreSQL, whoever has started it."""
        try:
            pid = int(Path(self.plan.path("postgres", machine, "data", "postmaster.pid")).read_text().split()[0])
            folder = os.path.realpath(f"/proc/{pid}/cwd")
        except (OSError, ValueError, IndexError):
            return None
        # A number that was left behind may be somebody else's by now.
        return pid if folder == os.path.realpath(self.plan.path("postgres", machine, "data")) and begun(pid) else None

    def kill_postgres(self, machine):
        pid = self.postmaster(machine)
        if not pid:
            raise Fault(f"{machine} has no PostgreSQL to kill")
        os.kill(pid, signal.SIGKILL)

    def kill_machine(self, machine):
        """PostgreSQL and its keeper, both at once: as if the machine had lost its power."""
        self.processes[machine].send(signal.SIGKILL)
        self.kill_postgres(machine)
        self.processes[machine].wait_for_end(10)

    # Down.

    def down(self):
        """Whatever of it is there. Gateways first: they give their leases back."""
        order = [*self.plan.gates(), *(f"{name}-way" for name in self.plan.gates()), "proxy", "vault", "processors", "broker", "sentinel1", "sentinel2", "sentinel3",
                 "redis1", "redis2", *self.plan.patronis(), *(f"etcd{n}" for n in (1, 2, 3))]
        for names, patience in ((self.plan.gates(), 15), (order, 20)):
            there = [self.processes[name] for name in names if name in self.processes]
            for process in there:
                process.send(signal.SIGTERM)
            until = time.monotonic() + patience
            for process in there:
                if not process.wait_for_end(max(0.1, until - time.monotonic())):
                    process.kill()
        for machine in self.plan.patronis():
            if self.postmaster(machine):
                self.kill_postgres(machine)


def remove(folder, plan=None):
    """Stops whatever carries the folder's name, and removes it."""
    plan = plan or Plan.load(folder)
    if plan:
        Tier(plan).down()
    for _ in range(50):
        left = marked(folder)
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        reap()
        time.sleep(0.1)
    if plan and plan.netns:
        netns.down(plan)
    shutil.rmtree(folder, ignore_errors=True)
    # Backends of a server that was killed may still be writing their last.
    time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)
