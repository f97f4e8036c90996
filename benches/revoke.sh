#!/usr/bin/env bash
# How long a revocation takes until every gate refuses the key: four gates over one Redis, on this machine.
#
#   benches/revoke.sh                          4 gates, 500 revocations
#   benches/revoke.sh --gates 8 --keys 2000
#
# Each key is revoked with `?wait=all`, one after the other over one connection, so the time of a call is: the change
# committed, applied by the gate that took it, heard and applied by each other gate, said by each, and answered. Beside it
# stand revocations without waiting, which is what the commit alone costs, and what the gates say themselves of how long
# changes were under way (portcullis_change_propagation_seconds).
#
# Environment: PORTCULLIS_BIN=FILE measures that binary and builds nothing. Everything stays on the loopback interface, on
# free ports; every process that is started is ended; /tmp is left clean.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
gates=4 keys=500

die() {
    printf 'benches/revoke.sh: %s\n' "$*" >&2
    exit 1
}

while (($#)); do
    case $1 in
        --gates) gates=${2:?} && shift 2 ;;
        --keys) keys=${2:?} && shift 2 ;;
        --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit ;;
        *) die "unknown option $1" ;;
    esac
done
for tool in redis-server curl python3; do
    command -v "$tool" > /dev/null || die "$tool is missing"
done
if [[ -z ${PORTCULLIS_BIN:-} ]]; then
    (cd "$root" && cargo build --release --quiet)
    PORTCULLIS_BIN=${CARGO_TARGET_DIR:-$root/target}/release/portcullis
fi

work=$(mktemp -d)
processes=()
finish() {
    for process in "${processes[@]}"; do
        kill "$process" 2> /dev/null || true
    done
    wait 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port=$(free_port)
redis-server --port "$port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --appendfsync everysec \
    > "$work/redis.log" &
processes+=($!)

token=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')
admins=()
for ((gate = 1; gate <= gates; gate++)); do
    home=$work/gate-$gate
    mkdir -p "$home"
    cat > "$home/portcullis.yaml" << YAML
listeners: [{ address: '127.0.0.1:0' }]
admin: { address: '127.0.0.1:0', token: '\${TOKEN}' }
node: gate-$gate
workers: 1
data_dir: '$home/data'
store: { redis: { urls: ['redis://127.0.0.1:$port'] } }
access_log: { to: '$home/access.log' }
upstreams: { api: { endpoints: ['http://127.0.0.1:9'] } }
routes: [{ name: api, match: { path_prefix: / }, upstream: api }]
YAML
    : > "$home/log"
    TOKEN=$token "$PORTCULLIS_BIN" serve --config "$home/portcullis.yaml" 2> "$home/log" &
    processes+=($!)
    for ((tries = 0; ; tries++)); do
        admin=$(sed -n 's/^ *admin API: //p' "$home/log" | tr -d ' ')
        [[ -n $admin ]] && break
        ((tries < 100)) || die "gate $gate does not start: $(cat "$home/log")"
        sleep 0.1
    done
    admins+=("$admin")
done

TOKEN=$token python3 - "$keys" "$gates" "${admins[@]}" << 'PYTHON'
import http.client, json, os, sys, time

keys, gates, admins = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
head = {"authorization": "Bearer " + os.environ["TOKEN"], "content-type": "application/json"}


def connect(admin):
    return http.client.HTTPConnection(admin.split("//")[-1], timeout=30)


def ask(connection, method, path, body=None):
    connection.request(method, path, json.dumps(body) if body else None, head)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, text


connection = connect(admins[0])
deadline = time.monotonic() + 30
while True:
    nodes = json.loads(ask(connection, "GET", "/admin/nodes")[1])["items"]
    if sum(node["state"] == "live" for node in nodes) == gates:
        break
    assert time.monotonic() < deadline, nodes
    time.sleep(0.1)


def revoke(query):
    made = []
    for number in range(keys):
        body = {"name": f"k{number}", "owner": {"name": "bench", "type": "team"}}
        status, text = ask(connection, "POST", "/admin/keys", body)
        assert status == 201, text
        made.append(json.loads(text)["key"]["id"])
    times = []
    for key in made:
        begun = time.perf_counter()
        status, text = ask(connection, "DELETE", f"/admin/keys/{key}{query}")
        times.append((time.perf_counter() - begun) * 1e3)
        assert status == 200, text
        told = json.loads(text)["revocation"]
        if query:
            assert len(told["applied_on"]) == gates and not told["pending"], told
    times.sort()
    return times


def show(what, times):
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    print(f"| {what} | {at(0.5):.2f} | {at(0.99):.2f} | {times[-1]:.2f} |")


revoke("?wait=all")  # warm
print(f"{gates} gates, {keys} keys, ms:\n\n| | p50 | p99 | max |\n|---|---|---|---|")
show("revoked here", revoke(""))
show("in force on all gates (`wait=all`)", revoke("?wait=all"))
name = "portcullis_change_propagation_seconds"
for admin in admins[1:]:
    text = ask(connect(admin), "GET", "/metrics")[1].decode()
    buckets = [line for line in text.splitlines() if line.startswith(name + "_bucket")]
    counts = [(line.split('le="')[1].split('"')[0], float(line.split()[-1])) for line in buckets]
    total = counts[-1][1]
    bound = next(le for le, count in counts if count >= 0.99 * total)
    half = next(le for le, count in counts if count >= 0.5 * total)
    print(f"\n{admin}: {total:.0f} changes, half under way for at most {half} s, 99 % for at most {bound} s", end="")
print()
PYTHON
