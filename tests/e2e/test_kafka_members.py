"""A process that was killed and comes back is the same member of Kafka's group.

The session is set so long that nothing here could pass by waiting for its end: whoever reads a partition was given
it for another reason.
"""

import json
import shutil
import signal
import time
import uuid

import pytest

from cairn import Cairn, event
from fleet import SETTLE_WITHIN, Fleet, Load, seeded, wait_for

SESSION = 1500
assert SESSION > SETTLE_WITHIN
PATIENT = ["--kafka-session-timeout", f"{SESSION}s", "--history-commit-interval", "500ms",
           "--trails-commit-interval", "500ms"]
PARTITIONS = 4

pytestmark = pytest.mark.timeout(420)


@pytest.fixture
def chance():
    return seeded()


@pytest.fixture
def fleet(kafka, tmp_path):
    topic = kafka.create_topic(partitions=PARTITIONS)
    with Fleet(tmp_path / "fleet", kafka, [topic], arguments=PATIENT) as fleet:
        fleet.topic = topic
        yield fleet


def shared(topic, *members):
    """Returns what each process was given, once that is everything and each has something."""
    def parts():
        owned = [m.owned(topic) for m in members]
        return all(owned) and sorted(sum(owned, [])) == list(range(PARTITIONS)) and owned
    return wait_for(parts, lambda: f"not shared out: {[m.owned(topic) for m in members]}")


def test_killed_and_started_again_it_reads_on(fleet, kafka, chance):
    load, one = Load(kafka, fleet.topic, PARTITIONS, chance).send(20), fleet.start("one")
    fleet.check(load.book, one)
    for number in range(3):
        load.send(20)
        one.kill()
        load.send(20)
        if number == 1:
            # Killed again before it is ready.
            one.spawn()
            time.sleep(chance.random())
            one.kill()
        one.start()
        fleet.check(load.book, one)
    # The intake topic's partitions too: the answer is a verdict.
    receipt = one.http("POST", "/v1/events", data=json.dumps(event("by-http")), check=200).json()
    assert receipt["accepted"] == 1, receipt
    load.finish()
    fleet.stop()


def test_a_quick_return_is_not_noticed_by_the_others(fleet, kafka, chance):
    one, two = fleet.start("one"), fleet.start("two")
    before = shared(fleet.topic, one, two)
    load = Load(kafka, fleet.topic, PARTITIONS, chance).send(40)
    seen = two.kafka()["rebalances"]
    one.kill()
    load.send(40)
    one.start()
    assert shared(fleet.topic, one, two) == before
    fleet.check(load.finish(), one, two)
    assert two.kafka()["rebalances"] == seen
    fleet.stop()


def test_an_orderly_stop_hands_everything_over(fleet, kafka, chance):
    one, two = fleet.start("one"), fleet.start("two")
    load = Load(kafka, fleet.topic, PARTITIONS, chance).send(20)
    for stays, goes in ((one, two), (two, one)):
        shared(fleet.topic, one, two)
        # Else the last commit takes of the time in which the group is left.
        goes.flush()
        assert goes.stop() == 0
        assert "group was not left" not in goes.log()
        shared(fleet.topic, stays)
        load.send(20)
        fleet.check(load.book, stays)
        goes.start()
    load.finish()
    fleet.stop()


def test_what_came_while_it_was_away_is_read(fleet, kafka, chance):
    """A group gives a member that returns what it had: neither new partitions nor another topic."""
    one, late = fleet.start("one"), kafka.create_topic(partitions=1)
    load = Load(kafka, fleet.topic, PARTITIONS, chance).send(20)
    fleet.check(load.book, one)
    one.kill()
    kafka.grow_topic(fleet.topic, PARTITIONS + 2)
    load.partitions += 2
    other = Load(kafka, late, 1, chance).send(10)
    load.send(40)
    one.arguments += ["--topic", late]
    one.start()
    fleet.check(load.book, one)
    fleet.check(other.finish(), one, source=late)
    assert "given this to nobody" in one.log()
    # Once killed and back again, it notices as before what comes while it runs.
    kafka.grow_topic(fleet.topic, PARTITIONS + 3)
    load.partitions += 1
    load.send(20, partition=load.partitions - 1)
    fleet.check(load.finish(), one)
    fleet.stop()


def test_of_two_on_copies_of_one_folder_the_older_ends(fleet, kafka, chance):
    load, old, new = Load(kafka, fleet.topic, PARTITIONS, chance).send(20), fleet.start("old"), fleet.member("new")
    fleet.check(load.book, old)
    shutil.copytree(old.data, new.data)
    fleet._admin = old.data.joinpath("admin.token").read_text().strip()
    new.start()
    assert old.process.wait(timeout=60) not in (0, None)
    assert "was copied" in old.log(), old.log()[-2000:]
    load.send(20)
    fleet.check(load.finish(), new)
    assert new.stop() == 0


def test_two_copies_with_a_store_each_do_not_share_a_group(kafka, tmp_path, chance):
    """Without --store each has tables of its own: sharing out would give each a part of the events."""
    topic, group = kafka.create_topic(), f"g-{uuid.uuid4().hex[:8]}"
    arguments = ["--kafka", kafka.address(), "--group", group, "--topic", topic, "--kafka-intake-topic", f"in-{group}",
                 "--kafka-intake-partitions", "1", *PATIENT]
    old, new = (Cairn(tmp_path / name, arguments=arguments) for name in ("old", "new"))
    load = Load(kafka, topic, 1, chance).send(20)
    count = f"SELECT count(*) AS n FROM history WHERE log_source = '{topic}'"
    try:
        old.start()
        wait_for(lambda: old.sql(count) == [{"n": 20}], "the first does not read")
        old.flush()
        # A copy as of one moment: its own events and accounts go on being written.
        old.process.send_signal(signal.SIGSTOP)
        try:
            shutil.copytree(old.data, new.data)
        finally:
            old.process.send_signal(signal.SIGCONT)
        new.start()
        assert old.process.wait(timeout=60) not in (0, None)
        said = old.log()
        assert "joined kafka's group as this very member" in said and "of its own" in said, said[-2000:]
        load.send(20)
        wait_for(lambda: new.sql(count) == [{"n": 40}], "the second does not read")
    finally:
        old.kill()
        new.kill()
