#!/usr/bin/env python3
"""How long until an event that was produced to Kafka is in SQL's answers?

    deploy/scripts/kafka start /tmp/bench-kafka --port 9092
    ~/.cache/cairn/venv/bin/python deploy/scripts/bench_kafka.py --cairn target/release/cairn \\
        --brokers 127.0.0.1:9092 --rate 20000 --seconds 60

Produces CloudTrail-shaped events (`cairn bench generate`) at a steady rate with
confluent-kafka, and asks a `cairn serve` of its own for the number of visible
events, again and again. The k-th event counts as visible at the first answer
that has at least k: that is an upper bound, for it takes the question's own
time in, and partitions overtake each other. Broker, producer, Cairn and the
questions share the machine. Prints one JSON object.
"""

import argparse
import bisect
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic


def templates(cairn, work, count):
    """`count` generated events, each cut at its id."""
    out = work / "events.ndjson"
    with out.open("wb") as file:
        subprocess.run([cairn, "bench", "generate", "--events", str(count)], stdout=file, check=True)
    cut = []
    for line in out.read_bytes().splitlines():
        event_id = json.loads(line)["eventID"].encode()
        before, after = line.split(event_id, 1)
        cut.append((before, after))
    return cut


class Server:
    """A `cairn serve` that reads one topic."""

    def __init__(self, args, work, topic):
        self.data = work / "data"
        self.log = (work / "cairn.log").open("wb")
        self.process = subprocess.Popen(
            [args.cairn, "serve", "--data", self.data, "--listen", f"127.0.0.1:{args.port}", "--kafka", args.brokers,
             "--topic", topic, "--group", topic, "--kafka-intake-topic", f"{topic}.intake"],
            stdout=self.log, stderr=self.log, env={**os.environ, "CAIRN_PG_LISTEN": "off", "CAIRN_FLIGHT_LISTEN": "off"})
        self.url = f"http://127.0.0.1:{args.port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=5).read()
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit((work / "cairn.log").read_text())
                time.sleep(0.1)
        self.token = (self.data / "admin.token").read_text().strip()

    def sql(self, query):
        request = urllib.request.Request(
            f"{self.url}/v1/sql", json.dumps({"query": query}).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request, timeout=60))["rows"]

    def visible(self):
        return self.sql("SELECT count(*) FROM history WHERE service_name <> 'cairn'")[0][0]

    def usage(self):
        """Processor seconds so far, and the most memory in MB."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(stat[11]) + int(stat[12])
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return ticks / os.sysconf("SC_CLK_TCK"), peak / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cairn", default="target/release/cairn")
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--port", type=int, default=17070)
    parser.add_argument("--every", type=float, default=0.25, help="seconds between two questions")
    args = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="cairn-bench-kafka-"))
    topic = f"bench.{os.getpid()}"
    cut = templates(args.cairn, work, 5_000)
    admin = AdminClient({"bootstrap.servers": args.brokers})
    for future in admin.create_topics([NewTopic(topic, args.partitions, 1)]).values():
        future.result(30)
    server = Server(args, work, topic)
    answers, done = [], threading.Event()

    def ask():
        while not done.is_set():
            count = server.visible()
            answers.append((time.monotonic(), count))
            time.sleep(args.every)

    asking = threading.Thread(target=ask)
    asking.start()
    producer = Producer({"bootstrap.servers": args.brokers, "linger.ms": 5, "acks": "all",
                         "queue.buffering.max.messages": 1_000_000})
    refused = []
    sent, begin = [], time.monotonic()
    cpu_before, _ = server.usage()
    total = args.rate * args.seconds
    slice_ = max(args.rate // 100, 1)
    for first in range(0, total, slice_):
        due = begin + first / args.rate
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        for number in range(first, min(first + slice_, total)):
            before, after = cut[number % len(cut)]
            value = before + b"bench-%08d" % number + after
            producer.produce(topic, value, on_delivery=lambda e, _: refused.append(e) if e else None)
        sent.append((min(first + slice_, total), time.monotonic()))
        producer.poll(0)
    producer.flush(60)
    produced = time.monotonic() - begin
    deadline = time.monotonic() + 60
    while (not answers or answers[-1][1] < total) and time.monotonic() < deadline:
        time.sleep(0.1)
    done.set()
    asking.join()
    cpu_after, peak = server.usage()
    counts = [count for _, count in answers]
    latencies = []
    for upto, at in sent:
        index = bisect.bisect_left(counts, upto)
        latencies.append(answers[index][0] - at if index < len(answers) else float("inf"))
    latencies.sort()
    share = lambda p: round(latencies[min(int(len(latencies) * p), len(latencies) - 1)], 3)
    print(json.dumps({
        "events": total, "seconds": round(produced, 1), "events_per_second": round(total / produced),
        "partitions": args.partitions, "not_acknowledged": len(refused), "visible": counts[-1],
        "visible_after_seconds": {"p50": share(0.5), "p90": share(0.9), "p99": share(0.99), "max": share(1.0)},
        "cairn_cpu_seconds_per_million": round((cpu_after - cpu_before) / total * 1e6, 1),
        "cairn_peak_mb": round(peak), "questions": len(answers), "work": str(work)}, indent=1))
    server.stop()


if __name__ == "__main__":
    main()
