#!/usr/bin/env python3
"""How much memory does Cairn take while its store is away and Kafka is full?

    deploy/scripts/kafka start /tmp/away-kafka --port 9092
    deploy/scripts/s3server start /tmp/away-s3 --port 9000 --bucket cairn
    ~/.cache/cairn/venv/bin/python deploy/scripts/bench_store_away.py --cairn target/release/cairn \\
        --brokers 127.0.0.1:9092 --s3 /tmp/away-s3

Starts a `cairn serve` with its store in the bucket, pauses the S3 server
(SIGSTOP, so that connections hang), produces --megabytes of events, and leaves
it so for --away seconds. Then the S3 server goes on, and Cairn has to come to
exactly what was produced. Prints one JSON object; exits with 1 if a count is wrong.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import urllib.request

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

SCRIPTS = pathlib.Path(__file__).resolve().parent


def s3server(command, folder):
    subprocess.run([SCRIPTS / "s3server", command, folder], check=True, stdout=subprocess.DEVNULL)


class Server:
    def __init__(self, args, work, topic):
        self.data, self.url, self.args = work / "data", f"http://127.0.0.1:{args.port}", args
        self.log = (work / "cairn.log").open("wb")
        keys = dict(line.split("=", 1) for line in (args.s3 / "keys").read_text().split())
        command = [args.cairn, "serve", "--data", self.data, "--listen", f"127.0.0.1:{args.port}",
                   "--store", f"s3://cairn/{topic}", "--s3-endpoint", (args.s3 / "address").read_text().strip(),
                   "--s3-allow-http", "--kafka", args.brokers, "--topic", topic, "--group", topic,
                   "--kafka-intake-topic", f"{topic}.intake"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env={
            **os.environ, **keys, "AWS_REGION": "us-east-1", "CAIRN_PG_LISTEN": "off", "CAIRN_FLIGHT_LISTEN": "off"})
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=5).read()
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit((work / "cairn.log").read_text())
                time.sleep(0.2)
        self.token = (self.data / "admin.token").read_text().strip()

    def sql(self, query):
        request = urllib.request.Request(
            f"{self.url}/v1/sql", json.dumps({"query": query}).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request, timeout=120))["rows"][0]

    def peak(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def fill(args, topic, work):
    """Produces the events; how many, and how many bytes they have."""
    out = work / "events.ndjson"
    with out.open("wb") as file:
        subprocess.run([args.cairn, "bench", "generate", "--events", "2000"], stdout=file, check=True)
    cut = []
    for line in out.read_bytes().splitlines():
        cut.append(line.split(json.loads(line)["eventID"].encode(), 1))
    random_ = random.Random(1)
    producer = Producer({"bootstrap.servers": args.brokers, "linger.ms": 20, "acks": "all",
                         "queue.buffering.max.messages": 1_000_000})
    refused, count, size = [], 0, 0
    while size < args.megabytes * 1e6:
        before, after = cut[count % len(cut)]
        pad = b"".join((b',"pad":"', random_.randbytes(args.pad // 2).hex().encode(), b'"}')) if args.pad else b"}"
        value = before + b"away-%08d" % count + after.rstrip()[:-1] + pad
        while True:
            try:
                producer.produce(topic, value, on_delivery=lambda e, _: refused.append(e) if e else None)
                break
            except BufferError:
                producer.poll(0.1)
        count, size = count + 1, size + len(value)
        if count % 1000 == 0:
            producer.poll(0)
    producer.flush(120)
    return count, size, len(refused)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cairn", default="target/release/cairn")
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--s3", type=pathlib.Path, required=True, help="the folder of deploy/scripts/s3server")
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--pad", type=int, default=0, help="bytes by which each event is made larger")
    parser.add_argument("--away", type=int, default=120, help="seconds, counted after the topic is full")
    parser.add_argument("--patience", type=int, default=600, help="seconds to come to all events afterwards")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--port", type=int, default=17072)
    args = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="cairn-bench-away-"))
    topic = f"away.{os.getpid()}"
    admin = AdminClient({"bootstrap.servers": args.brokers})
    for future in admin.create_topics([NewTopic(topic, args.partitions, 1)]).values():
        future.result(30)
    server = Server(args, work, topic)
    found = {"peak_mb_before": round(server.peak())}
    s3server("pause", args.s3)
    try:
        count, size, refused = fill(args, topic, work)
        found |= {"events": count, "megabytes": round(size / 1e6), "not_acknowledged": refused, "peak_mb_while_away": []}
        for _ in range(args.away // 10):
            time.sleep(10)
            found["peak_mb_while_away"].append(round(server.peak()))
    finally:
        s3server("resume", args.s3)
    began, there = time.monotonic(), 0
    while there < count and time.monotonic() < began + args.patience and server.process.poll() is None:
        time.sleep(1)
        try:
            there = server.sql("SELECT count(*) FROM history WHERE service_name <> 'cairn'")[0]
        except OSError as error:
            found["last_failed_question"] = str(error)
    found["seconds_until_all_is_there"] = round(time.monotonic() - began, 1)
    rows, ids = server.sql("SELECT count(*), count(DISTINCT event_id) FROM history WHERE service_name <> 'cairn'")
    found |= {"rows": rows, "distinct": ids, "peak_mb": round(server.peak()), "work": str(work)}
    server.process.terminate()
    server.process.wait(60)
    print(json.dumps(found, indent=1))
    if not rows == ids == count:
        sys.exit(1)


if __name__ == "__main__":
    main()
