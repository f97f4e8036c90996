#!/usr/bin/env python3
"""The driver behind benches/gate.sh, which says what is measured and how to read it."""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gates
import machine
import policy
from gates import Failed, Gate

SETTLE = 1.2  # seconds between the end of the load and the second look at the clock
BOUNDS = [("nginx", 0.95), ("haproxy", 0.90), ("envoy", 0.40), ("tcp", 1.15)]  # of Portcullis's CPU to theirs


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/gate.sh", description="CPU per request of Portcullis and its rivals, side by side.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, interleaved (default 3)")
    parser.add_argument("--seconds", type=int, default=8, help="length of a measured window (default 8)")
    parser.add_argument("--warm-up", type=int, default=2, metavar="SECONDS", help="load before each window (default 2)")
    parser.add_argument("--keys", type=int, default=10_000, help="API keys (default 10000)")
    parser.add_argument("--connections", type=int, default=64, help="of the load generator (default 64)")
    parser.add_argument("--only", default=",".join(gates.GATES), metavar="NAME,…", help=f"of {','.join(gates.GATES)}")
    parser.add_argument("--cores", default="0,1", metavar="GATE,LOAD", help="cores of the gate and of load and upstream")
    parser.add_argument("--rate", type=int, help="limit per key and second, and burst (default 100000; with --h2, where one key bears all, 1000000)")
    parser.add_argument("--nice", type=int, default=0, metavar="N", help="niceness of gate, load and upstream, all alike; below 0 keeps neighbours off (root)")
    parser.add_argument("--paced", type=int, metavar="RATE", help="also: latency at RATE requests/s, HTTP/1.1, one key (h2load)")
    parser.add_argument("--h2", action="store_true", help="HTTP/2 without TLS to the gate (h2load, 8 connections of 16 streams, one key)")
    parser.add_argument("--check-only", action="store_true", help="the policy checks, no measurement")
    parser.add_argument("--hold", action="store_true", help="exit 1 when Portcullis misses a bound of the specification")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--keep", action="store_true", help="leave the configurations and outputs, and say where")
    for program in ["portcullis", "nginx", "haproxy", "envoy", "wrk", "h2load"]:
        parser.add_argument(f"--bin-{program}", default=program, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.rate = chosen.rate or (1_000_000 if chosen.h2 else 100_000)
    chosen.names = [name for name in gates.GATES if name in chosen.only.split(",")]
    unknown = set(chosen.only.split(",")) - set(gates.GATES)
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(gates.GATES)}")
    if chosen.keys < 10 or chosen.rounds < 1 or chosen.seconds < 1 or chosen.warm_up < 1:
        parser.error("at least 10 keys, 1 round, 1 second")
    if chosen.h2:
        chosen.names = [name for name in chosen.names if name != "tcp"]  # a relay would speak the upstream's HTTP/1.1
    if not chosen.names:
        parser.error("--only: nothing is left to measure")
    chosen.gate_core, chosen.load_core = map(int, chosen.cores.split(","))
    if {chosen.gate_core, chosen.load_core} - os.sched_getaffinity(0) or chosen.gate_core == chosen.load_core:
        parser.error(f"--cores: two of {sorted(os.sched_getaffinity(0))}")
    return chosen


