"""Does a gate do what the policy says? Asked before it is measured, against an upstream that answers what it received."""

import http.client
import http.server
import json
import threading


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the fields of the request head, as a JSON list of [name, value]."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 (the base class wants this name)
        body = json.dumps([list(field) for field in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args) -> None:
        pass


class EchoUpstream:
    def __enter__(self) -> int:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1]

    def __exit__(self, *_exc) -> None:
        self.server.shutdown()
        self.server.server_close()


def ask(port: int, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/v1/orders/42", headers={"Host": "api.example.com", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def admission(port: int, key: str, wrong: str) -> list[str]:
    """Faults in whom it admits."""
    faults = []
    for what, headers, wanted in [
        ("without a key", {}, 401),
        ("with an unknown key", {"X-API-Key": wrong}, 401),
        ("with a good key", {"X-API-Key": key}, 200),
    ]:
        status, _ = ask(port, headers)
        if status != wanted:
            faults.append(f"{what}: {status}, not {wanted}")
    return faults


def faults(port: int, keys: list[tuple[str, str]], wrong: str) -> list[str]:
    """Everything the gate on this port does against the policy; its limit must be a few requests a second."""
    (key, key_id), (greedy, _), (other, _) = keys[:3]
    found = admission(port, key, wrong)

    status, body = ask(port, {"X-API-Key": key, "X-Portcullis-Key-Id": "forged"})
    if status == 200:
        received = json.loads(body)
        if key in body.decode() or any(name.lower() == "x-api-key" for name, _ in received):
            found.append("the upstream was given the key")
        identity = [value for name, value in received if name.lower() == "x-portcullis-key-id"]
        if identity != [key_id]:
            found.append(f"the upstream was told {identity}, not [{key_id!r}]")
    else:
        found.append(f"with a good key and a forged identity: {status}, not 200")

    statuses = [ask(port, {"X-API-Key": greedy})[0] for _ in range(40)]
    if 200 not in statuses or 429 not in statuses or set(statuses) - {200, 429}:
        found.append(f"40 requests of one key gave {sorted(set(statuses))}, not 200 and then 429")
    status, _ = ask(port, {"X-API-Key": other})
    if status != 200:
        found.append(f"one key's limit touched another key: {status}, not 200")
    return found
