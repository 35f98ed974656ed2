"""Where reading goes on: holes, gaps, topics made anew, new partitions, and what operators do to a group.

One fleet reads a topic for each case. The fixture ends it, does to the topics what must not be done while
nobody looks, and starts two processes on what is left. Numbers are those of docs/reliability.md.
"""

import json
import uuid

import pytest

from broker import Transactions, confluent_produce
from cairn import event
from fleet import Fleet, Load, seeded, wait_for

NAMES = ["holes", "open", "gap", "anew", "grown", "rewound", "forward", "deleted", "live-gap", "live-anew", "live-grown"]


class Places:
    """The fleet, its topics, and a book for each of what was produced in peace."""

    def __init__(self, folder, broker):
        self.broker = broker
        self.chance = seeded()
        mark = "p" + uuid.uuid4().hex[:8]
        self.topics = {name: f"{mark}.{name}" for name in NAMES}
        for topic in self.topics.values():
            broker.create_topic(topic, partitions=2)
        self.fleet = Fleet(folder, broker, self.topics.values())
        self.loads = {name: Load(broker, topic, 2, self.chance) for name, topic in self.topics.items()}

    def send(self, name, count, partition=None):
        self.loads[name].send(count, partition)

    def events(self, name):
        """{event id: (source, partition, offset)} in history, of a topic whatever its life; no id twice."""
        topic = self.topics[name]
        rows = [r for r in self.fleet.rows("event_id", "log_source", "log_partition", "log_offset")
                if r[1] == topic or r[1].startswith(topic + "@")]
        assert len(rows) == len({r[0] for r in rows}), "events are there twice"
        return {r[0]: r[1:] for r in rows}

    def members(self):
        return [m for m in self.fleet.members.values() if m.process is not None]

    def partition(self, name, number=0, life=1):
        """What the process that reads it says of a partition."""
        source = self.topics[name] + (f"@{life}" if life > 1 else "")
        return next(filter(None, (m.partition(f"{source}/{number}") for m in self.members())), None)

    def wait_stopped(self, name, number=0):
        return wait_for(lambda: (p := self.partition(name, number)) and p["state"] == "stopped" and p,
                        lambda: f"not stopped: {self.partition(name, number)}")

    def wait_count(self, name, count):
        wait_for(lambda: len(self.events(name)) >= count, lambda: f"{len(self.events(name))} of {count} are there")
        return self.events(name)

    def whole(self, name):
        """The book agrees with the tables, as files and as SQL."""
        self.fleet.check(self.loads[name].finish(), *self.members())


@pytest.fixture(scope="module")
def places(folders, kafka):
    places = Places(folders("kafka-places"), kafka)
    fleet, topics = places.fleet, places.topics
    with fleet:
        one = fleet.start("one")
        for name in NAMES:
            if name not in ("holes", "open"):
                places.send(name, 20)
        with Transactions(kafka) as transactions:
            transactions.commit(topics["holes"], [event(f"h-{n}") for n in range(3)])
            transactions.abort(topics["holes"], [event(f"aborted-{n}") for n in range(3)])
        one.flush()
        assert one.stop() == 0
        # Nobody looks.
        with Transactions(kafka) as transactions:
            transactions.commit(topics["holes"], [event(f"h-{n}") for n in range(3, 6)])
            transactions.abort(topics["holes"], [event(f"aborted-{n}") for n in range(3, 6)])
            transactions.abort(topics["holes"], [event("aborted-only")], partition=1)
        places.gone = kafka.bounds(topics["gap"])[1]
        places.send("gap", 30, partition=0)
        places.send("gap", 5, partition=1)
        kafka.delete_records(topics["gap"], 0, before=places.gone + 12)
        kafka.delete_topic(topics["anew"])
        kafka.create_topic(topics["anew"], partitions=1)
        kafka.grow_topic(topics["grown"], 4)
        places.loads["grown"].partitions = 4
        places.send("grown", 40)
        for name in ("rewound", "forward"):
            places.send(name, 20)
            for number in range(2):
                kafka.commit(fleet.group, topics[name], 0 if name == "rewound" else 100_000, partition=number)
        kafka._done(kafka.admin.delete_consumer_groups([fleet.group]))
        for number in range(2):
            kafka.commit(fleet.group, topics["rewound"], 0, partition=number)
            kafka.commit(fleet.group, topics["forward"], kafka.bounds(topics["forward"], number)[1], partition=number)
        places.send("deleted", 20)
        for name in ("one", "two"):
            fleet.member(name).spawn()
        for name in ("one", "two"):
            fleet.member(name).wait_ready()
        yield places
        fleet.stop()


