"""Processes and brokers that die, stand still, come and go, while events are produced.

After each the book of what the broker acknowledged is compared with the tables, as files and as SQL: every event
once, at its place. Numbers are those of docs/reliability.md. `CAIRN_TEST_SEED` repeats the choices that a run
printed; `CAIRN_TEST_KAFKA=long` does more of everything.
"""

import shutil
import time

import pytest

from broker import Transactions
from cairn import event
from fleet import PATIENT, Fleet, Load, seeded, short_or_long, wait_for

pytestmark = PATIENT

PARTITIONS = 4


@pytest.fixture
def chance():
    return seeded()


@pytest.fixture
def fleet(kafka, tmp_path):
    """A fleet without processes, with one topic, on the shared broker."""
    topic = kafka.create_topic(partitions=PARTITIONS)
    with Fleet(tmp_path / "fleet", kafka, [topic]) as fleet:
        fleet.topic = topic
        yield fleet


def start_together(*members):
    for member in members:
        member.spawn()
    for member in members:
        member.wait_ready()


def share(*members, topic):
    """Returns once the partitions lie with these processes, each with one once, and all have some."""
    def shared():
        parts = [m.owned(topic) for m in members]
        return all(parts) and sorted(sum(parts, [])) == list(range(PARTITIONS))
    wait_for(shared, lambda: f"the partitions are not shared out: {[m.owned(topic) for m in members]}")


def test_23_processes_join_and_leave_while_batches_are_under_way(fleet, kafka, chance):
    one, two = fleet.start("one"), fleet.member("two")
    load = Load(kafka, fleet.topic, PARTITIONS, chance)
    load.start()
    rounds = short_or_long(3, 25)
    for number in range(rounds):
        two.start()
        share(one, two, topic=fleet.topic)
        time.sleep(chance.random() * 1.5)
        if number % 3 == 2:
            two.kill()
        else:
            assert two.stop() == 0, two.log()[-3000:]
        time.sleep(chance.random())
    wait_for(lambda: one.owned(fleet.topic) == list(range(PARTITIONS)), "one has not got everything back")
    book = load.finish()
    assert one.kafka()["rebalances"] >= rounds
    print(f"{rounds} joins, {len(book.acknowledged)} events")
    two.start()
    fleet.check(book, one, two)
    fleet.stop()


def test_24_25_started_together_and_one_stands_still_beyond_its_session(fleet, kafka, chance):
    """Two start at once on a full topic. One is stopped (SIGSTOP), loses its partitions, and wakes."""
    load = Load(kafka, fleet.topic, PARTITIONS, chance).send(short_or_long(1000, 5000))
    one, two = fleet.member("one"), fleet.member("two")
    start_together(one, two)
    load.start()
    for number in range(short_or_long(2, 20)):
        sleeper, awake = (one, two) if number % 2 == 0 else (two, one)
        share(one, two, topic=fleet.topic)
        # Somewhere in a batch, or in a commit.
        time.sleep(chance.random())
        sleeper.pause()
        wait_for(lambda a=awake: a.owned(fleet.topic) == list(range(PARTITIONS)), "nobody took the partitions over")
        time.sleep(chance.random() * short_or_long(1.5, 20))
        sleeper.resume()
        time.sleep(chance.random())
    share(one, two, topic=fleet.topic)
    book = load.finish()
    print(f"{len(book.acknowledged)} events")
    fleet.check(book, one, two)
    fleet.stop()


def test_26_a_process_that_got_nothing_holds_nobody_up(kafka, tmp_path, chance):
    """There are more processes than partitions. Who has none must go along with each change, and take over."""
    topic = kafka.create_topic()
    with Fleet(tmp_path / "fleet", kafka, [topic], intake_partitions=1) as fleet:
        one, two, three = fleet.start("one"), fleet.start("two"), fleet.member("three")
        load = Load(kafka, topic, 1, chance).send(20)
        members = [one, two]
        wait_for(lambda: sum(len(m.owned(topic)) for m in members) == 1, "nobody reads")
        three.start()
        members.append(three)
        while len(members) > 1:
            # While it is shared out anew, nobody has it.
            owner = wait_for(lambda: next((m for m in members if m.owned(topic)), None), "nobody reads any more")
            load.send(20)
            owner.kill()
            members.remove(owner)
        load.send(20)
        fleet.check(load.finish(), *members)
        fleet.stop()


