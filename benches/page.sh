#!/usr/bin/env bash
# Whether the dashboard stays smooth with a million keys: how long a list, a search, a page and a key take until they are
# seen, in a real browser (Debian's Chromium).
#
#   benches/page.sh             1,000,000 keys, seeded first: 2 minutes
#   benches/page.sh 20000       a quick look
#
# How to read the table:
# - A time is from the action until what was asked for is on the screen, with all that the driver needs in it; a search
#   also waits until typing has stopped.
# - "longest task" is how long the page's one thread was held at most; what is shorter than 50 ms browsers do not tell.
# - Frames come 17 ms apart where nothing holds them up. While a page is being opened there are none to come.
#
# PORTCULLIS_BIN and SEED name the two programs, if they are not to be built. Needs chromium and node.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ -z ${PORTCULLIS_BIN:-} || -z ${SEED:-} ]]; then
    (cd "$root" && cargo build --release --locked --bin portcullis --example seed >&2)
    target=$(cd "$root" && cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    PORTCULLIS_BIN=$target/release/portcullis SEED=$target/release/examples/seed
fi
export PORTCULLIS_BIN SEED
npm ci --silent --prefix "$root/tests/browser"
exec node "$root/benches/page.mjs" "$@"