def test_27_32_aborted_records_are_not_seen_and_leave_no_gap(places):
    """Also where nothing but an aborted transaction stands at the end, and in a partition that holds nothing else."""
    found = places.wait_count("holes", 6)
    assert sorted(found) == [f"h-{n}" for n in range(6)]
    # Three records and a marker, twice; offsets of the broker's own.
    assert [found[f"h-{n}"][2] for n in range(6)] == [0, 1, 2, 8, 9, 10]
    for number, end in [(0, 16), (1, 2)]:
        def passed(number=number, end=end):
            part = places.partition("holes", number) or {}
            return (part.get("committed"), part.get("state"), part.get("lag_records")) == (end, "reading", 0)
        wait_for(passed, lambda n=number: f"the position does not pass the holes: {places.partition('holes', n)}")


def test_32_an_open_transaction_is_not_seen_before_it_is_committed(places):
    topic = places.topics["open"]
    with Transactions(places.broker) as transactions:
        transactions.begin(topic, [event("undecided")])
        # What comes after it waits with it.
        confluent_produce(places.broker, topic, [event("behind")])
        confluent_produce(places.broker, topic, [event("beside")], partition=1)
        places.wait_count("open", 1)
        assert set(places.events("open")) == {"beside"}
        transactions.producer.commit_transaction(30)
    found = places.wait_count("open", 3)
    assert found["undecided"][2] == 0 and found["behind"][2] in (1, 2)


def refused(member, code, partition, offset, **more):
    """An acceptance that is not of what is stopped."""
    answer = member.http("POST", "/v1/sources/accept", json={"partition": partition, "offset": offset, **more})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code), f"{more}: {answer.text}"


def test_28_a_gap_stops_one_partition_and_is_told_until_it_is_accepted(places):
    topic, fleet = places.topics["gap"], places.fleet
    name = f"{topic}/0"
    stopped = places.wait_stopped("gap")
    owner = next(m for m in places.members() if m.partition(name))
    at = stopped["committed"]
    start = places.broker.bounds(topic)[0]
    assert stopped["stopped_at"] == at < start == stopped["log_start"]
    assert f"{at} to {start - 1}" in stopped["reason"] and "accept" in stopped["what_to_do"]
    told = owner.cli("source", "list").out
    assert f"{name} is stopped" in told and f"{at} to {start - 1}" in told
    wait_for(lambda: owner.metric("cairn_kafka_stopped", partition=name) == 1, "the metric does not say so")
    events = wait_for(lambda: owner.sql("SELECT request_parameters AS r FROM history WHERE event_name = 'SourceStopped'"
                                        f" AND resource_name = '{name}'"), "no event says so")
    assert json.loads(events[0]["r"])["partition"] == name
    book = places.loads["gap"].book
    there = {n: p for n, p in book.acknowledged.items() if p[0] == 1 or p[1] < at}
    assert set(places.wait_count("gap", len(there))) == set(there), "partition 1 goes on, and 0 is not read"
    # By way of the other process: what is accepted is known to all. It has to be just what is stopped.
    other = next(m for m in places.members() if m is not owner)
    for member in (owner, other):
        refused(member, "stop_differs", name, at + 1)
        refused(member, "stop_differs", name, at, to=start - 1)
        refused(member, "stop_differs", name, at, to=start + 1)
        refused(member, "stop_differs", name, at, to=start, reason="bad_record")
        refused(member, "not_stopped", f"{topic}/1", 0)
    grown = other.cli("source", "accept", name, at, "--to", start - 1, codes=(1,))
    assert "nothing was accepted" in grown.err and f"{at} to {start - 1}" in grown.err, grown.err
    assert places.partition("gap")["stopped_at"] == at
    other.cli("source", "accept", name, at, "--to", start)
    left = {n: (topic, *p) for n, p in book.acknowledged.items() if p[0] == 1 or not at <= p[1] < start}
    assert places.wait_count("gap", len(left)) == left
    # The offset where the gap begins, and how long it is.
    # The other shows it once its owner has committed it.
    rows = wait_for(lambda: other.sql("SELECT log_partition, log_offset, reason, detail FROM quarantine"
                                      f" WHERE log_source = '{topic}'"), "no row stands for the gap")
    assert [(r["log_partition"], r["log_offset"], r["reason"]) for r in rows] == [(0, at, "source_gap")]
    assert f"{at} to {start - 1}" in rows[0]["detail"], rows[0]["detail"]
    wait_for(lambda: other.column("SELECT 1 FROM history WHERE event_name = 'AcceptSourceGap'"
                                  f" AND resource_name = '{name}'"), "no event says who accepted it")
    assert [r for r in fleet.rows("log_offset", "reason", where="tables/quarantine", source=topic)] == [(at, "source_gap")]


