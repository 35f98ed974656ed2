"""One short life of a server on a disk that fails somewhere, and the book of what it acknowledged."""

import json
import subprocess
import time
from collections import Counter

import requests

from cairn import SENT, Cairn, binary, clean_environment, event, free_port

# Commits only when asked, so that a run does the same calls each time.
ARGUMENTS = ["--log-segment-bytes", "64KiB", "--history-commit-interval", "60s", "--trails-commit-interval", "200ms",
             "--history-compaction=false"]
PADDING = "x" * 9000


class DiskCairn(Cairn):
    """A server that runs under a tracer: `prefix` makes the command, `injector` watches it."""

    def __init__(self, data, injector=None, prefix=(), arguments=()):
        super().__init__(data, arguments=[*ARGUMENTS, *arguments])
        self.injector, self.prefix = injector, list(prefix)

    def spawn(self):
        self.port = self.port or free_port()
        program = [*self.prefix, binary(), "serve", "--data", self.data,
                   "--listen", f"127.0.0.1:{self.port}", *self.arguments]
        program = list(map(str, program))
        keep = ()
        if self.injector:
            keep = (self.injector.theirs.fileno(),)
            program = self.injector.command(program)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=clean_environment(self.env), pass_fds=keep)
        if self.injector:
            self.injector.started(self.process)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None


class Ledger:
    """What was sent, what was acknowledged, and what was answered."""

    def __init__(self):
        self.sent, self.acknowledged = {}, {}
        self.answers = Counter()
        self.last = None
        self.delivered = False   # whether the trail was acknowledged
        self.count = 0
        self.before_trail = set()
        self.dead = lambda: False   # whether the log cannot be written now

    def events(self, number, size=3):
        """New events; every second one is a write."""
        names = [f"e{number}-{self.count + n}" for n in range(size)]
        self.count += size
        for n, name in enumerate(names):
            self.sent[name] = event(name, readOnly=n % 2 == 1, requestParameters={"pad": PADDING})
        return names

    def request(self, cairn, method, path, body=None):
        """One request; the status, or 0 where there was no answer."""
        try:
            answer = cairn.http(method, path, json=body, timeout=30)
        except (requests.RequestException, OSError):
            self.answers[0] += 1
            return 0
        self.answers[answer.status_code] += 1
        self.last = answer
        return answer.status_code

    def send(self, cairn, names):
        """Sends them and books the answer."""
        dead = self.dead()
        status = self.request(cairn, "POST", "/v1/events", [self.sent[n] for n in names])
        assert not dead or status in (0, 503), f"{status} while the log cannot be written"
        if status != 200:
            assert status in (0, 429, 503), f"{status}: {self.last.text[:500]}"
            return status
        told = self.last.json()
        assert told["refused"] == 0, told
        for name, receipt in zip(names, told["events"], strict=True):
            assert receipt["status"] in ("accepted", "duplicate"), receipt
            assert receipt["event_id"] in (name, None), receipt
            self.acknowledged[name] = True
            if not self.delivered:
                self.before_trail.add(name)
        return status

    def trail(self, cairn):
        """Makes the trail, where there is none yet."""
        status = self.request(cairn, "GET", "/v1/trails/writes")
        if status == 404:
            status = self.request(cairn, "POST", "/v1/trails",
                                  {"name": "writes", "read_write": "Write", "start": True})
        elif status == 200 and self.last.json()["status"] != "Enable":
            status = self.request(cairn, "POST", "/v1/trails/writes/start", {})
        self.delivered = self.delivered or status in (200, 201)
        return status

    def work(self, cairn):
        """What a server does in its life, as far as it gets."""
        for number in range(2):
            if not self.delivered:
                self.trail(cairn)
            for _ in range(3):
                names = self.events(number)
                if self.send(cairn, names) != 200 and cairn.alive():
                    # A careful sender sends again, the same.
                    self.send(cairn, names)
                if not cairn.alive():
                    return
            flush(self, cairn)

    def settle(self, cairn, tries=1):
        """After the fault, without a restart: it takes in, commits and delivers again. `tries`: how often each is
        asked for, where a fault may yet come."""
        def must(ask):
            for _ in range(tries):
                if ask() in (200, 201):
                    return
            raise AssertionError(f"{self.last.status_code}: {self.last.text}")

        must(lambda: self.trail(cairn))
        for name in [n for n in self.sent if n not in self.acknowledged]:
            must(lambda one=name: self.send(cairn, [one]))
        names = self.events(9)
        must(lambda: self.send(cairn, names))
        must(lambda: self.request(cairn, "POST", "/v1/flush"))

    def check(self, cairn, trail=True):
        """Nothing acknowledged is missing, nothing is there twice, nothing was made up. `trail=False` where
        nothing was flushed since a start: until then rows may be missing from a trail's own answers."""
        rows = cairn.sql(f"SELECT event_id, log_offset, raw FROM history WHERE {SENT}")
        there = Counter(row["event_id"] for row in rows)
        lost = set(self.acknowledged) - set(there)
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} acknowledged are lost: {sorted(lost)[:5]}"
        twice = [name for name, n in there.items() if n > 1]
        assert not twice, f"{len(twice)} are there twice: {sorted(twice)[:5]}"
        assert set(there) <= set(self.sent), "there are events that nobody sent"
        for row in rows:
            assert json.loads(row["raw"]) == self.sent[row["event_id"]]
        assert len({row["log_offset"] for row in rows}) == len(rows)
        if not self.delivered or not trail:
            return
        trail = Counter(cairn.column(f"SELECT event_id FROM trails.writes WHERE {SENT}"))
        assert not [n for n, times in trail.items() if times > 1], trail
        writes = {n for n in there if not self.sent[n]["readOnly"]}
        assert set(trail) <= writes
        # Those acknowledged before the trail was may lie before it.
        missing = writes - set(trail) - self.before_trail
        assert not {n for n in missing if n in self.acknowledged}, missing


def flush(ledger, cairn):
    """A flush that does not wait for ever while commits cannot get through."""
    try:
        answer = cairn.http("POST", "/v1/flush", timeout=1.5)
        ledger.answers[answer.status_code] += 1
    except (requests.RequestException, OSError):
        ledger.answers[0] += 1


def live(cairn, ledger):
    """Starts it and lets it work. Whether it came to be ready."""
    cairn.spawn()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not cairn.alive():
            return False
        try:
            if cairn.http_session.get(f"{cairn.url}/readyz", timeout=5).status_code == 200:
                ledger.work(cairn)
                return True
        except requests.RequestException:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"neither ready nor ended within 60 s:\n{cairn.log()[-3000:]}")