class Bench:
    def __init__(self, chosen: argparse.Namespace, directory: Path, log_directory: Path) -> None:
        self.chosen = chosen
        self.directory = directory
        wanted = os.environ.get("PORTCULLIS_ACCESS_LOG", "file")
        self.access_log = "none" if wanted == "none" else str(log_directory / "access.log")
        programs = {name: getattr(chosen, f"bin_{name}") for name in ["portcullis", "nginx", "haproxy", "envoy"]}
        setting = gates.Setting(directory, chosen.gate_core, chosen.keys, programs, self.access_log)
        self.gates = [gates.make(name, setting) for name in chosen.names]
        self.running: list[subprocess.Popen] = []  # upstream and load
        self.results: dict[str, list[dict]] = {name: [] for name in chosen.names}
        self.machine: list[str] = []

    # Beginning and end

    def start_upstream(self) -> None:
        for _ in range(3):
            self.upstream, = gates.free_ports(1)
            config = self.directory / "upstream.conf"
            config.write_text(gates.filled("upstream.conf", DIR=self.directory, PORT=self.upstream,
                                           USER="user root;" if os.getuid() == 0 else ""))
            process = gates.start([self.chosen.bin_nginx, "-p", str(self.directory), "-c", str(config)],
                                  self.chosen.load_core, self.directory / "upstream.out")
            self.running.append(process)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and process.poll() is None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if policy.ask(self.upstream, {})[0] == 200:
                        return
                time.sleep(0.05)
        raise Failed(f"the upstream did not come up: {(self.directory / 'upstream.out').read_text()}")

    def stop(self) -> None:
        for gate in self.gates:
            gate.stop()
        for process in self.running:
            gates.stop(process)

    # Load

    def run_load(self, command: list[str], seconds: int, env: dict[str, str]) -> str:
        output = self.directory / "load.out"
        output.unlink(missing_ok=True)
        process = gates.start(command, self.chosen.load_core, output, env)
        self.running.append(process)
        try:
            code = process.wait(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            raise Failed(f"{Path(command[0]).name} did not end in time") from None
        finally:
            gates.stop(process)
            self.running.remove(process)
        said = output.read_text(errors="replace")
        if code != 0:
            raise Failed(f"{Path(command[0]).name} ended with {code}: {said[-500:]}")
        return said

    def wrk(self, gate: Gate, seconds: int) -> dict:
        outcome = self.directory / "wrk.json"
        outcome.unlink(missing_ok=True)
        self.run_load(
            [self.chosen.bin_wrk, "--threads", "1", "--connections", str(self.chosen.connections), "--duration", f"{seconds}s",
             "--timeout", "10s", "--latency", "--script", str(gates.HERE / "keys.lua"), f"http://127.0.0.1:{gate.port}/"],
            seconds, {"BENCH_KEYS": str(gate.directory / "secrets"), "BENCH_OUT": str(outcome)})
        return json.loads(outcome.read_text())

    def h2load(self, gate: Gate, seconds: int, *more: str) -> dict:
        log = self.directory / "h2load.log"
        log.unlink(missing_ok=True)
        said = self.run_load(
            [self.chosen.bin_h2load, "--threads=1", f"--duration={seconds}", "--header", f"X-API-Key: {gate.keys[0][0] if gate.keys else ''}",
             "--header", "user-agent: bench/1.0", *[one.replace("@LOG@", str(log)) for one in more],
             f"http://127.0.0.1:{gate.port}/v1/orders/42"], seconds, {})
        counts = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", said)
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
        times = re.search(r"time for request:\s+\S+\s+(\S+)\s+(\S+)", said)
        if not (counts and codes and times):
            raise Failed(f"h2load said something unforeseen:\n{said[-1500:]}")
        outcome = {"requests": int(codes[1]), "seconds": float(seconds), "refused": sum(map(int, codes.groups()[1:])),
                   "broken": int(counts[4])}
        if log.exists():
            # Requests of the first second are left out: connections are being opened.
            rows = [tuple(map(int, line.split()[:3])) for line in log.read_text().splitlines() if line]
            begin = min((row[0] for row in rows), default=0) + 1_000_000
            waits = sorted(row[2] for row in rows if row[0] >= begin) or sorted(row[2] for row in rows)
            if not waits:
                raise Failed("h2load logged no request")
            outcome |= {"p50": waits[len(waits) // 2], "p99": waits[min(len(waits) - 1, len(waits) * 99 // 100)], "max": waits[-1]}
        else:
            outcome |= {"mean": times[2], "max": times[1]}
        return outcome

    def load(self, gate: Gate, seconds: int) -> dict:
        if self.chosen.h2:
            return self.h2load(gate, seconds, "--clients=8", "--max-concurrent-streams=16")
        return self.wrk(gate, seconds)

    # The two halves of a run

    def check(self, gate: Gate) -> None:
        wrong = gates.random_key()[0]
        with policy.EchoUpstream() as upstream:
            gate.serve(upstream, rate=3, burst=3)
            faults = policy.faults(gate.port, gate.keys, wrong) if gate.has_policy else []
            gate.stop()
        if faults:
            raise Failed(f"{gate.title} does not keep the policy: " + "; ".join(faults))
        note(f"  {gate.title}: " + (
            "no key 401, unknown key 401, good key 200, key removed, identity added (a forged one replaced), limit per key"
            if gate.has_policy else "relays"))

    def upstream_connections(self) -> int:
        """Opened to the upstream so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=10)
        try:
            connection.request("GET", "/upstream-status")
            return int(connection.getresponse().read().split()[7])
        finally:
            connection.close()

    def measure(self, gate: Gate) -> dict:
        gate.serve(self.upstream, self.chosen.rate, self.chosen.rate, self.chosen.h2)
        root = gate.process.pid
        if gate.has_policy and not self.chosen.h2:
            faults = policy.admission(gate.port, gate.keys[0][0], gates.random_key()[0])
            if faults:
                raise Failed(f"{gate.title}: " + "; ".join(faults))
        sent = self.load(gate, self.chosen.warm_up)["requests"]

        opened = self.upstream_connections()
        busy, stolen = machine.core_busy_ns(self.chosen.gate_core)
        before, begun = machine.tree_cpu_ns(root), time.monotonic_ns()
        outcome = self.load(gate, self.chosen.seconds)
        time.sleep(SETTLE)
        if gate.process.poll() is not None:
            raise Failed(f"{gate.title} died under load: {gate.output.read_text(errors='replace')[-1000:]}")
        after, wall = machine.tree_cpu_ns(root), time.monotonic_ns() - begun
        busy_after, stolen_after = machine.core_busy_ns(self.chosen.gate_core)
        opened = self.upstream_connections() - opened - 1  # one is the question itself

        if outcome["refused"] or outcome["broken"]:
            raise Failed(f"{gate.title}: {outcome['refused']} answers were not 2xx, {outcome['broken']} requests broke: the figures would mean nothing")
        if not outcome["requests"]:
            raise Failed(f"{gate.title}: no request was answered")
        if set(before) - set(after):
            raise Failed(f"{gate.title}: a process of it ended within the window, and its CPU time is lost")
        used = sum(after.values()) - sum(before.values())
        outcome |= {
            "cpu_us": used / outcome["requests"] / 1000,
            "rate": outcome["requests"] / outcome["seconds"],
            "core": used / (outcome["seconds"] * 1e9),
            "others": max(0, busy_after - busy - used) / wall,
            "stolen": (stolen_after - stolen) / wall,
            "memory_mib": machine.tree_memory_bytes(root) / 2**20,
            "upstream_connections": opened,
        }
        # The relay opens one for each of the load generator's; a gate that keeps connections opens none or a few.
        if gate.has_policy and opened > max(self.chosen.connections, outcome["requests"] // 100):
            raise Failed(f"{gate.title} opened {opened} connections to the upstream in {outcome['requests']} requests: no keep-alive")
        if self.chosen.paced and not self.chosen.h2:
            clients = 16
            paced = self.h2load(gate, self.chosen.seconds + 1, "--h1", f"--clients={clients}",
                                f"--rps={max(1, self.chosen.paced // clients)}", "--log-file=@LOG@")
            if paced["refused"] or paced["broken"]:
                raise Failed(f"{gate.title}, paced: {paced['refused']} answers were not 2xx, {paced['broken']} requests broke")
            sent += paced["requests"]
            outcome["paced"] = {"rate": paced["requests"] / paced["seconds"], **{name: paced[name] for name in ["p50", "p99", "max"]}}
        process = gate.process
        gate.stop()
        if gate.name == "portcullis":
            if process.returncode not in (0, -signal.SIGTERM):
                note(f"    Portcullis ended with {process.returncode} at SIGTERM")
            if self.access_log != "none":
                log = Path(self.access_log)
                size, lines = 0, 0
                if log.exists():
                    size = log.stat().st_size
                    with log.open("rb") as file:
                        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
                    log.unlink()
                sent += outcome["requests"]
                outcome |= {"log_lines": lines, "log_bytes": size, "logged": lines / sent}
                if lines < sent // 2:
                    raise Failed(f"the access log has {lines} lines for {sent} requests: it was not on")
        return outcome

    def run(self) -> None:
        note("keys and checks:")
        for gate in self.gates:
            gate.prepare()
            # wrk's order is not the order of creation, which could suit a cache.
            (gate.directory / "secrets").write_text("".join(f"{key}\n" for key in sorted((key for key, _ in gate.keys), key=lambda key: key[::-1])))
            self.check(gate)
        if self.chosen.check_only:
            return
        self.start_upstream()
        for number in range(self.chosen.rounds):
            note(f"round {number + 1} of {self.chosen.rounds}:")
            for gate in self.gates:
                outcome = self.measure(gate)
                self.results[gate.name].append(outcome)
                note(f"  {gate.title}: {outcome['cpu_us']:.2f} µs/request, {outcome['rate']:,.0f} requests/s"
                     + (f"; access log: {outcome['log_lines']:,} lines of {outcome['log_bytes'] / outcome['log_lines']:.0f} bytes, "
                        f"{100 * outcome['logged']:.1f} % of the requests" if "logged" in outcome else ""))

    # The report

    def median(self, name: str, figure: str) -> float:
        return statistics.median(one[figure] for one in self.results[name])

    def ratio(self, name: str, to: str) -> str:
        if to not in self.results:
            return "–"
        value = self.median(name, "cpu_us") / self.median(to, "cpu_us")
        pairs = [mine["cpu_us"] / theirs["cpu_us"] for mine, theirs in zip(self.results[name], self.results[to], strict=True)]
        return f"{value:.2f}" if name == to else f"{value:.2f} ({min(pairs):.2f}–{max(pairs):.2f})"

    def describe(self) -> list[str]:
        chosen = self.chosen
        versions = {
            "Portcullis": ("portcullis", (chosen.bin_portcullis, "--version")),
            "nginx": ("", (chosen.bin_nginx, "-v")),
            "HAProxy": ("haproxy", (chosen.bin_haproxy, "-v")),
            "Envoy": ("envoy", (chosen.bin_envoy, "--version")),
        }
        lines = machine.described()
        for title, (name, command) in versions.items():
            if not name or any(one.startswith(name) for one in chosen.names) or (name == "haproxy" and "tcp" in chosen.names):
                said = machine.said(*command)
                version = re.search(r"\d+\.\d+\.\d+\S*", said.replace("/", " "))
                lines.append(f"{title}: {version.group(0) if version else said}")
        lines.append(f"load: {machine.said(chosen.bin_h2load, '--version')}" if chosen.h2
                     else f"load: {' '.join(machine.said(chosen.bin_wrk, '-v').split()[:2])}"
                     + (f", paced by {machine.said(chosen.bin_h2load, '--version')}" if chosen.paced else ""))
        if "portcullis" in chosen.names:
            commit = machine.said("git", "-C", str(gates.HERE), "describe", "--always", "--dirty")
            lines.append(f"commit: {commit}; {machine.said('rustc', '--version')}")
        return lines

    def report(self) -> str:
        chosen = self.chosen
        how = ("HTTP/2 without TLS, 8 connections of 16 streams, one key" if chosen.h2
               else f"HTTP/1.1 keep-alive, {chosen.connections} connections, {chosen.keys} keys in turn, a head of 157 bytes")
        log = "none" if self.access_log == "none" else "to a file in memory (tmpfs)" if self.access_log.startswith("/dev/shm/") else "to a file"
        lines = ["## Machine", "", *[f"- {line}" for line in self.machine], *([f"- niceness: {chosen.nice}"] if chosen.nice else []), ""]
        lines += [
            "## Figures", "",
            f"{chosen.rounds} rounds, interleaved, of {chosen.seconds} s after {chosen.warm_up} s of warm-up; medians (least–most). {how}; a body of 71 bytes in the answer. "
            f"Gate on core {chosen.gate_core}, load and upstream on core {chosen.load_core}. Limit {chosen.rate}/s a key, counted, never reached. "
            f"Portcullis with usage, metrics and access log ({log}); the rivals' logs are off. Not one answer was other than 2xx.", "",
        ]
        head = ["gate", "CPU µs/request", "× nginx (rounds)", "× relay", "requests/s", "mean ms" if chosen.h2 else "p50 ms", "max ms" if chosen.h2 else "p99 ms",
                "core used", "others on its core", "memory MiB"]
        paced = chosen.paced and not chosen.h2
        if paced:
            head += [f"p50 µs at {chosen.paced}/s", f"p99 µs at {chosen.paced}/s"]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for gate in self.gates:
            name, figures = gate.name, self.results[gate.name]
            cpu = [one["cpu_us"] for one in figures]
            if chosen.h2:
                waits = [figures[len(figures) // 2]["mean"], figures[len(figures) // 2]["max"]]
            else:
                waits = [f"{self.median(name, figure) / 1000:.2f}" for figure in ["p50", "p99"]]
            row = [gate.title, f"{statistics.median(cpu):.2f} ({min(cpu):.2f}–{max(cpu):.2f})", self.ratio(name, "nginx"), self.ratio(name, "tcp"),
                   f"{self.median(name, 'rate'):,.0f}", *waits, f"{100 * self.median(name, 'core'):.0f} %",
                   f"{100 * max(one['others'] + one['stolen'] for one in figures):.0f} %", f"{self.median(name, 'memory_mib'):.1f}"]
            if paced:
                row += [f"{statistics.median(one['paced'][figure] for one in figures):,.0f}" for figure in ["p50", "p99"]]
            lines.append("| " + " | ".join(row) + " |")
        noisy = [gate.title for gate in self.gates if max(one["others"] + one["stolen"] for one in self.results[gate.name]) > 0.05]
        if noisy:
            lines += ["", f"**Disturbed**: others (or the hypervisor) took more than 5 % of the gate's core in a round of {', '.join(noisy)}. Repeat on a quiet machine."]
        lines += ["", "Memory is resident, after the load, pages shared by a gate's processes counted once. Limits: nginx `limit_req`, HAProxy a stick table "
                  "(`http_req_rate(1s)`), Envoy `local_ratelimit` with a wildcard descriptor: a bucket for each key in all of them."]
        return "\n".join(lines)

    def bounds(self) -> tuple[str, bool]:
        """The table of bounds, and whether all were met."""
        lines, met = ["| bound of the specification | measured | met |", "|---|---|---|"], True
        for name, bound in BOUNDS:
            if name not in self.results or "portcullis" not in self.results:
                continue
            value = self.median("portcullis", "cpu_us") / self.median(name, "cpu_us")
            met &= value <= bound
            lines.append(f"| ≤ {bound:.2f} × {gates.GATES[name][1]} | {value:.2f} | {'yes' if value <= bound else '**no**'} |")
        return ("\n".join(lines) if len(lines) > 2 else ""), met


def main() -> int:
    chosen = options()
    per_window = chosen.warm_up + chosen.seconds + (chosen.seconds + 1 if chosen.paced else 0) + 10
    limit = 900 + chosen.rounds * len(chosen.names) * per_window * 2

    def ended(number: int, _frame: object) -> None:
        raise Failed(f"longer than {limit} s: something hangs" if number == signal.SIGALRM else f"ended by {signal.Signals(number).name}")

    for number in [signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        signal.signal(number, ended)
    signal.alarm(limit)
    os.sched_setaffinity(0, {chosen.load_core})
    os.nice(chosen.nice)  # the children inherit it

    directory = Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30
    log_directory = Path(tempfile.mkdtemp(prefix="portcullis-bench-", dir=memory if roomy else None))
    bench = None
    try:
        bench = Bench(chosen, directory, log_directory)
        bench.machine = bench.describe()  # before the load: the load average is the neighbours'
        bench.run()
        if chosen.check_only:
            return 0
        table, met = bench.bounds()
        print(bench.report())
        if table and not chosen.h2:
            print(f"\n{table}")
        if chosen.json:
            chosen.json.write_text(json.dumps({"machine": bench.machine, "results": bench.results}, indent=1) + "\n")
        return 1 if chosen.hold and not chosen.h2 and not met else 0
    except Failed as failure:
        note(f"benches/gate.sh: {failure}")
        return 1
    finally:
        signal.alarm(0)
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            signal.signal(number, signal.SIG_IGN)
        if bench is not None:
            bench.stop()
        shutil.rmtree(log_directory, ignore_errors=True)
        if chosen.keep:
            note(f"left in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
