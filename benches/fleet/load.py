"""Requests at a steady rate from a process of its own, each timed; what came of them goes to a file."""

import array
import http.client
import multiprocessing
import random
import socket
import statistics
import time
from collections import Counter

CLIENTS = 8  # connections of one process


class Load:
    """So many requests a second at one gate, with secrets that are drawn from a list."""

    def __init__(self, port: int, secrets: list[str], rate: float) -> None:
        self.results = multiprocessing.Queue()
        self.over = multiprocessing.Event()
        arguments = (port, secrets, rate, self.over, self.results)
        self.process = multiprocessing.Process(target=run, args=arguments, daemon=True)
        self.process.start()

    def end(self) -> list[tuple[float, float, int, int]]:
        """(sent, seconds it took, status or 0 without an answer, number of the secret), on the monotonic clock of the machine."""
        self.over.set()
        done = self.results.get(timeout=60)
        self.process.join(60)
        return list(zip(*done))


def run(port: int, secrets: list[str], rate: float, over, results) -> None:
    import threading

    sent, took, statuses, numbers = array.array("d"), array.array("d"), array.array("H"), array.array("I")
    lock = threading.Lock()

    def use(client: int) -> None:
        draw = random.Random(client)
        pause = CLIENTS / rate
        at = time.monotonic() + pause * client / CLIENTS
        connection = Connection(port)
        while not over.is_set():
            now = time.monotonic()
            if at > now:
                time.sleep(at - now)
            # One that was held up does not catch up in a burst, and what it waited for is in the figure.
            begin = max(at, now) if now - at < 1 else now
            at = max(at + pause, time.monotonic() - 1)
            number = draw.randrange(len(secrets))
            status = connection.ask(secrets[number])
            end = time.monotonic()
            with lock:
                sent.append(begin)
                took.append(end - begin)
                statuses.append(status)
                numbers.append(number)

    threads = [threading.Thread(target=use, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((sent.tolist(), took.tolist(), statuses.tolist(), numbers.tolist()))


class Connection:
    """A connection that is kept, and opened anew where it was closed."""

    def __init__(self, port: int) -> None:
        self.port, self.inner = port, None

    def ask(self, secret: str) -> int:
        for _ in range(2):
            is_fresh = self.inner is None
            try:
                if self.inner is None:
                    self.inner = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                    self.inner.connect()
                    self.inner.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.inner.request("GET", "/x", headers={"X-API-Key": secret})
                answer = self.inner.getresponse()
                answer.read()
                if answer.will_close:
                    self.close()
                return answer.status
            except (OSError, http.client.HTTPException):
                self.close()
                if is_fresh:
                    return 0
        return 0

    def close(self) -> None:
        if self.inner is not None:
            self.inner.close()
        self.inner = None


def quantile(values: list[float], share: float) -> float:
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latencies_ms(values: list[float]) -> str:
    p50, p99, p999 = (quantile(values, share) * 1_000 for share in (0.5, 0.99, 0.999))
    return f"{p50:.2f} | {p99:.2f} | {p999:.2f} | {max(values, default=0) * 1_000:.1f}"


def statuses(done: list[tuple]) -> Counter:
    return Counter(status for _, _, status, _ in done)


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")
