#!/usr/bin/env python3
"""How long until a server that was restarted on a long history works again?

    target/release/cairn bench run --events 3000000 --start 2026-08-27T00:00:00Z --days 87 \\
        --runs 1 --keep --data /tmp/bench-history
    deploy/scripts/bench_restart.py --cairn target/release/cairn --data /tmp/bench-history

Starts `cairn serve` on the folder again and again: after an orderly stop,
after kill -9 with events that were acknowledged and not committed, and after
its duplicate index was deleted. Each time: seconds from the start of the
process until /readyz says yes, and until an event that was sent then is in
SQL's answers; processor seconds up to then, and the most memory. It ends with
the counts: none of the events may be missing. Prints one JSON object.
The folder is changed; choose --start so that the last day is today's.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def event(event_id):
    return json.dumps({
        "eventVersion": "1.08", "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "eventID": event_id,
        "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-central-1", "readOnly": True,
        "sourceIPAddress": "198.51.100.7", "userAgent": "bench", "recipientAccountId": "111122223333",
        "userIdentity": {"type": "Root", "accountId": "111122223333"}, "eventType": "AwsApiCall"}).encode()


class Server:
    """One run of `cairn serve` on the folder."""

    def __init__(self, args):
        self.port, self.began = free_port(), time.monotonic()
        self.log = open(f"{args.data}.serve.log", "ab")
        self.process = subprocess.Popen(
            [args.cairn, "serve", "--data", args.data, "--listen", f"127.0.0.1:{self.port}", *args.serve.split()],
            stdout=self.log, stderr=self.log, env={**os.environ, "CAIRN_PG_LISTEN": "off", "CAIRN_FLIGHT_LISTEN": "off"})
        while self.call("GET", "/readyz")[0] != 200:
            if self.process.poll() is not None or time.monotonic() > self.began + 600:
                sys.exit(f"the server did not become ready; see {self.log.name}")
            time.sleep(0.02)
        self.ready = time.monotonic() - self.began
        self.token = (pathlib.Path(args.data) / "admin.token").read_text().strip()

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {getattr(self, 'token', '')}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def send(self, ids):
        status, answer = self.call("POST", "/v1/events", b"\n".join(event(i) for i in ids))
        answer = json.loads(answer)
        if status != 200 or answer["accepted"] != len(ids):
            sys.exit(f"the events were not accepted: {status} {answer}")

    def sql(self, query):
        status, answer = self.call("POST", "/v1/sql", json.dumps({"query": query}).encode())
        if status != 200:
            sys.exit(f"{query}: {status} {answer}")
        return json.loads(answer)["rows"]

    def flush(self):
        """With Kafka, what was acknowledged may still have to be read."""
        status, answer = self.call("POST", "/v1/flush")
        if status != 200:
            sys.exit(f"the flush failed: {status} {answer}")

    def measure(self, name):
        """Sends one event and waits until it can be seen."""
        self.send([name])
        while not self.sql(f"SELECT 1 FROM history WHERE event_id = '{name}'"):
            time.sleep(0.02)
        visible = time.monotonic() - self.began
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return {"ready_seconds": round(self.ready, 2), "visible_seconds": round(visible, 2),
                "cpu_seconds": (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"),
                "peak_mb": round(peak / 1024), "load": round(os.getloadavg()[0], 1)}

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cairn", default="target/release/cairn")
    parser.add_argument("--data", required=True)
    parser.add_argument("--serve", default="", help='more for cairn serve, e.g. "--kafka 127.0.0.1:9092 --topic audit --group bench"')
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tail", type=int, default=20_000, help="events sent right before each kill -9")
    args = parser.parse_args()
    run, found, sent = f"{os.getpid():x}", {}, 0
    server = Server(args)
    own = "event_source = 's3.amazonaws.com' AND user_agent = 'bench'"
    count = f"SELECT count(*) FROM history WHERE {own}"
    found["first_start"], sent = server.measure(f"{run}-first"), 1
    server.flush()
    before = server.sql(count)[0][0] - sent
    days, rows = server.sql("SELECT count(DISTINCT date_trunc('day', ingest_time)), count(*) FROM history")[0]
    found["history"] = {"rows": rows, "ingest_days": days}
    for number in range(args.rounds):
        for case, how in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL), ("killed_without_seen", signal.SIGKILL)):
            if how == signal.SIGKILL:
                for part in range(0, args.tail, 5_000):
                    ids = [f"{run}-{number}-{case}-{i}" for i in range(part, min(part + 5_000, args.tail))]
                    server.send(ids)
                    sent += len(ids)
            server.end(how)
            if case.endswith("seen"):
                shutil.rmtree(pathlib.Path(args.data) / "seen")
            server = Server(args)
            found.setdefault(case, []).append(server.measure(f"{run}-{number}-{case}"))
            sent += 1
    server.flush()
    found["sent"], found["there"] = sent, server.sql(count)[0][0] - before
    server.end(signal.SIGTERM)
    print(json.dumps(found, indent=1))
    if found["sent"] != found["there"]:
        sys.exit("events are missing or there twice")


if __name__ == "__main__":
    main()
