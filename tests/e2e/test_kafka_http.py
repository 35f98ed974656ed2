"""HTTP in front of Kafka: 200 only after the brokers' acknowledgement. What status tells. Brokers behind TLS and SASL."""

import json
import threading
from collections import Counter

import pytest

from broker import PASSWORD, USER, confluent_produce
from cairn import event
from fleet import Fleet, Load, seeded, wait_for


def stored(cairn, prefix):
    """{event id: how often} of history."""
    return Counter(cairn.column(f"SELECT event_id FROM history WHERE event_id LIKE '{prefix}%'"))


def test_http_is_answered_after_kafka_acknowledged(own_kafka, tmp_path):
    """Receipts with places; then a paused broker: 503 or no 200, nothing lost or doubled when it is sent again."""
    topic = own_kafka.create_topic()
    with Fleet(tmp_path / "fleet", own_kafka, [topic]) as fleet:
        cairn = fleet.start("one")
        wait_for(lambda: cairn.owned(fleet.intake) == [0, 1], "it does not read what its own door writes")
        good = [event(f"r-{n}") for n in range(10)]
        bad = '{"eventID": "r-bad", "eventID": "twice"}'
        body = "\n".join([*map(json.dumps, good[:5]), bad, *map(json.dumps, good[5:])])
        first = cairn.post(body)
        assert (first["accepted"], first["duplicate"], first["refused"]) == (10, 0, 1), first
        places = {(e["partition"], e["offset"]) for e in first["events"]}
        assert len(places) == 11 and all(p.startswith(fleet.intake + "/") for p, _ in places)
        # The broker says the same, byte for byte.
        kept = {(f"{fleet.intake}/{p}", at): value for p, at, _, value in own_kafka.read(fleet.intake, 2)}
        assert set(kept) == places
        for told in first["events"]:
            wanted = body.split("\n")[told["index"]]
            assert kept[told["partition"], told["offset"]].decode() == wanted
        assert cairn.column("SELECT reason FROM quarantine") == ["duplicate_key"]
        again = cairn.post(body)
        assert (again["accepted"], again["duplicate"], again["refused"]) == (0, 10, 1)
        by_id = {e["event_id"]: e["offset"] for e in first["events"] if e["status"] == "accepted"}
        assert {e["event_id"]: e["offset"] for e in again["events"] if e["status"] == "duplicate"} == by_id
        # A sender of one account can write for no other, also by way of Kafka.
        sender = cairn.token("sender", ["111111111111"])
        told = cairn.post([event("mine"), event("theirs", account="999999999999")], token=sender)
        assert [e["status"] for e in told["events"]] == ["accepted", "refused"]
        assert told["events"][1]["code"] == "account_mismatch"

        own_kafka.pause()
        answers = []

        def send(n):
            answers.append(cairn.post([event(f"p-{n}")], token=sender, check=None).get("error", {}).get("code"))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert answers == ["unavailable"] * 4
        # Questions are answered, and recorded, while Kafka is away.
        assert stored(cairn, "r-") == Counter({f"r-{n}": 1 for n in range(10)})
        own_kafka.resume()
        told = []

        def taken(n):
            told.append(cairn.post([event(f"p-{n}")], token=sender, check=None))
            return "error" not in told[-1]

        for n in range(4):
            wait_for(lambda n=n: taken(n), lambda: f"Kafka is back, and events are still refused: {told[-3:]}")
        cairn.flush()
        assert stored(cairn, "p-") == Counter({f"p-{n}": 1 for n in range(4)})
        fleet.stop()


def test_flush_status_and_a_receipt_of_another_process(kafka, tmp_path):
    """`cairn flush` covers what others read; status tells of each partition; what another reads is pending."""
    topic = kafka.create_topic(partitions=4)
    with Fleet(tmp_path / "fleet", kafka, [topic]) as fleet:
        one, asker = fleet.start("one", "--role", "ingest"), fleet.start("asker", "--role", "query")
        assert one.ask("SELECT 1").status_code in (403, 404, 405, 503)
        book = Load(kafka, topic, 4, seeded()).send(200).finish()
        told = asker.post([event(f"q-{n}") for n in range(5)])
        assert told["accepted"] == 5 and all(e["pending"] and e["partition"] for e in told["events"]), told
        # Each flush covers the records of both.
        asker.flush()
        assert stored(asker, "q-") == Counter({f"q-{n}": 1 for n in range(5)})
        assert len(fleet.places(topic)) == 200
        fleet.check(book, asker)
        status = one.cli_json("status")["kafka"]
        mine = {p["partition"]: p for p in status["partitions"] if p["topic"] == topic}
        counts = Counter(p for p, _ in book.acknowledged.values())
        assert set(mine) == {f"{topic}/{n}" for n in range(4)}
        for n in range(4):
            part = mine[f"{topic}/{n}"]
            assert part["committed"] == counts[n] and part["state"] == "reading", part
            assert one.metric("cairn_kafka_committed_offset", partition=f"{topic}/{n}") is not None
            wait_for(lambda n=n: kafka.committed(fleet.group, topic, n) == counts[n], "the group's own commit lags behind")
        def caught_up():
            shown = [p for p in one.kafka()["partitions"] if p["topic"] == topic]
            return all((p["log_end"], p["lag_records"]) == (counts[int(p["partition"].rsplit("/")[-1])], 0) for p in shown)
        wait_for(caught_up, lambda: f"status still tells of a lag: {one.kafka()['partitions']}")
        assert topic in one.cli("status").out and topic in one.cli("source", "list").out
        assert status["missing_topics"] == []
        fleet.stop()


