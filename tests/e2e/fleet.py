"""Several Cairn processes on one Kafka and one store, and the book that a test keeps of what it produced.

The book is the truth to compare with: what the broker acknowledged, and where. It is compared with the tables
twice, as delta-rs and pyarrow read them, and as `cairn sql` prints them.
"""

import csv
import io
import itertools
import json
import os
import pathlib
import random
import signal
import threading
import time
import uuid

from confluent_kafka import KafkaException, Producer
from deltalake import DeltaTable

import independent
from cairn import Cairn, event

# Bounds, so that nothing hangs for ever.
SETTLE_WITHIN = 120

LONG = os.environ.get("CAIRN_TEST_KAFKA") == "long"

# Partitions move within seconds.
QUICK = ["--kafka-session-timeout", "3s", "--history-commit-interval", "500ms", "--trails-commit-interval", "500ms"]

ACCOUNTS = [f"{n:012d}" for n in range(1, 6)]
REGIONS = ["eu-west-1", "us-east-1", "cn-hangzhou"]


def short_or_long(short, long):
    """A size, by the form that was asked for."""
    return long if LONG else short


def seeded():
    """A source of chance, and its seed, printed."""
    seed = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 30)))
    print(f"CAIRN_TEST_SEED={seed}")
    return random.Random(seed)


def wait_for(condition, what, within=SETTLE_WITHIN, every=0.2):
    """Returns what `condition` says once that is true; says what was `last` seen where it never is."""
    end = time.monotonic() + within
    while True:
        said = condition()
        if said:
            return said
        assert time.monotonic() < end, f"after {within} s: {what() if callable(what) else what}"
        time.sleep(every)


class Member(Cairn):
    """One process of a fleet."""

    def __init__(self, fleet, name, arguments):
        super().__init__(fleet.folder / name, env=fleet.env, arguments=arguments)
        self.fleet = fleet

    @property
    def admin(self):
        return self.fleet.admin

    def pause(self):
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def kafka(self):
        """What its status says of Kafka."""
        return self.http("GET", "/v1/status", check=200).json()["kafka"]

    def partition(self, name):
        """What it says of one partition, `topic/number`; None where another process reads it."""
        return next((p for p in self.kafka()["partitions"] if p["partition"] == name), None)

    def owned(self, topic):
        """The numbers of the topic's partitions that it was given."""
        return sorted(int(p["partition"].rsplit("/", 1)[1]) for p in self.kafka()["partitions"] if p["topic"] == topic)

    def metric(self, name, **labels):
        """One value of `/metrics`, or None."""
        for line in self.http("GET", "/metrics", token=False, check=200).text.splitlines():
            if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return None

    def status_of(self, label):
        """One line of /proc/PID/status, in its unit."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith(label + ":")).split()[1])


class Fleet:
    """Processes with the same Kafka, group and store. `with Fleet(…) as fleet:` ends them all."""

    def __init__(self, folder, broker, topics, store=None, env=None, arguments=QUICK, intake=None, storage=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = broker
        self.env = env or {}
        self.storage = storage
        if store is None:
            (self.folder / "store").mkdir(exist_ok=True)
            store = f"file://{self.folder}/store"
        self.store = store
        # Of its own, for topics and groups outlive it on a broker that tests share.
        mark = uuid.uuid4().hex[:8]
        self.group, self.intake = f"g-{mark}", intake or f"intake-{mark}"
        self.arguments = ["--store", store, "--kafka", broker.address(), "--group", self.group,
                          "--kafka-intake-topic", self.intake, "--kafka-intake-partitions", "2",
                          *itertools.chain.from_iterable(("--topic", t) for t in topics), *arguments]
        self.members = {}
        self._admin = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members.values():
            member.kill()

    @property
    def admin(self):
        """The administrator's token, which one of the processes made."""
        if self._admin is None:
            files = [m.data / "admin.token" for m in self.members.values()]
            found = [f for f in files if f.exists()]
            assert len(found) == 1, f"{len(found)} processes made a first token"
            self._admin = found[0].read_text().strip()
        return self._admin

    def member(self, name, *arguments):
        """The process of that name, not started where it is new."""
        if name not in self.members:
            self.members[name] = Member(self, name, [*self.arguments, *arguments])
        return self.members[name]

    def start(self, name, *arguments):
        """The same, started."""
        return self.member(name, *arguments).start()

    def stop(self):
        """Ends all in order; all have to agree."""
        for member in self.members.values():
            assert member.stop() in (0, None), member.log()[-3000:]

    # -- what the tables hold ---------------------------------------------

    def delta(self, where="tables/history"):
        """A table of the store, opened by delta-rs. `where` is its place below the store, or its whole URL."""
        url = where if "://" in where else f"{self.store.rstrip('/')}/{where}"
        return DeltaTable(url, storage_options=self.storage)

    def rows(self, *columns, where="tables/history", source=None):
        """Tuples of a table's columns, read by delta-rs and pyarrow; of events that others sent."""
        wanted = list(dict.fromkeys([*columns, "log_source"] + (["dialect"] if "quarantine" not in where else [])))
        table = self.delta(where).to_pyarrow_table(columns=wanted).to_pylist()
        return [tuple(r[c] for c in columns) for r in table
                if r.get("dialect") != "cairn" and (source is None or r["log_source"] == source)]

    def places(self, source, where="tables/history"):
        """(event id, partition, offset) of all rows of a source, in order, repeats too."""
        return sorted(self.rows("event_id", "log_partition", "log_offset", where=where, source=source))

    def check(self, book, *askable, source=None, where="tables/history", table="history"):
        """The book's acknowledged events are in the table, each once, where the broker put it; in files and in SQL.

        What was sent without an answer may be there, once."""
        source = source or book.topic
        wanted = book.places()
        wait_for(lambda: len(self.places(source, where)) >= len(wanted),
                 lambda: f"{len(self.places(source, where))} of {len(wanted)} events are in the files of {table}")
        compare(wanted, book.unsure(), self.places(source, where))
        for member in askable:
            wait_for(lambda m=member: len(asked(m, table, source)) >= len(wanted),
                     lambda m=member: f"{len(asked(m, table, source))} of {len(wanted)} events are in SQL")
            compare(wanted, book.unsure(), asked(member, table, source))


