"""Processes and brokers that die, stand still, come and go, while events are produced.

After each the book of what the broker acknowledged is compared with the tables, as files and as SQL: every event
once, at its place. Numbers are those of docs/reliability.md. `CAIRN_TEST_SEED` repeats the choices that a run
printed; `CAIRN_TEST_KAFKA=long` does more of everything.
"""

import shutil
import time

import pytest

from fleet import Fleet, Load, seeded, short_or_long, wait_for

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


def test_46_both_are_killed_at_random(fleet, kafka, chance):
    """Twenty kills, long: 200; of one or of both, often before they are ready."""
    one, two = fleet.member("one"), fleet.member("two")
    start_together(one, two)
    one.trail("writes", "--rw", "Write")
    load = Load(kafka, fleet.topic, PARTITIONS, chance, pause=short_or_long(0.02, 0.005), batch=short_or_long(5, 30))
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


def test_34_a_log_that_lost_its_end_stops_the_partition(own_kafka, tmp_path, chance):
    """The broker gets the partition back as it was before the last records: what an unclean election leaves."""
    topic = own_kafka.create_topic(partitions=2)
    with Fleet(tmp_path / "fleet", own_kafka, [topic]) as fleet:
        load = Load(own_kafka, topic, 2, chance).send(20)
        own_kafka.stop()
        log = own_kafka.folder / "data" / f"{topic}-0"
        shutil.copytree(log, tmp_path / "earlier")
        own_kafka.start()
        one = fleet.start("one")
        load.send(20, partition=0)
        fleet.check(load.finish(), one)
        before = fleet.places(topic)
        own_kafka.stop()
        shutil.rmtree(log)
        shutil.move(tmp_path / "earlier", log)
        own_kafka.start()
        stopped = wait_for(lambda: (p := one.partition(f"{topic}/0")) and p["state"] == "stopped" and p,
                           lambda: f"the partition is not stopped: {one.partition(f'{topic}/0')}")
        assert f"the log ends at {own_kafka.bounds(topic)[1]}" in stopped["reason"]
        assert "what_to_do" in stopped and stopped["stopped_at"] is None
        # The other lost nothing, and goes on.
        more = Load(own_kafka, topic, 2, chance).send(5, partition=1)
        wait_for(lambda: len(fleet.places(topic)) == len(before) + 5, "the other partition stands too")
        assert fleet.places(topic) == sorted(before + more.finish().places())
        fleet.stop()
