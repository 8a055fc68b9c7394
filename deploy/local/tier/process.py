"""One process of the tier: started in a session of its own, known by a file with its number and its start, so that a
number that was given to somebody else is never taken for it."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

MARK = "TOLLGATE_LOCAL"  # in the environment of all that is started: the folder


def begun(pid):
    """When a process was started, in ticks since boot; None: there is no such process, or it only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def program(name):
    """Where a program is; daemons' folders are not on everybody's path."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or name


def server_account():
    """The account for servers that refuse to be run by root; None: the caller is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("there is no account that PostgreSQL could be run by")


class Process:
    """A name, how it is started, and what became of it."""

    def __init__(self, plan, name, command, *, environment=None, machine=None, account=None):
        self.plan, self.name, self.command = plan, name, command
        self.environment = environment or {}
        self.machine = machine or name
        self.account = account
        self.file = Path(plan.path("run", f"{name}.pid"))
        self.log = plan.path("log", f"{name}.log")

    def pid(self):
        """Its number, if it runs."""
        try:
            pid, start = self.file.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if begun(int(pid)) == start else None

    def start(self):
        if self.pid():
            return
        command = [str(word) for word in self.command]
        command[0] = program(command[0])
        if self.account:
            ids = [f"--reuid={self.account.pw_uid}", f"--regid={self.account.pw_gid}"]
            command = [program("setpriv"), *ids, "--clear-groups", "--no-new-privs", *command]
        if self.plan.netns:
            command = [program("ip"), "netns", "exec", namespace(self.plan, self.machine), *command]
        environment = {**os.environ, **self.environment, MARK: self.plan.folder}
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.plan.folder,
                env=environment, start_new_session=True)
        self.file.write_text(f"{child.pid} {begun(child.pid)}")
        CHILDREN[child.pid] = child

    def send(self, what):
        pid = self.pid()
        if pid:
            try:
                os.kill(pid, what)
            except ProcessLookupError:
                pass
        return pid

    def kill(self):
        """At once, without a word."""
        self.send(signal.SIGKILL)
        self.wait_for_end(10)

    def wait_for_end(self, seconds):
        until = time.monotonic() + seconds
        while self.pid():
            reap()
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def last_words(self, lines=12):
        try:
            return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


CHILDREN = {}


def reap():
    for pid, child in list(CHILDREN.items()):
        if child.poll() is not None:
            del CHILDREN[pid]


def namespace(plan, machine):
    return f"tg{plan.base}-{machine}"


def marked(folder):
    """All processes that carry the folder in their environment, however they came to be."""
    word = f"{MARK}={folder}".encode()
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            if word in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return found