def test_a_flush_does_not_wait_for_what_another_process_holds_stopped(kafka, tmp_path):
    """It tells which partition that is and why, and everything else is committed."""
    topic = kafka.create_topic(partitions=2)
    with Fleet(tmp_path / "fleet", kafka, [topic]) as fleet:
        one = fleet.start("one", "--role", "ingest", "--kafka-suspend", topic)
        asker = fleet.start("asker", "--role", "query")
        book = Load(kafka, topic, 2, seeded()).send(20, partition=1).finish()
        confluent_produce(kafka, topic, [b"no event"], partition=0)
        wait_for(lambda: (p := one.partition(f"{topic}/0")) and p["state"] == "stopped", "it did not stop")
        refused = asker.cli("flush", codes=range(1, 100)).err
        assert f"{topic}/0" in refused and "is stopped" in refused, refused
        assert "offset 0" in refused and "cairn source list" in refused, refused
        assert f"{topic}/1" not in refused
        fleet.check(book, asker)
        one.cli("source", "accept", f"{topic}/0", 0)
        wait_for(lambda: one.partition(f"{topic}/0")["state"] == "reading", "it did not go on")
        asker.flush()
        fleet.stop()


# The same user and certificates as in test_broker.py, told to Cairn.
SECURE = {
    "sasl_tls": (["--kafka-security-protocol", "sasl_ssl", "--kafka-sasl-mechanism", "SCRAM-SHA-512",
                  "--kafka-sasl-username", USER], {"CAIRN_KAFKA_SASL_PASSWORD": PASSWORD}),
    "sasl": (["--kafka-security-protocol", "sasl_plaintext", "--kafka-sasl-mechanism", "PLAIN",
              "--kafka-sasl-username", USER], {"CAIRN_KAFKA_SASL_PASSWORD": PASSWORD}),
    "mtls": (["--kafka-security-protocol", "ssl"], {}),
}


def secure_fleet(broker, folder, topic, listener, arguments, env):
    """A fleet that reaches the broker by one listener."""
    if listener.endswith("tls"):
        arguments = [*arguments, "--kafka-ca-file", str(broker.tls / "ca.pem")]
    fleet = Fleet(folder, broker, [topic], env=env)
    at = fleet.arguments.index("--kafka") + 1
    fleet.arguments[at] = broker.address(listener)
    fleet.arguments += arguments
    return fleet


@pytest.mark.parametrize("listener", SECURE)
def test_secure_brokers_are_read_and_written(secure_kafka, tmp_path, listener):
    topic = secure_kafka.create_topic()
    arguments, env = SECURE[listener]
    if listener == "mtls":
        arguments = [*arguments, "--kafka-certificate-file", str(secure_kafka.tls / "client.pem"),
                     "--kafka-key-file", str(secure_kafka.tls / "client.key")]
    with secure_fleet(secure_kafka, tmp_path / "fleet", topic, listener, arguments, env) as fleet:
        cairn = fleet.start("one")
        confluent_produce(secure_kafka, topic, [event(f"s-{n}") for n in range(5)])
        assert cairn.post(event("s-http"))["accepted"] == 1
        cairn.flush()
        assert stored(cairn, "s-") == Counter([*(f"s-{n}" for n in range(5)), "s-http"])
        assert PASSWORD not in cairn.log() and PASSWORD not in cairn.cli("status", "--json").out
        fleet.stop()


@pytest.mark.parametrize(("listener", "wrong"), [
    ("sasl_tls", ["--kafka-sasl-username", "nobody"]),
    ("mtls", ["--kafka-certificate-file", "stranger.pem", "--kafka-key-file", "stranger.key"])])
def test_a_broker_that_refuses_is_told_in_status(secure_kafka, tmp_path, listener, wrong):
    topic = secure_kafka.create_topic()
    confluent_produce(secure_kafka, topic, [event("unread")])
    arguments, env = SECURE[listener]
    wrong = [str(secure_kafka.tls / w) if w.startswith("stranger") else w for w in wrong]
    if listener == "sasl_tls":
        arguments = arguments[:-2]
    with secure_fleet(secure_kafka, tmp_path / "fleet", topic, listener, [*arguments, *wrong], env) as fleet:
        cairn = fleet.start("one")
        def told():
            status = cairn.kafka()
            return status["errors"] > 3 and status["last_error"]
        # However often librdkafka says since that all brokers are down.
        error = wait_for(told, lambda: f"status tells of no error: {cairn.kafka()}")
        assert "uthentication" in error or "SSL" in error, error
        refused = cairn.cli("flush", codes=range(1, 100)).err
        assert "uthentication" in refused or listener == "mtls", refused
        assert cairn.column("SELECT event_id FROM history WHERE event_id = 'unread'") == []
        fleet.stop()
