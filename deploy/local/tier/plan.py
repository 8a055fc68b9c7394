"""What runs where. Each machine of a production is an address here: one of 127.0.0.0/8, or, where each has a
network namespace, one of 10.77.0.0/16 (a /24 of it a tier). Ports follow from a base and are the same on every machine."""

import dataclasses
import json
import os
import secrets
from pathlib import Path

DATABASE = "tollgate"
FIRST = 11  # the last part of the first machine's address


class Fault(Exception):
    """One sentence for whoever has called."""


@dataclasses.dataclass
class Plan:
    folder: str
    binary: str
    base: int = 17000
    shards: int = 2
    gateways: int = 3
    etcd: int = 1
    strict: bool = False
    broker: bool = False
    netns: bool = False
    secret: str = ""

    # Ports, counted from the base.
    API, STATISTICS, GATEWAY, CARDS = 0, 1, 2, 3
    ETCD, ETCD_PEER, PATRONI, POSTGRES = 10, 11, 20, 21
    REDIS, SENTINEL = 30, 31
    BROKER, BROKER_NODES, BROKER_NAMES = 40, 41, 42
    SIMULATORS = 50
    PRIMARIES, REPLICAS = 100, 150

    # More of the gateways' configuration (TOML), of those who know what they do: drills.
    extra: str = ""

    @staticmethod
    def load(folder):
        """The plan of a tier that is there; None: there is none."""
        file = Path(folder) / "plan.json"
        if not file.exists():
            return None
        return Plan(**json.loads(file.read_text()))

    def save(self):
        file = Path(self.folder) / "plan.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    def check(self):
        if not 1 <= self.shards <= 32:
            raise Fault("--shards is from 1 to 32")
        if not 1 <= self.gateways <= 16:
            raise Fault("--gateways is from 1 to 16")
        if self.etcd not in (1, 3):
            raise Fault("--etcd is 1 or 3")
        if not 1024 <= self.base <= 65000:
            raise Fault("--base is from 1024 to 65000")
        if not self.secret:
            self.secret = secrets.token_hex(16)

    def machines(self):
        """All machines by name, in an order that never changes for the same plan."""
        names = [f"etcd{n}" for n in range(1, self.etcd + 1)]
        names += ["proxy", "redis1", "redis2", "redis3", "vault", "processors"]
        names += [f"gate{n}" for n in range(1, self.gateways + 1)]
        names += [f"db{shard}{half}" for shard in range(self.shards) for half in "ab"]
        if self.broker:
            names.append("broker")
        return names

    def address(self, machine):
        last = FIRST + self.machines().index(machine)
        return self.inside(last) if self.netns else f"127.0.0.{last}"

    def inside(self, last):
        """An address of the network that this tier's namespaces have."""
        return f"10.77.{self.base // 200 % 250}.{last}"

    def front(self):
        """Where callers find the tier."""
        return self.address("proxy") if self.netns else "127.0.0.1"

    def at(self, machine, port):
        return f"{self.address(machine)}:{self.base + port}"

    def url(self):
        return f"http://{self.front()}:{self.base + self.API}"

    def patronis(self):
        return [name for name in self.machines() if name.startswith("db")]

    def gates(self):
        return [name for name in self.machines() if name.startswith("gate")]

    def network(self):
        return self.inside(0) + "/24" if self.netns else "127.0.0.0/8"

    def path(self, *parts):
        return str(Path(self.folder, *parts))

    def postgres(self, machine, shard, port=PRIMARIES):
        """The address of a shard's primary (or of its replicas), by way of a machine's HAProxy."""
        place = f"{self.address(machine)}:{self.base + port + shard}"
        return f"postgres://tollgate:{self.secret}@{place}/{DATABASE}?sslmode=disable"


def default_folder(base):
    return os.path.join(os.environ.get("TMPDIR", "/tmp"), f"tollgate-local-{base}")
