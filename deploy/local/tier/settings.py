"""Configuration files of all that runs, made from the plan. docs/deploy.md says why they say what they say."""

import json
import os
from pathlib import Path

from .plan import Plan

# Patroni's clock: a leader that is silent for `ttl` has lost its place. 20 s is the least that Patroni takes.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 2, 3


def write(file, text, mode=0o600):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).touch(mode=mode)
    Path(file).write_text(text)
    return file


def patroni(plan, machine, programs):
    """YAML, in the form that is JSON too."""
    shard = machine[2:-1]
    secret = plan.secret
    hba = [f"host all all {plan.network()} scram-sha-256", f"host replication replicator {plan.network()} scram-sha-256"]
    return json.dumps({
        "scope": f"shard{shard}",
        "namespace": "/tollgate/",
        "name": machine,
        "log": {"level": "INFO"},
        "restapi": {"listen": plan.at(machine, Plan.PATRONI), "connect_address": plan.at(machine, Plan.PATRONI)},
        "etcd3": {"hosts": [plan.at(f"etcd{n}", Plan.ETCD) for n in range(1, plan.etcd + 1)]},
        "bootstrap": {
            "dcs": {
                "ttl": TTL,
                "loop_wait": LOOP_WAIT,
                "retry_timeout": RETRY_TIMEOUT,
                # A primary that died is not waited for: its replica has everything that was acknowledged.
                "primary_start_timeout": 0,
                "synchronous_mode": True,
                "synchronous_mode_strict": plan.strict,
                # Without etcd the primary goes on as long as it reaches its replica, which then agrees not to be one.
                "failsafe_mode": True,
                "postgresql": {
                    "use_pg_rewind": True,
                    "use_slots": True,
                    "parameters": {
                        "max_connections": 100 + 50 * plan.gateways,
                        "shared_buffers": "64MB",
                        "wal_compression": "lz4",
                        "max_wal_size": "1GB",
                        "wal_keep_size": "128MB",
                        "hot_standby_feedback": "on",
                        # A cable that was cut is noticed after this long.
                        "wal_sender_timeout": "6s",
                        "wal_receiver_timeout": "6s",
                    },
                },
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
        },
        "postgresql": {
            "listen": plan.at(machine, Plan.POSTGRES),
            "connect_address": plan.at(machine, Plan.POSTGRES),
            "data_dir": plan.path("postgres", machine, "data"),
            "bin_dir": programs,
            "pgpass": plan.path("postgres", machine, "pgpass"),
            "pg_hba": hba,
            "authentication": {
                "superuser": {"username": "postgres", "password": secret},
                "replication": {"username": "replicator", "password": secret},
                "rewind": {"username": "rewinder", "password": secret},
            },
            # A copy begins at once, not when the next checkpoint is due.
            "basebackup": {"checkpoint": "fast"},
            "parameters": {"unix_socket_directories": "", "password_encryption": "scram-sha-256"},
        },
    }, indent=1)


def balancer(plan, machine):
    return f"""
global
    maxconn 4000
    stats socket {plan.path("proxy", machine)} mode 600 level admin
defaults
    timeout connect 2s
    timeout check 2s
    timeout queue 5s
    maxconn 4000
"""


def haproxy(plan):
    front = plan.front()
    problem = json.dumps({
        "type": "about:blank", "title": "No gateway is ready", "status": 503, "code": "unavailable",
        "detail": "No gateway is ready to take requests. Send it again, with the same Idempotency-Key, in a moment."})
    write(plan.path("proxy", "503.json"), problem, 0o644)
    lines = balancer(plan, "proxy") + f"""
frontend statistics
    mode http
    bind {plan.address("proxy")}:{plan.base + Plan.STATISTICS}
    timeout client 10s
    stats enable
    stats uri /
    http-request use-service prometheus-exporter if {{ path /metrics }}

# Callers. A request goes to a gateway that says that it is ready. It is sent elsewhere only if it provably did not
# arrive: whoever sent it has the idempotency key to send it again, HAProxy does not know that there is one.
frontend api
    mode http
    bind {front}:{plan.base + Plan.API}
    timeout client 75s
    timeout http-request 10s
    timeout http-keep-alive 60s
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    default_backend gateways
backend gateways
    mode http
    balance leastconn
    timeout server 75s
    option httpchk GET /ready
    http-check expect status 200
    option redispatch 1
    retries 2
    retry-on conn-failure
    http-error status 503 content-type application/problem+json file {plan.path("proxy", "503.json")} hdr Retry-After 1
    default-server check inter 500ms fastinter 200ms fall 2 rise 2 observe layer4 error-limit 5 on-error mark-down
"""
    for name in plan.gates():
        lines += f"    server {name} {plan.at(name, Plan.GATEWAY)}\n"
    lines += f"""
# Browsers that bring card numbers: past the gateways.
frontend cards
    mode http
    bind {front}:{plan.base + Plan.CARDS}
    timeout client 30s
    default_backend vault
backend vault
    mode http
    timeout server 30s
    server vault {plan.at("vault", Plan.CARDS)}
"""
    return lines + databases(plan, "proxy")


def databases(plan, machine):
    """The way to every shard's primary, and to its replicas, as a machine has it. Each gateway has its own, so that
    there is no balancer whose end would be the end of all databases."""
    lines = ""
    for shard in range(plan.shards):
        for role, port in (("primary", Plan.PRIMARIES), ("replica", Plan.REPLICAS)):
            lines += f"""
listen shard{shard}-{role}
    mode tcp
    bind {plan.address(machine)}:{plan.base + port + shard}
    timeout client 2h
    timeout server 2h
    option tcpka
    option httpchk GET /{role}
    http-check expect status 200
    default-server check port {plan.base + Plan.PATRONI} inter 1s fastinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
"""
            for half in "ab":
                database = f"db{shard}{half}"
                lines += f"    server {database} {plan.at(database, Plan.POSTGRES)}\n"
    return lines


def redis(plan, machine):
    master = "" if machine == "redis1" else f"replicaof {plan.address('redis1')} {plan.base + Plan.REDIS}\n"
    return f"""bind {plan.address(machine)}
port {plan.base + Plan.REDIS}
dir {plan.path("redis", machine)}
protected-mode no
save ""
appendonly no
shutdown-timeout 0
maxmemory 256mb
maxmemory-policy allkeys-lru
repl-diskless-sync-delay 0
{master}"""


def sentinel(plan, machine):
    return f"""bind {plan.address(machine)}
port {plan.base + Plan.SENTINEL}
dir {plan.path("redis", machine)}
protected-mode no
sentinel monitor tollgate {plan.address("redis1")} {plan.base + Plan.REDIS} 2
sentinel down-after-milliseconds tollgate 2000
sentinel failover-timeout tollgate 10000
"""


def accounts(plan):
    return Path(plan.path("accounts.toml")).read_text()


def gateway(plan):
    """One file for all gateways: what differs is in their environment."""
    sentinels = ",".join(plan.at(f"redis{n}", Plan.SENTINEL) for n in (1, 2, 3))
    return f"""
[server]
public_url = "{plan.url()}"
client_address = "forwarded"
[auth]
folder = "{plan.path("auth")}"
[store]
pool = {{ min = 4, max = 32 }}
[redis]
url = "redis+sentinel://{sentinels}/tollgate"
[vault]
remote = "unix:{plan.path("vault", "socket")}"
card_url = "http://{plan.front()}:{plan.base + Plan.CARDS}"
session_secret = "{plan.secret}"
[webhooks]
allow_private = true
[rate_limits]
enabled = false
[log]
filter = "info"
{accounts(plan)}
{plan.extra}
"""


def store(plan, machine):
    """Where the databases are, as a machine finds them, in the environment of what runs there."""
    found = {"TOLLGATE_STORE": plan.postgres(machine, 0)}
    if plan.shards == 1:
        found["TOLLGATE_STORE_REPLICAS"] = plan.postgres(machine, 0, Plan.REPLICAS)
    else:
        # Replicas of several shards are there to take over, not to be read from.
        found["TOLLGATE_STORE_SHARDS"] = ",".join(plan.postgres(machine, shard) for shard in range(1, plan.shards))
    if plan.broker:
        found["TOLLGATE_KAFKA"] = f"amqp://tollgate:{plan.secret}@{plan.at('broker', Plan.BROKER)}"
        # A new tier tells everything; where there was one before, it goes on.
        found["TOLLGATE_EVENTS__FROM"] = "beginning"
    return found


def vault(plan):
    return f"""
[server]
public_url = "{plan.url()}"
[vault]
folder = "{plan.path("vault", "cards")}"
master_key = "file:{plan.path("vault", "master.key")}"
listen = "unix:{plan.path("vault", "socket")}"
card_listen = "{plan.at("vault", Plan.CARDS)}"
session_secret = "{plan.secret}"
{accounts(plan)}
"""


def broker(plan):
    """RabbitMQ's settings, and the environment it wants."""
    folder = plan.path("broker")
    file = write(plan.path("broker", "rabbitmq.conf"), f"""
listeners.tcp.1 = {plan.at("broker", Plan.BROKER)}
default_user = tollgate
default_pass = {plan.secret}
log.console = true
log.console.level = warning
log.file = false
""")
    write(plan.path("broker", "environment"), "")
    write(plan.path("broker", "plugins"), "[].")
    return {
        "HOME": folder,
        "RABBITMQ_CONFIG_FILE": file,
        "RABBITMQ_CONF_ENV_FILE": plan.path("broker", "environment"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": plan.path("broker", "plugins"),
        "RABBITMQ_NODENAME": f"tollgate{plan.base}@{plan.address('broker')}",
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_MNESIA_BASE": os.path.join(folder, "data"),
        "RABBITMQ_LOG_BASE": os.path.join(folder, "log"),
        "RABBITMQ_PID_FILE": os.path.join(folder, "server.pid"),
        "RABBITMQ_DIST_PORT": str(plan.base + Plan.BROKER_NODES),
        "ERL_EPMD_PORT": str(plan.base + Plan.BROKER_NAMES),
        "ERL_EPMD_ADDRESS": plan.address("broker"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface "
        + "{" + plan.address("broker").replace(".", ",") + "}",
    }