def test_28_a_gap_that_opens_under_a_running_process(places):
    """Retention is faster than the reader; here the reader stands still for less than its session."""
    topic, load = places.topics["live-gap"], places.loads["live-gap"]
    before = dict(load.book.acknowledged)
    places.wait_count("live-gap", len(before))
    at, start = places.broker.bounds(topic)[1], None
    for member in places.members():
        member.pause()
    try:
        places.send("live-gap", 30, partition=0)
        start = at + 20
        places.broker.delete_records(topic, 0, before=start)
    finally:
        for member in places.members():
            member.resume()
    # librdkafka may have had an answer under way that holds the records: then nothing was lost.
    # A stop without a place is one that goes on by itself.
    def settled():
        part = places.partition("live-gap") or {}
        stopped = part.get("state") == "stopped" and part.get("stopped_at") is not None
        return part if stopped or part.get("committed") == at + 30 else None
    stopped = wait_for(settled, lambda: f"{places.partition('live-gap')}")
    if stopped["state"] == "stopped":
        assert stopped["stopped_at"] == stopped["committed"] < start
        places.members()[0].cli("source", "accept", f"{topic}/0", stopped["stopped_at"])
        begin = stopped["stopped_at"]
    else:
        begin = start
    left = {n: (topic, *p) for n, p in load.book.acknowledged.items() if p[0] == 1 or not begin <= p[1] < start}
    assert places.wait_count("live-gap", len(left)) == left


def test_29_a_topic_made_anew_while_nobody_looked_is_another_source(places):
    load = Load(places.broker, places.topics["anew"], 1, places.chance).send(15)
    old = places.loads["anew"].book.acknowledged
    found = places.wait_count("anew", len(old) + 15)
    topic = places.topics["anew"]
    assert found == ({n: (topic, *p) for n, p in old.items()}
                     | {n: (topic + "@2", *p) for n, p in load.book.acknowledged.items()})
    assert places.partition("anew", life=2)["state"] == "reading"


def test_29_a_topic_made_anew_under_running_processes(places):
    topic, old = places.topics["live-anew"], dict(places.loads["live-anew"].book.acknowledged)
    places.wait_count("live-anew", len(old))
    places.broker.delete_topic(topic)
    places.broker.create_topic(topic, partitions=2)
    load = Load(places.broker, topic, 2, places.chance).send(40)
    found = places.wait_count("live-anew", len(old) + 40)
    assert found == ({n: (topic, *p) for n, p in old.items()}
                     | {n: (topic + "@2", *p) for n, p in load.book.acknowledged.items()})


def test_30_partitions_added_while_nobody_looked_are_read_from_0(places):
    places.whole("grown")
    assert {p for p, _ in places.loads["grown"].book.acknowledged.values()} == {0, 1, 2, 3}


def test_30_partitions_added_under_running_processes(places):
    load = places.loads["live-grown"]
    places.broker.grow_topic(places.topics["live-grown"], 3)
    places.send("live-grown", 20, partition=2)
    load.partitions = 3
    places.send("live-grown", 20)
    places.whole("live-grown")


@pytest.mark.parametrize("name", ["rewound", "forward", "deleted"])
def test_31_what_a_group_committed_counts_for_nothing(places, name):
    """The group was deleted, and its offsets set back or ahead, while nobody ran."""
    places.whole(name)
