#!/usr/bin/env python3
"""The driver behind benches/instructions.sh, which says what is counted."""

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import gates
from gates import Failed

ANSWER_BODY = b'{"id":42,"status":"shipped","total":"19.90","currency":"EUR","lines":3}'
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: upstream\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
          b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%s" % (len(ANSWER_BODY), ANSWER_BODY))
SECRET_HASH = "sha2 (software)"
# The first that fits names the area: by the file a line was written in, else by the function it was compiled into.
AREAS = [
    (SECRET_HASH, r"sha2[-:_]|\bdigest[-:]|block[-_]buffer"),
    ("memcpy, memset, memcmp", r"memcpy|memmove|memset|memcmp|bcmp"),
    ("allocator", r"mimalloc|\bmi_|_mi_|\b(malloc|free|calloc|realloc)\b"),
    ("httparse", r"httparse"),
    ("hyper", r"\bhyper(_util)?[-:]"),
    ("http types", r"\bhttp(_body|_body_util)?[-:]"),
    ("bytes", r"\bbytes[-:]"),
    ("tokio", r"\b(tokio|mio|futures_util|futures_core)[-:]"),
    ("ours: byte gate", r"proxy(/|::)wire"),
    ("ours: carrier", r"proxy(/|::)carrier"),
    ("ours: headers", r"proxy(/|::)(headers|limit_fields)"),
    ("ours: access log", r"proxy(/|::)access_log"),
    ("ours: the rest of proxy", r"\bproxy(/|::)"),
    ("ours: state and domain", r"\b(state|domain|telemetry|app)(/|::)"),
    ("clocks", r"clock_gettime|vdso|(std|sys).*time"),
    ("system calls", r"\b(epoll_wait|recv|send|writev?|readv?|__libc_\w+)\b"),
]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/instructions.sh", description="User instructions per request, by area.")
    parser.add_argument("--requests", type=int, default=2_000, help="requests that are counted (default 2000)")
    parser.add_argument("--connections", type=int, default=8, help="keep-alive connections (default 8)")
    parser.add_argument("--chunk", type=int, help="requests under way at once (default: one a connection)")
    parser.add_argument("--keys", type=int, default=100, help="API keys (default 100)")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="also the N functions with the most")
    parser.add_argument("--most", type=int, help="exit 1 when a request costs more, software SHA-256 left out")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave callgrind's own files there")
    parser.add_argument("--bin-portcullis", default="portcullis", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.chunk = min(chosen.chunk or chosen.connections, chosen.connections)
    return chosen


class Upstream:
    """Answers every head with the same bytes, on one thread a connection."""

    def __enter__(self) -> int:
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()
        return self.socket.getsockname()[1]

    def __exit__(self, *_exc) -> None:
        self.socket.close()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def serve(connection: socket.socket) -> None:
        held = b""
        while read := connection.recv(65_536):
            held += read
            *heads, held = held.split(b"\r\n\r\n")
            if heads:
                connection.sendall(ANSWER * len(heads))


class Counted(gates.Portcullis):
    """The gate under callgrind, which counts nothing until it is told to."""

    counting = False

    def command(self, upstream: int, rate: int, burst: int, h2: bool) -> list[str]:
        command = super().command(upstream, rate, burst, h2)
        if not self.counting:
            return command
        return ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes",
                f"--callgrind-out-file={self.directory}/callgrind.out", *command]

    def control(self, *arguments: str) -> None:
        done = subprocess.run(["callgrind_control", *arguments, str(self.process.pid)], capture_output=True, text=True, timeout=120)
        if done.returncode != 0 or "error" in done.stdout.lower():
            raise Failed(f"callgrind_control {' '.join(arguments)}: {done.stdout}{done.stderr}")


class Client:
    """Keep-alive connections, each with a key of its own."""

    def __init__(self, port: int, keys: list[gates.Key], count: int) -> None:
        self.turns = []
        for at in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=120)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            key = keys[at % len(keys)][0]
            head = f"GET /v1/orders/42 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {key}\r\nAccept: */*\r\nUser-Agent: bench/1.0\r\n\r\n"
            self.turns.append((connection, head.encode()))

    def send(self, requests: int, chunk: int) -> None:
        sent = 0
        while sent < requests:
            now = [self.turns[(sent + at) % len(self.turns)] for at in range(min(chunk, requests - sent))]
            for connection, head in now:
                connection.sendall(head)
            for connection, _ in now:
                self.receive(connection)
            sent += len(now)

    @staticmethod
    def receive(connection: socket.socket) -> None:
        read = b""
        while not read.endswith(ANSWER_BODY):
            more = connection.recv(65_536)
            if not more:
                raise Failed(f"the gate closed a connection after {read!r}")
            read += more
        if not read.startswith(b"HTTP/1.1 200 "):
            raise Failed(f"the gate answered {read!r}")


