"""What the kernel says: CPU time and memory of a process tree, how busy a core was, what machine this is."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def tree(root: int) -> set[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found, todo = set(), [root]
    while todo:
        pid = todo.pop()
        found.add(pid)
        todo.extend(children.get(pid, []))
    return found


def cpu_ns(pid: int) -> int:
    """
    Scheduler time of a process in nanoseconds: user and system, all threads, those that have ended too. It is the
    process's CPU clock, what clock_getcpuclockid(3) names: summing /proc/PID/task/*/schedstat gives the same but for
    threads that ended between two looks.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def tree_cpu_ns(root: int) -> dict[int, int]:
    return {pid: cpu_ns(pid) for pid in tree(root)}


def tree_memory_bytes(root: int) -> int:
    """Resident memory; pages that processes of the tree share are counted once (PSS, or RSS where that is not given)."""
    total = 0
    for pid in tree(root):
        try:
            text, field = Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss"
        except OSError:
            text, field = Path(f"/proc/{pid}/status").read_text(), "VmRSS"
        total += 1024 * int(re.search(rf"^{field}:\s+(\d+)", text, re.M).group(1))
    return total


def core_busy_ns(core: int) -> tuple[int, int]:
    """(busy, stolen by the hypervisor) of one core since boot; the kernel counts in ticks of 10 ms."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq) * TICK_NS, steal * TICK_NS
    raise RuntimeError(f"core {core} is not in /proc/stat")


def said(*command: str) -> str:
    """The first line with a digit that a program says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout + done.stderr).splitlines() if done.returncode == 0 or command[0].endswith("wrk") else []
    return next((line.strip() for line in lines if re.search(r"\d", line)), "unknown")


def described() -> list[str]:
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M).group(1))
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return [
        f"CPU: {model.group(1) if model else platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        f"memory: {memory / 1024 / 1024:.1f} GiB; load average at the start: {load}",
        f"kernel: {platform.system()} {platform.release()}"
        + (f", TCP {congestion.read_text().strip()}" if congestion.exists() else ""),
    ]
