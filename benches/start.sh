#!/bin/bash
# How long a gate with many keys takes to be ready: from the embedded store, and over Redis from its mirror while
# Redis is away. Prints a table; the median of five starts, page cache warm.
#
#   cargo build --release --bin portcullis --example seed && benches/start.sh [KEYS]
#
# PORTCULLIS and SEED name the two programs, if they lie elsewhere. Needs redis-server, curl and python3.
set -euo pipefail
keys=${1:-1000000}
portcullis=${PORTCULLIS:-target/release/portcullis}
seed=${SEED:-target/release/examples/seed}
dir=$(mktemp -d)
# Three ports that nobody has.
read -r redis_port port admin_port < <(python3 -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(it.getsockname()[1] for it in held))')
redis=
gate=
trap '[[ $gate ]] && kill "$gate" 2>/dev/null; [[ $redis ]] && kill "$redis" 2>/dev/null; rm -rf "$dir"' EXIT

config() { # NAME STORE
  cat > "$dir/$1.yaml" <<YAML
listeners: [{ address: 127.0.0.1:$port }]
admin: { address: 127.0.0.1:$admin_port, token: a-token-for-measuring-0123456789abcdef }
data_dir: $dir/$1
store: $2
access_log: { to: none }
upstreams: { api: { endpoints: ["http://127.0.0.1:1"] } }
routes: [{ match: { path_prefix: / }, upstream: api }]
YAML
}
config embedded "{ embedded: { path: $dir/embedded } }"
config redis "{ redis: { urls: [\"redis://127.0.0.1:$redis_port\"] } }"

# Milliseconds from the start of the process until it answers that it is ready; and its memory then.
start() { # NAME
  local began now
  began=$(date +%s%N)
  "$portcullis" serve --config "$dir/$1.yaml" > "$dir/$1.log" 2>&1 &
  gate=$!
  until curl -sf -o "$dir/ready" "http://127.0.0.1:$port/.portcullis/ready"; do
    kill -0 "$gate" 2>/dev/null || { cat "$dir/$1.log" >&2; exit 1; }
    sleep 0.02 # asking without a pause takes a core from it
  done
  now=$(date +%s%N)
  ready_ms=$(((now - began) / 1000000))
  memory=$(awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$gate/status")
}
stop() { kill -TERM "$gate"; wait "$gate" || true; gate=; }
measure() { # NAME WORDS
  local all=()
  for _ in 1 2 3 4 5; do start "$1"; all+=("$ready_ms"); stop; done
  readarray -t all < <(printf '%s\n' "${all[@]}" | sort -n)
  printf '| %s | %s ms | %s – %s ms | %s MiB |\n' "$2" "${all[2]}" "${all[0]}" "${all[4]}" "$memory"
}

"$seed" "$dir/embedded" "$keys"
printf '| start with %s keys | median | range | resident |\n|---|---|---|---|\n' "$keys"
measure embedded "embedded store"
redis-server --port "$redis_port" --save '' --appendonly no --dir "$dir" > "$dir/redis.log" &
redis=$!
until redis-cli -p "$redis_port" ping > "$dir/ping" 2>&1; do :; done
"$portcullis" store migrate --from "$dir/embedded.yaml" --to "$dir/redis.yaml" > "$dir/migrated"
start redis
stop
measure redis "mirror, Redis answering"
kill "$redis"; wait "$redis" || true; redis=
measure redis "mirror, Redis away"
