#!/usr/bin/env bash
# What several gates over one Redis hold: how fast a revocation is everywhere, how exact a shared limit is and what it
# costs, how fast a gate starts; at a million keys.
#
#   benches/fleet.sh                                four gates, 1,000,000 keys: a quarter of an hour for the import, 3 minutes
#   benches/fleet.sh --seed-dir /var/tmp/keys       the import only once: it is kept there (about 2 GB)
#   benches/fleet.sh --keys 20000 --revocations 50  a quick look
#   benches/fleet.sh --hold                         exit 1 when a bound of the specification is missed
#   benches/fleet.sh --help
#
# The keys are imported over the admin API, as anyone would. All gates, Redis (append-only file, everysec), the upstream
# (nginx) and the clients (Python) are on this machine.
#
# How to read the tables:
# - A start is from the process being started until /readyz says 200.
# - For each revocation one client a gate uses the key every 2 ms; "refused by every gate" is when the slowest had its
#   first refusal in hand. That pause and what the clients need are in it: with load on two cores some milliseconds.
#   (Without a pause the clients take both cores, and the figure is theirs: some 180 ms at p99.)
#   Bound: 50 ms at p99, from the answer.
# - "of one bucket" is what one bucket in one process would have admitted of the same arrivals; over: 0, under: ≤ 5 %.
#   Requests are taken to arrive when they are sent, so 1 more or less is the clients' own.
#
# PORTCULLIS_BIN=FILE measures that binary and builds nothing. All is on loopback and free ports; every process that is
# started is ended; /tmp is left clean. Needs redis-server, nginx, python3.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$PATH:/usr/sbin:/sbin"
portcullis=${PORTCULLIS_BIN:-}
if [[ -z $portcullis ]]; then
    target=$(cd "$here/.." && cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    (cd "$here/.." && cargo build --release --locked --bin portcullis >&2)
    portcullis=$target/release/portcullis
fi
exec python3 -B "$here/fleet/fleet.py" --portcullis "$(realpath "$portcullis")" "$@"
