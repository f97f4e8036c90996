"""The gates that are compared: how each is configured, started, made ready and ended."""

import ctypes
import http.client
import json
import os
import secrets
import signal
import socket
import string
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)

Key = tuple[str, str]  # (secret, id)


class Failed(Exception):
    """Something that ends the run, said in a sentence."""


def random_key() -> Key:
    """A key of the length and form that Portcullis makes."""
    chars = "".join(secrets.choice(BASE62) for _ in range(46))
    return f"pk_live_{chars[:10]}_{chars[10:]}", f"key_{chars[:10]}"


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def filled(template: str, **values: object) -> str:
    text = (HERE / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def start(command: list[str], core: int, output: Path, env: dict[str, str] | None = None) -> subprocess.Popen:
    """A child on one core that dies with us; what it says goes to a file."""
    parent = os.getpid()

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    with output.open("ab") as sink:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                                env={**os.environ, **(env or {})}, preexec_fn=prepare)


def stop(process: subprocess.Popen) -> None:
    """Ends this child, by its id and no other way."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=15)


@dataclass
class Setting:
    """What every gate of a run is given."""

    directory: Path
    core: int
    keys: int
    programs: dict[str, str]
    access_log: str  # Portcullis's: "none" or a file


@dataclass
class Gate:
    setting: Setting
    name: str = ""
    title: str = ""
    has_policy: bool = True
    process: subprocess.Popen | None = None
    port: int = 0
    keys: list[Key] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.setting.directory

    @property
    def output(self) -> Path:
        return self.directory / f"{self.name}.out"

    def prepare(self) -> None:
        """Makes the keys; once, before the first start."""
        self.keys = [random_key() for _ in range(self.setting.keys)]

    def command(self, upstream: int, rate: int, burst: int, h2: bool) -> list[str]:
        """Writes the configuration for self.port and says what to run."""
        raise NotImplementedError

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def serve(self, upstream: int, rate: int, burst: int, h2: bool = False) -> None:
        """Starts it and waits until it answers. A port found free may be taken before it is used: thrice tried."""
        for _ in range(3):
            self.port, = free_ports(1)
            command = self.command(upstream, rate, burst, h2)
            self.process = start(command, self.setting.core, self.output)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and self.process.poll() is None:
                if self.ready(h2):
                    return
                time.sleep(0.05)
            self.stop()
        tail = self.output.read_text(errors="replace")[-2000:]
        raise Failed(f"{self.title} did not come up in three tries; it said:\n{tail}")

    def ready(self, h2: bool) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                if h2:
                    return True
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            # The last key, not one of those that policy.py asks with: nothing of their limit is spent.
            connection.request("GET", "/", headers={"X-API-Key": self.keys[-1][0]} if self.keys else {})
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException):
            return False
        return status in (200, 429)

    def stop(self) -> None:
        if self.process is not None:
            stop(self.process)
            self.process = None


class Nginx(Gate):
    def command(self, upstream: int, rate: int, burst: int, h2: bool) -> list[str]:
        self.write("nginx-keys.map", "".join(f'"{key}" "{key_id}";\n' for key, key_id in self.keys))
        config = self.write("nginx.conf", filled(
            "nginx.conf", DIR=self.directory, PORT=self.port, UPSTREAM=upstream, RATE=rate, BURST=burst,
            H2="http2" if h2 else "", USER="user root;" if os.getuid() == 0 else ""))
        return [self.setting.programs["nginx"], "-p", str(self.directory), "-c", str(config)]


class Haproxy(Gate):
    template = "haproxy.cfg"

    def command(self, upstream: int, rate: int, burst: int, h2: bool) -> list[str]:
        self.write("haproxy-keys.map", "".join(f"{key} {key_id}\n" for key, key_id in self.keys))
        config = self.write(self.template, filled(
            self.template, DIR=self.directory, PORT=self.port, UPSTREAM=upstream, RATE=rate,
            H2="proto h2" if h2 else ""))
        return [self.setting.programs["haproxy"], "-db", "-f", str(config)]


class Relay(Haproxy):
    template = "haproxy-tcp.cfg"


class Envoy(Gate):
    def command(self, upstream: int, rate: int, burst: int, h2: bool) -> list[str]:
        credentials = "".join(f"{'':24}- {{ key: {key}, client: {key_id} }}\n" for key, key_id in self.keys)
        config = self.write("envoy.yaml", filled(
            "envoy.yaml", PORT=self.port, UPSTREAM=upstream, RATE=rate, BURST=burst, KEYS=2 * self.setting.keys,
            CODEC="HTTP2" if h2 else "HTTP1", CREDENTIALS=credentials.rstrip("\n")))
        return [self.setting.programs["envoy"], "--config-path", str(config), "--concurrency", "1",
                "--disable-hot-restart", "--log-level", "error"]


class Portcullis(Gate):
    def prepare(self) -> None:
        """Its keys come from its admin API, made over a few connections at once; they stay in the store in DIR."""
        self.token = secrets.token_urlsafe(32)
        self.admin = 0
        self.serve(upstream=9, rate=1, burst=1)  # nothing is sent upstream: the discard port will do
        made: list[Key] = []
        troubles: list[str] = []
        todo = iter(range(1, self.setting.keys + 1))
        lock = threading.Lock()

        def create() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30)
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            try:
                while not troubles:
                    with lock:
                        number = next(todo, None)
                    if number is None:
                        return
                    body = json.dumps({"name": f"k{number}", "owner": {"name": "bench", "type": "system"}})
                    for _ in range(20):
                        connection.request("POST", "/admin/keys", body, head)
                        answer = connection.getresponse()
                        text = answer.read()
                        if answer.status != 429:
                            break
                        time.sleep(min(5.0, float(answer.headers.get("Retry-After", 1))))
                    if answer.status != 201:
                        raise Failed(f"POST /admin/keys: {answer.status} {text[:300]!r}")
                    key = json.loads(text)
                    with lock:
                        made.append((key["secret"], key["key"]["id"]))
            except Exception as trouble:  # said by the main thread
                troubles.append(f"{type(trouble).__name__}: {trouble}")
            finally:
                connection.close()

        try:
            threads = [threading.Thread(target=create, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout=600)
        finally:
            self.stop()
        if troubles or len(made) != self.setting.keys:
            raise Failed(f"{len(made)} of {self.setting.keys} keys were created; {'; '.join(troubles[:2])}")
        self.keys = made

    def command(self, upstream: int, rate: int, burst: int, h2: bool) -> list[str]:
        self.admin, = free_ports(1)
        if self.setting.access_log != "none":
            Path(self.setting.access_log).unlink(missing_ok=True)
        config = self.write("portcullis.yaml", filled(
            "portcullis.yaml", DIR=self.directory, PORT=self.port, ADMIN=self.admin, TOKEN=self.token,
            UPSTREAM=upstream, RATE=rate, BURST=burst, ACCESS_LOG=self.setting.access_log,
            H2="h2c: true" if h2 else ""))
        return [self.setting.programs["portcullis"], "serve", "--config", str(config)]

    def ready(self, h2: bool) -> bool:
        if self.keys and not super().ready(h2):
            return False
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=2)
            connection.request("GET", "/readyz")
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException):
            return False
        return status == 200


GATES: dict[str, tuple[type[Gate], str, bool]] = {
    "portcullis": (Portcullis, "Portcullis, everything on", True),
    "nginx": (Nginx, "nginx, same policy", True),
    "haproxy": (Haproxy, "HAProxy, same policy", True),
    "envoy": (Envoy, "Envoy, same policy", True),
    "tcp": (Relay, "HAProxy `mode tcp`, no policy", False),
}


def make(name: str, setting: Setting) -> Gate:
    kind, title, has_policy = GATES[name]
    directory = setting.directory / name
    directory.mkdir(mode=0o700)
    own = Setting(directory, setting.core, setting.keys, setting.programs, setting.access_log)
    return kind(setting=own, name=name, title=title, has_policy=has_policy)
