"""Gates, the Redis they share and the API behind them, each a process of its own on a free port."""

import hashlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOKEN = "bench-admin-token-0123456789abcdef"


class Failed(Exception):
    """The bench cannot go on; what is said is for whoever started it."""


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what: str, seconds: float, condition) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise Failed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.005)
    return time.monotonic() - began


def secret_of(number: int) -> str:
    return f"bench-{number:08d}"


class Place:
    """A folder of the bench's own, and what runs in it; all of it is gone at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
        self.running: list[subprocess.Popen] = []

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command: list, **more) -> subprocess.Popen:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([str(word) for word in command], **(quiet | more))
        self.running.append(process)
        return process


class Redis:
    """A Redis that keeps what it acknowledged over a kill."""

    def __init__(self, place: Place) -> None:
        self.place, self.port = place, free_port()
        self.folder = place.folder / "redis"
        self.folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        self.process = self.place.start(
            ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "yes",
             "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--daemonize", "no"]
        )
        wait_for("Redis answers", 300, self.answers)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as stream:
                stream.sendall(b"PING\r\n")
                return stream.recv(16).startswith(b"+PONG")  # while it loads: -LOADING
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(120)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start_upstream(place: Place) -> int:
    """nginx with a tiny answer."""
    port, folder = free_port(), place.folder / "upstream"
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; keepalive_requests 100000000; server {{ listen 127.0.0.1:{port};\n"
        f'  location / {{ return 200 "ok"; }} }} }}\n'
    )
    place.start(["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    wait_for("the upstream answers", 10, lambda: can_connect(port))
    return port


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Gate:
    """A gate over the shared Redis, with a folder of its own that outlives its process."""

    def __init__(self, place: Place, program: str, name: str, redis: Redis, upstream: int, fleet: str) -> None:
        self.place, self.program, self.name = place, program, name
        self.port, self.admin_port = free_port(), free_port()
        self.folder = place.folder / name
        self.folder.mkdir()
        (self.folder / "portcullis.yaml").write_text(
            f"listeners: [{{ address: '127.0.0.1:{self.port}' }}]\n"
            f"admin: {{ address: '127.0.0.1:{self.admin_port}', token: {TOKEN} }}\n"
            f"store: {{ redis: {{ urls: ['redis://127.0.0.1:{redis.port}'] }} }}\n"
            f"node: {name}\n"
            f"data_dir: '{self.folder}/data'\n"
            f"access_log: {{ to: none }}\n"
            f"fleet: {{ {fleet} }}\n"
            f"bounds: {{ requests_per_connection_max: 4294967295 }}\n"
            f"upstreams: {{ api: {{ endpoints: ['http://127.0.0.1:{upstream}'] }} }}\n"
            f"routes: [{{ name: api, match: {{ path_prefix: / }}, upstream: api }}]\n"
        )

    def start(self, seconds: float = 120) -> float:
        """Starts it; seconds until it takes traffic."""
        with (self.folder / "stderr").open("ab") as words:
            self.process = self.place.start([self.program, "serve", "--config", self.folder / "portcullis.yaml"], stderr=words)
        try:
            return wait_for(f"{self.name} is ready", seconds, self.is_ready)
        except Failed as failed:
            words = (self.folder / "stderr").read_text(errors="replace")[-2000:]
            raise Failed(f"{failed}\n{words}") from None

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended: {(self.folder / 'stderr').read_text(errors='replace')[-2000:]}")
        try:
            return self.call("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        if self.process.wait(60) != 0:
            raise Failed(f"{self.name} did not end in order")

    def call(self, method: str, path: str, body: str | bytes | None = None, kind: str = "application/json") -> tuple[int, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=600)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode(errors="replace")

    def status(self) -> dict:
        return self.call("GET", "/admin/status")[1]

    def metric(self, name: str) -> float:
        """The sum over a metric's labels."""
        _, text = self.call("GET", "/metrics")
        lines = (line for line in str(text).splitlines() if line.startswith(name) and line[len(name)] in " {")
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def memory_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def seed(self, first: int, count: int, more: dict | None = None) -> list[str]:
        """Imports keys of known secrets; their ids. Calls of 50,000 lines, the most that one takes."""
        ids = []
        for begin in range(first, first + count, 50_000):
            lines = []
            for number in range(begin, min(begin + 50_000, first + count)):
                digest = hashlib.sha256(secret_of(number).encode()).hexdigest()
                key = {"name": f"k{number}", "owner": {"name": f"team-{number % 100}", "type": "team"}, "sha256": digest}
                lines.append(json.dumps(key | (more or {})))
            status, text = self.call("POST", "/admin/keys/import", "\n".join(lines).encode(), "application/x-ndjson")
            told = [json.loads(line) for line in str(text).splitlines()] if isinstance(text, str) else [text]
            done = [line["key_id"] for line in told if line.get("outcome") == "done"]
            if status != 200 or len(done) != len(lines):
                raise Failed(f"{len(done)} of {len(lines)} keys were imported: {status} {str(text)[-400:]}")
            ids += done
        return ids
