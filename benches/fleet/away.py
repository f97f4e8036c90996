#!/usr/bin/env python3
"""The driver behind benches/away.sh, which says what is measured and how to read it."""

import argparse
import shutil
import sys
import time

import load
from servers import Failed, Gate, Place, Redis, note, secret_of, start_upstream, wait_for

RATE, BURST = 50, 50  # of the key with the limit


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/away.sh", description="Redis killed under load, and what clients notice.")
    parser.add_argument("--gates", type=int, default=2, help="(default 2)")
    parser.add_argument("--away", type=float, default=600, metavar="SECONDS", help="how long Redis is dead (default 600)")
    parser.add_argument("--before", type=float, default=30, metavar="SECONDS", help="load before it dies, and after it is back (default 30)")
    parser.add_argument("--rate", type=float, default=250, help="requests a second at each gate (default 250)")
    parser.add_argument("--keys", type=int, default=10_000, help="active keys (default 10000)")
    parser.add_argument("--hold", action="store_true", help="exit 1 when a request failed, a limit was exceeded or a count is missing")
    parser.add_argument("--portcullis", default="portcullis", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    chosen = options()
    with Place() as place:
        redis, upstream = Redis(place), start_upstream(place)
        fleet = f"max_nodes: {chosen.gates}, fallback_after: 3s"
        gates = [Gate(place, chosen.portcullis, f"gate-{number + 1}", redis, upstream, fleet) for number in range(chosen.gates)]
        for gate in gates:
            gate.start()
        ids = gates[0].seed(0, chosen.keys)
        limit = {"rate_limits": [{"rate": f"{RATE}/second", "burst": BURST}]}
        ids += gates[0].seed(chosen.keys, 1, limit)
        total = chosen.keys + 1
        for gate in gates:
            wait_for(f"{gate.name} has all keys", 60, lambda gate=gate: gate.status()["keys"] >= total)
        secrets = [secret_of(number) for number in range(chosen.keys)]
        marks, memory = [time.monotonic()], []
        loads = [load.Load(gate.port, secrets, chosen.rate) for gate in gates]
        # Twice what the limit allows, evenly over the gates.
        limited = [load.Load(gate.port, [secret_of(chosen.keys)], 2 * RATE / chosen.gates) for gate in gates]
        note(f"before: {chosen.before:.0f} s")
        time.sleep(chosen.before)
        memory.append([gate.memory_mb() for gate in gates])
        redis.kill()
        marks.append(time.monotonic())
        note(f"Redis is dead for {chosen.away:.0f} s")
        time.sleep(chosen.away)
        memory.append([gate.memory_mb() for gate in gates])
        queues = [gate.status()["usage"] for gate in gates]
        marks.append(time.monotonic())
        redis.start()
        note(f"Redis is back; {chosen.before:.0f} s more")
        time.sleep(chosen.before)
        done = [one for each in loads for one in each.end()]
        of_limit = sorted(one for each in limited for one in each.end())
        marks.append(time.monotonic())
        counts = counted(gates, ids, done, of_limit)
    return told(chosen, marks, memory, queues, done, of_limit, counts)


def counted(gates: list[Gate], ids: list[str], done: list, of_limit: list) -> tuple[int, int]:
    """Requests that were admitted, and those that the store has counted once it has all of them, or 60 s later."""
    admitted = sum(1 for _, _, status, _ in done + of_limit if status == 200)
    used = sorted({number for _, _, _, number in done}) + [len(ids) - 1]
    note(f"adding up what was counted for {len(used)} keys")
    until = time.monotonic() + 60
    while True:
        total = 0
        for number in used:
            _, usage = gates[0].call("GET", f"/admin/keys/{ids[number]}/usage")
            total += usage["total"]["requests"]
        if total == admitted or time.monotonic() > until:
            return admitted, total
        time.sleep(1)


def told(chosen, marks, memory, queues, done, of_limit, counts) -> int:
    print(f"Redis dead for {chosen.away:.0f} s under load: {chosen.gates} gates, each {chosen.rate:.0f} requests/s over {chosen.keys} keys, "
          f"and a key of {RATE}/s asked for {2 * RATE}/s.\n")
    print("| | requests | failed | p50 ms | p99 | p99.9 | max |")
    print("|---|---|---|---|---|---|---|")
    failed, swift = 0, []
    for name, begin, end in zip(("before", "away", "after"), marks, marks[1:]):
        part = [one for one in done if begin <= one[0] < end]
        bad = {status: count for status, count in load.statuses(part).items() if status != 200}
        bad_limited = {status: count for status, count in load.statuses(
            [one for one in of_limit if begin <= one[0] < end]).items() if status not in (200, 429)}
        failed += sum(bad.values()) + sum(bad_limited.values())
        took = [one[1] for one in part]
        swift.append(load.quantile(took, 0.99) * 1_000)
        words = ", ".join(f"{count} × {status or 'no answer'}" for status, count in sorted((bad | bad_limited).items())) or "0"
        print(f"| {name} | {len(part)} | {words} | {load.latencies_ms(took)} |")
    over = 0
    print("\n| of the limited key | admitted | allowed | refused (429) |")
    print("|---|---|---|---|")
    for name, begin, end in zip(("before", "away", "after"), marks, marks[1:]):
        part = [one for one in of_limit if begin <= one[0] < end]
        passed = sum(1 for one in part if one[2] == 200)
        allowed = BURST + RATE * (end - begin)
        over = max(over, passed - allowed)
        print(f"| {name} | {passed} | {allowed:.0f} | {sum(1 for one in part if one[2] == 429)} |")
    admitted, total = counts
    grown = max(after - before for before, after in zip(*memory))
    print(f"\nCounted afterwards: {total} of {admitted} admitted. Δp99 while away: {swift[1] - swift[0]:+.2f} ms. "
          f"Resident memory grew by {grown:.1f} MB at most; before it came back: {queues}.")
    holds = failed == 0 and over <= 0 and total == admitted
    if not holds:
        note(f"NOT HELD: {failed} failed, {over:.0f} over the limit, {admitted - total} not counted")
    return 0 if holds or not chosen.hold else 1


if __name__ == "__main__":
    for program in ("redis-server", "nginx"):
        if shutil.which(program) is None:
            sys.exit(f"benches/away.sh: {program} is missing; apt-get install it")
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"benches/away.sh: {failed}")
