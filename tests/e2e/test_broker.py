"""The Kafka of the tests is what the tests take it for. Nothing of Cairn is in here."""

import json
import pathlib
import subprocess
import time

import pytest
from confluent_kafka import KafkaException, Producer

from broker import PASSWORD, PRODUCERS, SCRIPT, WITH_GRANTS, Broker, Transactions, confluent_produce
from cairn import clean_environment

VALUES = [{"eventID": f"e-{n}", "text": "ü\u2028 ☃"} for n in range(50)]


def numbers(start, end):
    """The values b"start" to b"end - 1"."""
    return [str(n).encode() for n in range(start, end)]


@pytest.mark.parametrize("name", PRODUCERS)
def test_what_a_producer_sends_is_read_back(kafka, topic, name):
    PRODUCERS[name](kafka, topic, VALUES, key=b"k", headers=[("h", b"v")])
    records = kafka.read(topic)
    assert [(r[0], r[1], r[2]) for r in records] == [(0, n, b"k") for n in range(50)]
    assert [json.loads(r[3]) for r in records] == VALUES


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read_back(kafka, topic, codec):
    confluent_produce(kafka, topic, numbers(0, 500), compression_type=codec)
    assert kafka.values(topic) == numbers(0, 500)


def test_a_killed_broker_keeps_what_it_acknowledged(own_kafka):
    topic = own_kafka.create_topic(partitions=3)
    for partition in range(3):
        confluent_produce(own_kafka, topic, numbers(0, 2000), partition=partition)
    before = own_kafka.address()
    own_kafka.restart(hard=True)
    assert own_kafka.address() == before
    for partition in range(3):
        confluent_produce(own_kafka, topic, numbers(2000, 2100), partition=partition)
    own_kafka.restart()
    records = own_kafka.read(topic, 3)
    for partition in range(3):
        assert [(r[1], r[3]) for r in records if r[0] == partition] == list(enumerate(numbers(0, 2100)))


def test_a_paused_broker_answers_nobody_and_then_goes_on(own_kafka):
    topic = own_kafka.create_topic()
    confluent_produce(own_kafka, topic, [b"before"])
    own_kafka.pause()
    faults = []
    producer = Producer(own_kafka.client(message_timeout_ms=1500))
    producer.produce(topic, b"lost", on_delivery=lambda error, _: faults.append(error and error.name()))
    producer.flush(30)
    own_kafka.resume()
    assert faults == ["_MSG_TIMED_OUT"]
    confluent_produce(own_kafka, topic, [b"after"])
    values = own_kafka.values(topic)
    assert values[0] == b"before" and values[-1] == b"after"


def test_a_topic_made_anew_begins_at_0(kafka, topic):
    confluent_produce(kafka, topic, numbers(0, 10))
    kafka.delete_topic(topic)
    kafka.create_topic(topic, partitions=2)
    assert kafka.bounds(topic) == (0, 0)
    confluent_produce(kafka, topic, [b"new"])
    assert kafka.read(topic, 2) == [(0, 0, None, b"new")]


def test_a_topic_grows(kafka, topic):
    confluent_produce(kafka, topic, [b"old"])
    kafka.grow_topic(topic, 4)
    confluent_produce(kafka, topic, [b"new"], partition=3)
    assert kafka.read(topic, 4) == [(0, 0, None, b"old"), (3, 0, None, b"new")]


def test_deleted_records_move_the_beginning(kafka, topic):
    confluent_produce(kafka, topic, numbers(0, 100))
    kafka.delete_records(topic, 0, before=60)
    assert kafka.bounds(topic) == (60, 100)
    with pytest.raises(KafkaException) as caught:
        kafka.read(topic, reset="error")
    assert caught.value.args[0].name() in ("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET")
    assert kafka.values(topic, since={0: 60}) == numbers(60, 100)


def test_retention_overtakes(kafka):
    """A topic's own retention deletes whole segments within seconds."""
    topic = kafka.create_topic(segment_bytes=1048576, retention_ms=-1)
    confluent_produce(kafka, topic, [b"x" * 100_000] * 30)
    kafka.configure_topic(topic, retention_bytes=1)
    end = time.monotonic() + 60
    while kafka.bounds(topic)[0] == 0:
        assert time.monotonic() < end, "retention did nothing"
        time.sleep(0.2)
    first, last = kafka.bounds(topic)
    assert 0 < first <= last == 30


def test_aborted_transactions_leave_holes_that_nobody_reads(kafka, topic):
    with Transactions(kafka) as transactions:
        transactions.commit(topic, numbers(0, 3))
        transactions.abort(topic, numbers(100, 103))
        transactions.commit(topic, numbers(3, 6))
        transactions.begin(topic, numbers(200, 203))
        committed = kafka.read(topic)
        everything = kafka.read(topic, isolation="read_uncommitted")
        transactions.producer.abort_transaction()
    assert [r[3] for r in committed] == numbers(0, 6)
    # Three records and a marker each: the offsets have holes.
    assert [r[1] for r in committed] == [0, 1, 2, 8, 9, 10]
    assert [r[3] for r in everything] == numbers(0, 3) + numbers(100, 103) + numbers(3, 6) + numbers(200, 203)