def test_46_both_are_killed_at_random(fleet, kafka, chance):
    """Twenty kills, long: 200; of one or of both, often before they are ready."""
    one, two = fleet.member("one"), fleet.member("two")
    start_together(one, two)
    one.trail("writes", "--rw", "Write")
    load = Load(kafka, fleet.topic, PARTITIONS, chance, batch=short_or_long(5, 10))
    load.start()
    kills = 0
    while kills < short_or_long(20, 200):
        time.sleep(chance.choice([0, 0.3, 1, 2]) + chance.random() * 0.5)
        for member in chance.choice([[one], [two], [one, two]]):
            member.kill()
            kills += 1
        time.sleep(chance.random() * 0.3)
        for member in (one, two):
            if member.process is None:
                member.spawn()
    for member in (one, two):
        member.wait_ready()
    share(one, two, topic=fleet.topic)
    book = load.finish()
    print(f"{kills} kills, {len(book.acknowledged)} events")
    fleet.check(book, one, two)
    table = one.cli_json("trail", "show", "writes")["table"]
    fleet.check(book.taken(rw="Write"), one, two, where=table, table="trails.writes")
    fleet.stop()


def test_33_the_broker_stops_dies_and_stands_still(own_kafka, tmp_path, chance):
    """Ended in order, killed, paused beyond the session; and one process is killed while the broker is away."""
    topic = own_kafka.create_topic(partitions=PARTITIONS)
    with Fleet(tmp_path / "fleet", own_kafka, [topic]) as fleet:
        one, two = fleet.member("one"), fleet.member("two")
        start_together(one, two)
        load = Load(own_kafka, topic, PARTITIONS, chance)
        load.start()
        for number in range(short_or_long(1, 8)):
            own_kafka.restart()
            time.sleep(chance.random())
            own_kafka.restart(hard=True)
            time.sleep(chance.random())
            own_kafka.pause()
            time.sleep(4 + chance.random() * 2)
            two.kill()
            # Questions are answered, also while Kafka is away.
            assert one.one("SELECT count(*) FROM history WHERE event_id = 'none'") == 0
            own_kafka.resume()
            two.start()
        share(one, two, topic=topic)
        book = load.finish()
        print(f"{len(book.acknowledged)} events")
        fleet.check(book, one, two)
        fleet.stop()


class Loss:
    """A log that gets back what it was before its last records: what an unclean election leaves, or a lost disk."""

    def __init__(self, broker, topic, folder):
        self.broker, self.earlier = broker, folder / "earlier"
        self.log = broker.folder / "data" / f"{topic}-0"
        broker.stop()
        shutil.copytree(self.log, self.earlier)
        broker.start()

    def happen(self):
        self.broker.stop()
        shutil.rmtree(self.log)
        shutil.move(self.earlier, self.log)
        self.broker.start()


def test_34_a_log_that_lost_its_end_stops_the_partition(own_kafka, tmp_path, chance):
    topic = own_kafka.create_topic(partitions=2)
    with Fleet(tmp_path / "fleet", own_kafka, [topic]) as fleet:
        load = Load(own_kafka, topic, 2, chance).send(20)
        kept = own_kafka.bounds(topic)[1]
        loss = Loss(own_kafka, topic, tmp_path)
        one = fleet.start("one")
        load.send(20, partition=0)
        fleet.check(load.finish(), one)
        before = fleet.places(topic)
        loss.happen()
        # librdkafka may have seen it first, in words of its own; that is looked into within a second.
        reason = f"the log ends at {own_kafka.bounds(topic)[1]}"
        stopped = wait_for(lambda: (p := one.partition(f"{topic}/0")) and reason in p.get("reason", "") and p,
                           lambda: f"the partition is not stopped: {one.partition(f'{topic}/0')}")
        assert stopped["state"] == "stopped" and "new name" in stopped["what_to_do"]
        assert (stopped["stopped_at"], stopped["stopped_to"]) == (kept, kept + 20)
        # The other lost nothing, and goes on.
        more = Load(own_kafka, topic, 2, chance).send(5, partition=1)
        wait_for(lambda: len(fleet.places(topic)) == len(before) + 5, "the other partition stands too")
        assert fleet.places(topic) == sorted(before + more.finish().places())
        # What comes under the old offsets is another source's, once that is accepted.
        one.cli("source", "accept", f"{topic}/0", kept)
        late = Load(own_kafka, topic, 2, chance).send(5, partition=0).finish()
        assert min(offset for _, _, offset in late.places()) == kept
        fleet.check(late, one, source=f"{topic}@2")
        assert fleet.places(topic) == sorted(before + more.finish().places())
        fleet.stop()


