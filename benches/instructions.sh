#!/usr/bin/env bash
# How many user instructions a request costs in the gate, by area: a figure that neighbours on the machine do not change.
#
#   benches/instructions.sh                    build with line tables, 2,000 requests over 8 connections, the table
#   benches/instructions.sh --functions 40     also the 40 functions with the most
#   benches/instructions.sh --chunk 1          a request at a time, as an idle gate sees them
#   benches/instructions.sh --most 30000       exit 1 when a request costs more
#   benches/instructions.sh --help             the rest
#
# The gate runs under callgrind with everything on (keys, a limit, usage, metrics, the access log), warm and on keep-alive.
# Counted is the thread that serves, from the first measured request to the last answer; start and warm-up are not in it,
# nor is the kernel. callgrind has no SHA-NI: what software SHA-256 takes is shown apart, a real core does it in about 200.
#
# Compare figures of one way of building only. Environment: PORTCULLIS_BIN=FILE counts that binary and builds nothing;
# without line tables what is inlined counts for who inlined it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

for program in python3 valgrind; do
    command -v "$program" > /dev/null || { printf 'missing; run: apt-get install %s\n' "$program" >&2; exit 2; }
done
portcullis=${PORTCULLIS_BIN:-}
if [[ -z $portcullis && " $* " != *" --help "* ]]; then
    # The bench profile is the release profile with line tables.
    portcullis=$(cd "$root" && cargo build --profile bench --locked --bin portcullis --message-format=json-render-diagnostics \
        | python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')
fi
exec python3 -B "$here/rivals/instructions.py" --bin-portcullis "${portcullis:-portcullis}" "$@"