def test_a_group_can_be_rewound(kafka, topic):
    assert kafka.committed("g-" + topic, topic) is None
    kafka.commit("g-" + topic, topic, 7)
    assert kafka.committed("g-" + topic, topic) == 7


def test_an_unknown_topic_is_not_made(kafka):
    with pytest.raises(AssertionError, match="not acknowledged"):
        confluent_produce(kafka, "nobody-made-this", [b"x"], message_timeout_ms=3000)
    assert "nobody-made-this" not in kafka.admin.list_topics(timeout=30).topics


@pytest.mark.parametrize(("listener", "mechanism"), [
    ("sasl", "SCRAM-SHA-256"), ("sasl", "SCRAM-SHA-512"), ("sasl", "PLAIN"), ("tls", None), ("mtls", None),
    ("sasl_tls", "SCRAM-SHA-512"), ("sasl_tls", "PLAIN")])
def test_secure_listeners_serve(secure_kafka, listener, mechanism):
    topic = secure_kafka.create_topic()
    client = {"listener": listener, "mechanism": mechanism}
    confluent_produce(secure_kafka, topic, numbers(0, 5), client=client)
    assert secure_kafka.values(topic, **client) == numbers(0, 5)


@pytest.mark.parametrize(("listener", "wrong"), [
    ("sasl", {"sasl_password": "wrong"}),
    ("sasl", {"mechanism": "PLAIN", "sasl_password": "wrong"}),
    ("sasl_tls", {"sasl_username": "nobody"}),
    ("mtls", {"certificate": "stranger"}),
    ("tls", {"ssl_ca_location": "/etc/ssl/certs/ca-certificates.crt"})])
def test_secure_listeners_refuse(secure_kafka, listener, wrong):
    topic = secure_kafka.create_topic()
    with pytest.raises(AssertionError, match="not acknowledged"):
        confluent_produce(secure_kafka, topic, [b"x"], client={"listener": listener, **wrong},
                          message_timeout_ms=3000)
    assert secure_kafka.values(topic) == []


def test_grants_are_asked_for(folders):
    """A user may do what it was granted, and no more."""
    with Broker(folders("kafka-with-grants"), secure=True, config=WITH_GRANTS) as broker:
        topic = broker.create_topic()
        confluent_produce(broker, topic, [b"one"])
        client = {"listener": "sasl", "mechanism": "PLAIN"}
        # librdkafka looks for the group even where it was told its partitions.
        broker.grant("READ", group="*")
        with pytest.raises(KafkaException) as caught:
            broker.read(topic, **client)
        assert caught.value.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"
        broker.grant("READ", topic=topic)
        assert broker.values(topic, **client) == [b"one"]
        with pytest.raises(AssertionError, match="TOPIC_AUTHORIZATION_FAILED"):
            confluent_produce(broker, topic, [b"two"], client=client, message_timeout_ms=5000,
                              enable_idempotence=False)
        assert broker.values(topic) == [b"one"]


def test_the_script_administers_topics_by_hand(kafka):
    """What developers type; it goes through Kafka's own tools."""
    def script(*arguments):
        return subprocess.run([SCRIPT, "topic", kafka.folder, *arguments], check=True, timeout=120, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()).stdout
    script("create", "by-hand", "2", "retention.ms=60000")
    confluent_produce(kafka, "by-hand", numbers(0, 10))
    script("trim", "by-hand", "0", "4")
    assert kafka.bounds("by-hand") == (4, 10)
    script("grow", "by-hand", "3")
    script("configure", "by-hand", "retention.ms=70000", "segment.ms=60000")
    shown = script("describe", "by-hand")
    assert "PartitionCount: 3" in shown and "retention.ms=70000" in shown and "segment.ms=60000" in shown
    assert "by-hand" in script("list").split()
    script("delete", "by-hand")
    assert "by-hand" not in script("list").split()


def test_a_start_that_fails_says_why_and_leaves_nothing(folders):
    folder = folders("no-kafka")
    with pytest.raises(RuntimeError, match="Invalid value nonsense"):
        Broker(folder, config={"process.roles": "nonsense"}).start()
    assert not folder.exists()
    with Broker(folder) as broker:
        broker.stop()
        with pytest.raises(RuntimeError, match="Value must be at least 1"):
            broker.start(config={"num.io.threads": "0"})
        assert not (folder / "pid").exists()
        broker.start(config={"num.io.threads": "2"})


def test_the_script_leaves_nothing_behind(secure_kafka, own_kafka):
    """No process after the end, no secret in a command line or a log, and a second start is refused."""
    def command(broker_pid):
        # Empty for a process that ended and that nobody waited for.
        path = pathlib.Path(f"/proc/{broker_pid}/cmdline")
        return path.read_bytes() if path.exists() else b""

    process = (own_kafka.folder / "pid").read_text().strip()
    assert b"kafka.Kafka" in command(process)
    with pytest.raises(RuntimeError, match="runs on .* already"):
        own_kafka.start()
    own_kafka.stop()
    assert b"kafka.Kafka" not in command(process)
    assert not (own_kafka.folder / "pid").exists()
    own_kafka.stop()
    own_kafka.start()
    shown = command((secure_kafka.folder / "pid").read_text().strip())
    assert b"kafka.Kafka" in shown and PASSWORD.encode() not in shown
    assert PASSWORD not in secure_kafka.log()