def test_34_a_log_that_lost_its_end_and_grew_again_stops_the_partition(own_kafka, tmp_path, chance):
    """It is longer than what was read of it before anybody looks: its length says nothing."""
    topic = own_kafka.create_topic(partitions=2)
    with Fleet(tmp_path / "fleet", own_kafka, [topic]) as fleet:
        load = Load(own_kafka, topic, 2, chance).send(20)
        kept = own_kafka.bounds(topic)[1]
        loss = Loss(own_kafka, topic, tmp_path)
        one, two = fleet.start("one"), fleet.member("two")
        load.send(20, partition=0)
        book = load.finish()
        fleet.check(book, one)
        assert one.stop() == 0
        loss.happen()
        other = Load(own_kafka, topic, 2, chance).send(35, partition=0).finish()
        assert min(offset for _, _, offset in other.places()) == kept
        beside = Load(own_kafka, topic, 2, chance).send(5, partition=1).finish()
        start_together(one, two)
        name = f"{topic}/0"
        owner, stopped = wait_for(
            lambda: next(((m, p) for m in (one, two) if (p := m.partition(name)) and p["state"] == "stopped"), None),
            lambda: f"nobody stopped: {[m.partition(name) for m in (one, two)]}")
        assert f"from {kept} to {kept + 19} it holds others" in stopped["reason"], stopped
        assert (stopped["stopped_at"], stopped["stopped_to"]) == (kept, kept + 20)
        assert stopped["log_end"] == kept + 35 > stopped["committed"] == kept + 20
        assert f"{name} is stopped" in owner.cli("source", "list").out
        # The other partition goes on, and of this one nothing is read.
        whole = sorted(book.places() + beside.places())
        wait_for(lambda: fleet.places(topic) == whole, "the other partition stands too")
        # Whoever does not read it sees the same in the log. What is accepted has to be just that.
        asked = two if owner is one else one
        for at, to in [(kept + 1, kept + 20), (kept, kept + 35)]:
            answer = asked.http("POST", "/v1/sources/accept", json={"partition": name, "offset": at, "to": to})
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "stop_differs"), answer.text
        asked.cli("source", "accept", name, kept, "--to", kept + 20)
        # Nothing is lost, and no offset names two records.
        fleet.check(other, one, two, source=f"{topic}@2")
        assert fleet.places(topic) == whole
        assert fleet.rows("log_offset", where="tables/quarantine", source=topic) == []
        # It stays so, and goes on.
        fleet.stop()
        start_together(one, two)
        other.acknowledged |= (more := Load(own_kafka, topic, 2, chance).send(10, partition=0).finish()).acknowledged
        other.texts |= more.texts
        fleet.check(other, one, two, source=f"{topic}@2")
        assert fleet.places(topic) == whole
        wait_for(lambda: one.column("SELECT 1 FROM history WHERE event_name = 'AcceptSourceGap'"
                                    f" AND resource_name = '{name}'"), "no event says who accepted it")
        fleet.stop()


def test_34_transactions_and_retention_at_the_end_are_no_loss(own_kafka, tmp_path):
    """The position stands behind markers, and behind what retention has left: the log is the same, also under a new leader."""
    topic = own_kafka.create_topic(partitions=2)
    with Fleet(tmp_path / "fleet", own_kafka, [topic]) as fleet:
        one = fleet.start("one")
        with Transactions(own_kafka) as transactions:
            transactions.commit(topic, [event("kept")])
            own_kafka.restart()
            # The next epoch holds nothing but what is not seen.
            transactions.abort(topic, [event("aborted")])
            transactions.commit(topic, [event("trimmed-1"), event("trimmed-2")], partition=1)
        ends = [4, 3]
        wait_for(lambda: [(one.partition(f"{topic}/{n}") or {}).get("committed") for n in range(2)] == ends,
                 lambda: f"not read to the end: {one.kafka()['partitions']}")
        assert one.stop() == 0
        own_kafka.delete_records(topic, 1, before=3)
        own_kafka.restart(hard=True)
        one.start()
        wait_for(lambda: [(one.partition(f"{topic}/{n}") or {}).get("state") for n in range(2)] == ["reading"] * 2,
                 lambda: f"not read: {one.kafka()['partitions']}")
        with Transactions(own_kafka) as transactions:
            transactions.commit(topic, [event("after")])
            transactions.commit(topic, [event("after-trim")], partition=1)
        wanted = [("after", 0, 4), ("after-trim", 1, 3), ("kept", 0, 0), ("trimmed-1", 1, 0), ("trimmed-2", 1, 1)]
        wait_for(lambda: fleet.places(topic) == wanted, lambda: f"{fleet.places(topic)}")
        assert one.metric("cairn_kafka_stopped", partition=f"{topic}/0") == 0
        fleet.stop()