def asked(member, table, source):
    """The same as `Fleet.places`, as `cairn sql` prints it."""
    text = member.cli("sql", "--format", "csv", "SELECT event_id, log_partition, log_offset FROM " + table
                      + f" WHERE log_source = '{source}' AND dialect <> 'cairn'").stdout.decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    return sorted((r[0], int(r[1]), int(r[2])) for r in rows)


def compare(wanted, unsure, found):
    """`found` is `wanted`, and of `unsure` each once at the most; neither more nor less."""
    names = [name for name, _, _ in found]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    assert not twice, f"{len(twice)} events are there twice, such as {sorted(twice)[:5]}"
    lost = set(wanted) - set(found)
    assert not lost, f"{len(lost)} of {len(wanted)} acknowledged events are lost or elsewhere, such as {sorted(lost)[:5]}"
    strange = {row for row in set(found) - set(wanted) if row[0] not in unsure}
    assert not strange, f"{len(strange)} events are there that nobody acknowledged, such as {sorted(strange)[:5]}"


class Book:
    """What was produced to one topic: the text of each event, and where the broker put it."""

    def __init__(self, topic):
        self.topic = topic
        self.texts = {}
        self.acknowledged = {}
        self.faults = []

    def places(self):
        """(event id, partition, offset) of all that was acknowledged, in order."""
        return sorted((name, *place) for name, place in self.acknowledged.items())

    def unsure(self):
        """Ids of what was sent and not acknowledged."""
        return set(self.texts) - set(self.acknowledged)

    def events(self):
        """What was acknowledged, as independent.py reads it."""
        texts = [self.texts[name] for name in self.acknowledged]
        values = [(text, json.loads(text)) for text in texts]
        return [independent.Event(text, value, independent.account_of(value)) for text, value in values]

    def taken(self, **filters):
        """The part of it that a filter takes, as a book."""
        part = Book(self.topic)
        names = {e.id for e in self.events() if independent.takes(e, **filters)}
        part.acknowledged = {n: place for n, place in self.acknowledged.items() if n in names}
        part.texts = {n: self.texts[n] for n in names}
        return part


class Load(threading.Thread):
    """Produces numbered events to all partitions of a topic until it is told to end, and keeps book of them."""

    def __init__(self, broker, topic, partitions, chance, pause=0.02, batch=5, padding=0):
        super().__init__(daemon=True)
        self.book = Book(topic)
        self.topic, self.partitions, self.pause, self.batch = topic, partitions, pause, batch
        self.chance = random.Random(chance.random())
        self.padding = "x" * padding
        self.mark = uuid.uuid4().hex[:6]
        self.count = 0
        self.ended = threading.Event()
        self.producer = Producer(broker.client() | {
            "enable.idempotence": True, "acks": "all", "linger.ms": 5, "message.timeout.ms": 300_000,
            "topic.metadata.refresh.interval.ms": 200})

    def produce(self, partition=None):
        """One more event."""
        name = f"{self.mark}-{self.count}"
        self.count += 1
        more = {"requestParameters": {"x": self.padding}} if self.padding else {}
        text = json.dumps(event(name, account=self.chance.choice(ACCOUNTS), awsRegion=self.chance.choice(REGIONS),
                                readOnly=self.chance.random() < 0.5, **more))
        self.book.texts[name] = text
        partition = self.chance.randrange(self.partitions) if partition is None else partition

        def delivered(fault, message):
            if fault:
                self.book.faults.append(fault)
            else:
                self.book.acknowledged[name] = (message.partition(), message.offset())

        while True:
            try:
                self.producer.produce(self.topic, text.encode(), partition=partition, on_delivery=delivered)
                break
            except BufferError:
                self.producer.poll(0.1)
            except KafkaException as error:
                # The topic has grown a moment ago.
                if error.args[0].name() != "_UNKNOWN_PARTITION":
                    raise
                self.producer.poll(0.1)
        self.producer.poll(0)

    def run(self):
        while not self.ended.is_set():
            for _ in range(self.batch):
                self.produce()
            self.ended.wait(self.pause)

    def send(self, count, partition=None):
        """Produces so many in this thread, and returns when all are acknowledged."""
        for _ in range(count):
            self.produce(partition)
        assert self.producer.flush(SETTLE_WITHIN) == 0
        return self

    def finish(self):
        """Ends it; the book, of which everything was acknowledged."""
        self.ended.set()
        if self.ident is not None:
            self.join(timeout=SETTLE_WITHIN)
            assert not self.is_alive()
        left = self.producer.flush(SETTLE_WITHIN)
        assert not left and not self.book.faults, f"{left} records not acknowledged; {self.book.faults[:3]}"
        assert len(self.book.acknowledged) == self.count > 0
        return self.book