def self_costs(file: Path) -> Counter:
    """Instructions by (file, function), what they call left out. The format is in Valgrind's manual, "Callgrind Format Specification"."""
    names: dict[tuple[str, str], str] = {}
    costs: Counter = Counter()
    source = function = ""
    is_call = False
    for line in file.read_text(errors="replace").splitlines():
        if line.startswith("calls="):
            is_call = True
        elif named := re.match(r"(fl|fi|fe|fn)=\((\d+)\)(?: (.*))?$", line):
            kind = "fn" if named[1] == "fn" else "fl"
            name = named[3] if named[3] is not None else names[kind, named[2]]
            names[kind, named[2]] = name
            if kind == "fn":
                function = name
            else:
                source = name
        elif named := re.match(r"(cfn|cfi|cfl)=\((\d+)\) (.*)$", line):
            names["fn" if named[1] == "cfn" else "fl", named[2]] = named[3]
        elif line[:1] in "0123456789+-*" and line:
            if not is_call:
                costs[source, function] += int(line.split()[1])
            is_call = False
    return costs


def area(source: str, function: str) -> str:
    for text in (source, function):
        for name, pattern in AREAS:
            if re.search(pattern, text):
                return name
    return "rest"


def report(costs: Counter, chosen: argparse.Namespace) -> float:
    areas: Counter = Counter()
    functions: Counter = Counter()
    for (source, function), cost in costs.items():
        areas[area(source, function)] += cost
        functions[function] += cost
    hashing = areas.pop(SECRET_HASH, 0)
    total = sum(areas.values()) / chosen.requests
    print("| area | instructions a request | share |\n|---|---|---|")
    for name, cost in areas.most_common():
        print(f"| {name} | {cost / chosen.requests:,.0f} | {cost / chosen.requests / total:.0%} |")
    print(f"| **all** | **{total:,.0f}** | |\n| besides: {SECRET_HASH} | {hashing / chosen.requests:,.0f} | |")
    for function, cost in functions.most_common(chosen.functions):
        print(f"{cost / chosen.requests:10,.0f}  {function[:200]}")
    return total


def count(chosen: argparse.Namespace, directory: Path) -> float:
    setting = gates.Setting(directory, 0, chosen.keys, {"portcullis": chosen.bin_portcullis}, str(directory / "access.log"))
    gate = gates.make("portcullis", setting)
    gate = Counted(gate.setting, gate.name, gate.title)
    gate.prepare()
    gate.counting = True
    try:
        with Upstream() as upstream:
            gate.serve(upstream, rate=100_000, burst=100_000)
            client = Client(gate.port, gate.keys, chosen.connections)
            client.send(chosen.connections * 4, chosen.chunk)
            gate.control("--instr=on")
            client.send(chosen.connections * 4, chosen.chunk)
            gate.control("--zero")
            client.send(chosen.requests, chosen.chunk)
            gate.control("--dump")
    finally:
        gate.stop()
    files = sorted(gate.directory.glob("callgrind.out.1-*"))
    if chosen.keep:
        chosen.keep.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, chosen.keep)
    # The thread that serves is the one with the most to do.
    threads = sorted((self_costs(file) for file in files), key=lambda costs: costs.total())
    if not threads:
        raise Failed(f"callgrind left nothing: {gate.output.read_text(errors='replace')[-500:]}")
    total = report(threads[-1], chosen)
    print(f"\nOther threads: {sum(costs.total() for costs in threads[:-1]) / chosen.requests:,.0f} a request.")
    return total


def main() -> int:
    chosen = options()
    directory = Path(tempfile.mkdtemp(prefix="portcullis-instructions-"))
    try:
        total = count(chosen, directory)
    except Failed as failed:
        print(f"benches/instructions.sh: {failed}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if chosen.most and total > chosen.most:
        print(f"more than {chosen.most:,}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
