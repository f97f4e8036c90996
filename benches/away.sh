#!/usr/bin/env bash
# What clients notice when Redis is killed under load for ten minutes: it should be nothing.
#
#   benches/away.sh                     two gates, 600 s without Redis, about 11 minutes
#   benches/away.sh --away 60           a shorter look
#   benches/away.sh --gates 4 --rate 500 --hold
#   benches/away.sh --help
#
# Load from processes of their own goes to each gate at a steady rate, over many keys, and twice the rate that its limit
# allows over one more key. Redis is killed (SIGKILL), stays dead, and is started again with what it had on its disk.
#
# How to read the tables:
# - "failed" are answers other than 200 on keys without a limit, other than 200 and 429 on the one with a limit, and
#   requests without an answer. 0 is promised.
# - Latency is from when a request was due until its answer was read, by clients in Python on the same machine: compare
#   the rows, not the milliseconds with another machine's. Δp99 is promised to be at most 0.2 ms.
# - "allowed" is the burst and what refills in the time; more may pass by one burst at the seams of an outage.
# - "counted afterwards" must be all that were admitted.
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
exec python3 -B "$here/fleet/away.py" --portcullis "$(realpath "$portcullis")" "$@"
