"""A slow cable, where the kernel cannot delay packets itself (no netem): a program between a machine's port and the
bridge, that holds what the machine sends for a while. What is sent to the machine passes at once.

python3 -m tier.cable PORT BRIDGE TAP DELAY_MS MORE_OR_LESS_MS, until it is told to stop. It makes the cable whole
again when it ends."""

import collections
import fcntl
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

ALL_PROTOCOLS = 0x0003
OUTGOING = 4  # what this program has sent itself
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_MAX = 70_000
WAITING_MAX = 20_000


def main():
    port, bridge, name, middle, spread = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5])
    ip = lambda *words: subprocess.run(["ip", "link", "set", *words], check=True)
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    machine = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    machine.bind((port, 0))
    machine.setblocking(False)
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    ip(name, "master", bridge, "up")
    ip(port, "nomaster")
    print("in place", flush=True)
    waiting = collections.deque()
    last = 0.0
    try:
        while not stopped:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                try:
                    os.write(tap, waiting.popleft()[1])
                except OSError:
                    pass  # the bridge does not take it: lost, as on any cable
            pause = min(0.5, max(0.0, waiting[0][0] - now)) if waiting else 0.5
            ready, _, _ = select.select([tap, machine], [], [], pause)
            if machine in ready:
                for _ in range(64):
                    try:
                        frame, origin = machine.recvfrom(FRAME_MAX)
                    except BlockingIOError:
                        break
                    if origin[2] == OUTGOING or len(waiting) >= WAITING_MAX:
                        continue
                    due = time.monotonic() + random.uniform(middle - spread, middle + spread) / 1000
                    # Nothing overtakes on a cable.
                    last = max(last, due)
                    waiting.append((last, frame))
            if tap in ready:
                for _ in range(64):
                    try:
                        frame = os.read(tap, FRAME_MAX)
                    except BlockingIOError:
                        break
                    try:
                        machine.send(frame)
                    except OSError:
                        pass
    finally:
        ip(port, "master", bridge)
        os.close(tap)


if __name__ == "__main__":
    main()
