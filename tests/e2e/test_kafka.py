"""Records of Kafka become rows, once each: real producers, every form, every rule, and every bad input.

Numbers are those of the list in docs/reliability.md. One process reads topics of many rules; each test has
topics of its own on it.
"""

import base64
import gzip
import json
import time
import uuid

import pytest
import zstandard
from confluent_kafka import Producer

from broker import PRODUCERS, confluent_produce
from cairn import ABSENT, action, event
from fleet import Book, Fleet, asked, compare, wait_for

MAPPED = "123456789012"

# Made before the process starts: a topic that comes later is seen at the next look at the cluster.
PLAIN = [*PRODUCERS, "codecs", "fields", "several", "bad", "repeats", "again", "nameless", "order", "large"]


class Source:
    """A process that reads this file's topics."""

    def __init__(self, folder, broker):
        self.broker = broker
        self.mark = "k" + uuid.uuid4().hex[:8]
        for name in [*PLAIN, "mapped", "actions", "strict"]:
            broker.create_topic(self.topic(name), partitions=2, max_message_bytes=16 << 20, retention_ms=-1)
        topics = [self.topic(n) for n in [*PLAIN, "actions", "strict"]]
        topics += [f"{self.topic('mapped')}={MAPPED}", f"^{self.mark}\\.later-.*={MAPPED}"]
        self.fleet = Fleet(folder, broker, topics)
        self.cairn = self.fleet.start(
            "one", "--kafka-dialect", f"{self.topic('actions')}=actiontrail", "--kafka-suspend", self.topic("strict"))
        # It is found while the first tests run.
        broker.create_topic(self.topic("later-1"))

    def topic(self, name):
        return f"{self.mark}.{name}"

    def send(self, name, values, **options):
        """Produces by confluent-kafka; the topic's full name."""
        confluent_produce(self.broker, self.topic(name), values, **options)
        return self.topic(name)

    def sql(self, what, name, where="true", table="history"):
        return self.cairn.sql(f"SELECT {what} FROM {table} WHERE log_source = '{self.topic(name)}' AND {where}"
                              " ORDER BY log_partition, log_offset, log_item")

    def read_to(self, name, next_offset, partition=0):
        """Returns once all below an offset is committed."""
        name = f"{self.topic(name)}/{partition}"
        wait_for(lambda: (self.cairn.partition(name) or {}).get("committed") == next_offset,
                 lambda: f"{name} is at {self.cairn.partition(name)}, not at {next_offset}")


@pytest.fixture(scope="module")
def source(folders, kafka):
    source = Source(folders("kafka-source"), kafka)
    with source.fleet:
        yield source
        source.fleet.stop()


def ids(prefix, count):
    return [f"{prefix}-{n}" for n in range(count)]


# -- producers and forms --------------------------------------------------


@pytest.mark.parametrize("name", PRODUCERS)
def test_what_a_producer_sends_is_there_once_and_as_it_was(source, name):
    values = [json.dumps(event(i, text="ü\u2028 ☃ \"")) for i in ids(name, 60)]
    before = time.time()
    PRODUCERS[name](source.broker, source.topic(name), values[:40], key=b"k", headers=[("h", b"v")])
    PRODUCERS[name](source.broker, source.topic(name), values[40:], partition=1)
    source.read_to(name, 40)
    source.read_to(name, 20, partition=1)
    rows = source.sql("event_id, log_partition, log_offset, log_item, raw, log_key, log_headers, log_time, sender", name)
    assert [r["event_id"] for r in rows] == ids(name, 60)
    assert [(r["log_partition"], r["log_offset"]) for r in rows] == (
        [(0, n) for n in range(40)] + [(1, n) for n in range(20)])
    assert [r["raw"] for r in rows] == values
    assert {r["log_item"] for r in rows} == {0}
    assert {(r["log_key"], r["log_headers"]) for r in rows[:40]} == {("k", '[["h","v"]]')}
    assert {(r["log_key"], r["log_headers"]) for r in rows[40:]} == {(None, None)}
    stamp = f"{time.strftime('%Y-%m-%dT%H', time.gmtime(before))}"
    later = f"{time.strftime('%Y-%m-%dT%H', time.gmtime())}"
    assert all(r["log_time"].replace(" ", "T").startswith((stamp, later)) for r in rows), rows[0]
    assert {r["sender"] for r in rows} == {f"kafka:{source.topic(name)}"}


@pytest.mark.parametrize(("number", "codec"), list(enumerate(["gzip", "snappy", "lz4", "zstd"])))
def test_batches_compressed_by_kafka(source, number, codec):
    source.send("codecs", [event(i) for i in ids("c-" + codec, 300)], compression_type=codec)
    source.read_to("codecs", 300 * (number + 1))
    rows = source.sql("event_id, log_offset", "codecs", f"event_id LIKE 'c-{codec}-%'")
    assert [(r["event_id"], r["log_offset"]) for r in rows] == [
        (i, 300 * number + n) for n, i in enumerate(ids("c-" + codec, 300))]


def test_keys_headers_and_times_are_kept(source):
    producer = Producer(source.broker.client())
    for name, key, headers in [
            ("f-text", "schlüssel", [("a", "1"), ("a", "2"), ("empty", b""), ("none", None)]),
            ("f-bytes", b"\xff\x00", [("bin", b"\xfe\xff")]),
            ("f-trap", b"base64:AAAA", None),
            ("f-none", None, None)]:
        producer.produce(source.topic("fields"), json.dumps(event(name)), key=key, headers=headers,
                         partition=0, timestamp=1_700_000_000_123)
    assert producer.flush(30) == 0
    source.read_to("fields", 4)
    rows = {r["event_id"]: r for r in source.sql("event_id, log_key, log_headers, log_time", "fields")}
    assert {n: r["log_key"] for n, r in rows.items()} == {
        "f-text": "schlüssel", "f-bytes": "base64:/wA=", "f-trap": "base64:YmFzZTY0OkFBQUE=", "f-none": None}
    assert json.loads(rows["f-text"]["log_headers"]) == [["a", "1"], ["a", "2"], ["empty", ""], ["none", None]]
    assert json.loads(rows["f-bytes"]["log_headers"]) == [["bin", {"base64": "/v8="}]]
    assert {r["log_time"].replace(" ", "T").rstrip("Z")[:23] for r in rows.values()} == {"2023-11-14T22:13:20.123"}


def test_one_record_may_hold_several_events(source):
    def texts(prefix):
        return [json.dumps(event(f"{prefix}-{n}")) for n in range(3)]
    records = [
        '{"Records": [' + ", ".join(texts("records")) + "]}",
        "[" + ",".join(texts("list")) + "]",
        "\n".join(texts("lines")) + "\n",
        gzip.compress("\n".join(texts("gzip")).encode()),
        zstandard.compress(("[" + ",".join(texts("zstd")) + "]").encode()),
        "\n".join([texts("mixed")[0], '{"eventID": "x", "eventID": "y"}', texts("mixed")[2]]),
    ]
    source.send("several", records)
    source.read_to("several", len(records))
    rows = source.sql("event_id, log_offset, log_item, raw", "several")
    wanted = [(f"{p}-{n}", at, n, texts(p)[n])
              for at, p in enumerate(["records", "list", "lines", "gzip", "zstd", "mixed"]) for n in range(3)
              if (p, n) != ("mixed", 1)]
    assert [tuple(r.values()) for r in rows] == wanted
    bad = source.sql("log_offset, log_item, reason", "several", table="quarantine")
    assert [tuple(r.values()) for r in bad] == [(5, 1, "duplicate_key")]


def test_offsets_of_a_partition_are_in_order_whatever_the_sizes(source):
    sizes = [10, 200_000, 10, 600_000, 10, 10, 900_000, 10] * 4
    source.send("order", [event(f"o-{n}", requestParameters={"x": "y" * size}) for n, size in enumerate(sizes)],
                message_max_bytes=16 << 20)
    source.read_to("order", len(sizes))
    rows = source.sql("event_id, log_offset, length(raw) AS n", "order")
    assert [(r["event_id"], r["log_offset"]) for r in rows] == [(f"o-{n}", n) for n in range(len(sizes))]
    assert all(r["n"] > size for r, size in zip(rows, sizes, strict=True))


# -- rules of topics ------------------------------------------------------


def test_6_the_account_of_a_mapped_topic(source):
    """An event that names no account gets the topic's, one that agrees goes in, and no other does."""
    source.send("mapped", [event("m-same", account=MAPPED), event("m-other", account="999999999999"),
                           event("m-none", recipientAccountId=ABSENT, userIdentity=ABSENT)])
    source.read_to("mapped", 3)
    rows = source.sql("event_id, account_id, log_offset", "mapped")
    assert [tuple(r.values()) for r in rows] == [("m-same", MAPPED, 0), ("m-none", MAPPED, 2)]
    bad = source.sql("log_offset, reason, raw_base64", "mapped", table="quarantine")
    assert [(r["log_offset"], r["reason"]) for r in bad] == [(1, "account_mismatch")]
    assert b"m-other" in base64.b64decode(bad[0]["raw_base64"])
    assert source.cairn.one("SELECT count(*) FROM history WHERE account_id = '999999999999'") == 0


def test_a_topic_of_one_dialect(source):
    source.send("actions", [action("d-1"), event("d-2"), action("d-3")])
    source.read_to("actions", 3)
    assert [r["event_id"] for r in source.sql("event_id", "actions", "dialect = 'actiontrail'")] == ["d-1", "d-3"]
    bad = source.sql("log_offset, reason", "actions", table="quarantine")
    assert [tuple(r.values()) for r in bad] == [(1, "unknown_dialect")]


def test_topics_of_a_pattern_that_appear_later(source):
    source.send("later-1", [event("l-1", account=MAPPED), event("l-x", account="999999999999")])
    source.read_to("later-1", 2)
    assert [tuple(r.values()) for r in source.sql("event_id, account_id", "later-1")] == [("l-1", MAPPED)]
    bad = source.sql("log_offset, reason", "later-1", table="quarantine")
    assert [tuple(r.values()) for r in bad] == [(1, "account_mismatch")]


def test_a_topic_that_suspends_stops_at_a_bad_record_until_it_is_accepted(source):
    cairn, name = source.cairn, f"{source.topic('strict')}/0"
    source.send("strict", [event("s-0"), b"no event", event("s-2")])
    source.send("strict", [event("s-3")], partition=1)
    stopped = wait_for(lambda: (p := cairn.partition(name)) and p["state"] == "stopped" and p, "it did not stop")
    assert stopped["stopped_at"] == 1 and "offset 1" in stopped["reason"] and "accept" in stopped["what_to_do"]
    source.read_to("strict", 1)
    # The other partition goes on.
    source.read_to("strict", 1, partition=1)
    wait_for(lambda: cairn.metric("cairn_kafka_stopped", partition=name) == 1, "the metric does not say so")
    wait_for(lambda: cairn.column("SELECT resource_name FROM history WHERE event_name = 'SourceStopped'"
                                  f" AND resource_name = '{name}'"), "no event says so")
    listed = cairn.cli("source", "list").out
    assert name in listed and "stopped" in listed and "no event" in listed
    assert source.sql("event_id", "strict", "log_partition = 0") == [{"event_id": "s-0"}]
    # Who waits for everything is told what it waits for.
    refused = cairn.cli("flush", codes=range(1, 100)).err
    assert name in refused and "is stopped" in refused and "cairn source list" in refused
    cairn.cli("source", "accept", name, 1)
    source.read_to("strict", 3)
    assert [r["event_id"] for r in source.sql("event_id", "strict", "log_partition = 0")] == ["s-0", "s-2"]
    bad = source.sql("log_partition, log_offset, reason", "strict", table="quarantine")
    assert [tuple(r.values()) for r in bad] == [(0, 1, "invalid_json")]
    wait_for(lambda: cairn.metric("cairn_kafka_stopped", partition=name) == 0, "the metric still says so")


# -- bad inputs -----------------------------------------------------------


def deep(n):
    return '{"eventID": "deep", "x": ' + "[" * n + "]" * n + "}"


BOMB = gzip.compress(b"[" + b" " * (200 << 20) + b"]")

# What the record is -> why it is in quarantine, None where it is an event.
BAD = {
    "1 invalid UTF-8": (b'{"eventID": "\xff\xfe"}', "invalid_utf8"),
    "1 no JSON": (b"\x00\x01\x02 binary", "invalid_json"),
    "2 tombstone": (None, "empty"),
    "2 empty": (b"", "empty"),
    "2 an empty object": (b"{}", "unknown_dialect"),
    "2 null": (b"null", "not_an_object"),
    "2 a number": (b"17", "not_an_object"),
    "3 2 MB": (json.dumps(event("b-large", requestParameters={"x": "y" * (2 << 20)})).encode(), "too_large"),
    "3 10 MB": (json.dumps(event("b-larger", requestParameters={"x": "y" * (10 << 20)})).encode(), "too_large"),
    "4 100 deep": (deep(100).encode(), "too_deep"),
    "4 100,000 deep": (deep(100_000).encode(), "too_deep"),
    "5 a key twice": (b'{"eventID": "b-twice", "recipientAccountId": "111111111111", '
                      b'"recipientAccountId": "222222222222"}', "duplicate_key"),
    "7 an account that is a path": (json.dumps(event("b-path", account="../../x")).encode(), "account_invalid"),
    "7 full-width digits": (json.dumps(event("b-wide", account="１２３４５６７８９０１２")).encode(), "account_invalid"),
    "8 a lone surrogate": (b'{"eventID": "b-lone", "recipientAccountId": "111111111111", "userAgent": "\\ud800"}', ...),
    "8 NUL and direction marks": (json.dumps(event("b-nul", userAgent="a\0b\u202ec")).encode(), None),
    "9 numbers": (b'{"eventID": "b-num", "recipientAccountId": "111111111111", "eventName": "N", "eventVersion": "1.08",'
                  b' "eventSource": "s3.amazonaws.com", "requestParameters": {"a": 1e400, "b": 18446744073709551616,'
                  b' "c": -0}}', None),
    "9 NaN": (b'{"eventID": "b-nan", "recipientAccountId": "111111111111", "x": NaN}', "invalid_json"),
    "10 a time that is none": (json.dumps(event("b-time", eventTime="2026-13-45")).encode(), None),
    "10 the year 9999": (json.dumps(event("b-9999", eventTime="9999-12-31T23:59:59Z")).encode(), None),
    "11 91 days late": (json.dumps(event("b-late", eventTime="2020-01-01T00:00:00Z")).encode(), None),
    "17 a bomb": (BOMB, "too_large"),
    "17 torn gzip": (gzip.compress(b'{"eventID": "b-torn"}' * 100)[:40], "invalid_body"),
    "21 unknown version and fields": (json.dumps(event("b-new", eventVersion="9.99", brandNew={"a": [1]})).encode(), None),
}


def test_1_to_21_bad_records_are_in_quarantine_at_their_offsets(source):
    """A good event behind each shows that the offset moved on, and nothing else was touched."""
    producer = Producer(source.broker.client() | {"message.max.bytes": 16 << 20})
    for number, (name, (value, _)) in enumerate(BAD.items()):
        producer.produce(source.topic("bad"), value, key=name, partition=0)
        producer.produce(source.topic("bad"), json.dumps(event(f"good-{number}")), partition=0)
    assert producer.flush(60) == 0
    source.read_to("bad", 2 * len(BAD))
    rows = {r["log_offset"]: r for r in source.sql("log_offset, event_id, raw, account_id, event_time, ingest_time, "
                                                   "late, flags", "bad")}
    bad = {r["log_offset"]: r for r in source.sql("log_offset, log_key, reason, size, raw_base64", "bad",
                                                  table="quarantine")}
    for number, (name, (value, reason)) in enumerate(BAD.items()):
        assert rows[2 * number + 1]["event_id"] == f"good-{number}", name
        at = 2 * number
        assert (at in rows) != (at in bad), f"{name}: in neither table, or in both"
        if reason is ...:
            reason = bad[at]["reason"] if at in bad else None
        if reason is None:
            assert at in rows, (name, bad.get(at))
            assert rows[at]["raw"] == value.decode(), name
            continue
        assert at in bad, (name, rows[at])
        assert bad[at]["reason"] == reason and bad[at]["log_key"] == name, (name, bad[at]["reason"])
        kept = base64.b64decode(bad[at]["raw_base64"])
        assert kept == (value or b"")[:len(kept)] and len(kept) == min(len(value or b""), 1 << 20), name
    assert len(rows) + len(bad) == 2 * len(BAD)
    # And as others read the files.
    compare(sorted((r["event_id"], 0, at) for at, r in rows.items()), set(), source.fleet.places(source.topic("bad")))
    named = {r["event_id"]: r for r in rows.values()}
    for name, flag in [("b-time", "event_time_invalid"), ("b-9999", "event_time_future")]:
        assert flag in named[name]["flags"], named[name]
    assert named["b-late"]["late"]
    assert json.loads(named["b-num"]["raw"], parse_float=str, parse_int=str)["requestParameters"] == {
        "a": "1e400", "b": "18446744073709551616", "c": "-0"}
    assert source.cairn.one("SELECT count(*) FROM history WHERE account_id = '222222222222' AND event_id = 'b-twice'") == 0


def test_12_an_event_of_the_far_future_stops_nothing(source):
    source.send("large", [event("future-1", eventTime="2036-01-01T00:00:00Z"), event("future-2")])
    source.read_to("large", 2)
    rows = {r["event_id"]: r["flags"] or [] for r in source.sql("event_id, flags", "large")}
    assert "event_time_future" in rows["future-1"] and "event_time_future" not in rows["future-2"]


# -- one event, several ways ----------------------------------------------


def test_13_the_same_event_by_every_way_is_one_row(source):
    """In one record, in others, of another topic, over HTTP, and after a kill."""
    cairn, same = source.cairn, [json.dumps(event(i)) for i in ids("same", 5)]
    source.send("repeats", ["[" + ", ".join([same[0]] * 3) + "]", *same, *same])
    source.read_to("repeats", 11)
    source.send("again", same)
    source.send("again", same, partition=1)
    source.read_to("again", 5)
    answer = cairn.post("[" + ",".join(same) + "]")
    assert answer["duplicate"] == 5 or all(e.get("pending") for e in answer["events"]), answer
    assert cairn.column("SELECT count(*) FROM history WHERE event_id LIKE 'same-%'") == [5]
    cairn.restart(hard=True)
    source.send("again", same)
    source.send("again", [event("last-one")])
    wait_for(lambda: cairn.one("SELECT count(*) FROM history WHERE event_id = 'last-one'") == 1, "nothing came any more")
    assert cairn.post("[" + ",".join(same) + "]")["accepted"] in (0, 5)
    cairn.flush()
    rows = cairn.sql("SELECT event_id, log_source, log_offset FROM history WHERE event_id LIKE 'same-%' ORDER BY 1")
    assert [(r["event_id"], r["log_source"]) for r in rows] == [(i, source.topic("repeats")) for i in ids("same", 5)]
    found = [r for r in source.fleet.rows("event_id") if r[0].startswith("same-")]
    assert sorted(found) == [(i,) for i in ids("same", 5)]


def test_14_the_same_id_with_other_bytes_is_kept_twice(source):
    # Beside 13's events, of which `repeats` still holds some.
    source.send("repeats", [event("twin", userAgent="a"), event("twin", userAgent="b")], partition=1)
    source.read_to("repeats", 2, partition=1)
    rows = source.sql("event_id, user_agent, flags", "repeats", "event_id = 'twin'")
    assert [(r["user_agent"], "conflicting_duplicate" in (r["flags"] or [])) for r in rows] == [("a", False), ("b", True)]


def test_16_one_id_in_two_accounts_is_two_events(source):
    source.send("repeats", [event("shared-id", account="111111111111"), event("shared-id", account="222222222222")],
                partition=1)
    wait_for(lambda: len(source.sql("account_id", "repeats", "event_id = 'shared-id'")) == 2, "they are not both there")


def test_15_an_event_without_id_gets_one_from_its_place(source):
    """The same after a kill, also where nothing had been committed; and told apart from its neighbour of equal bytes."""
    cairn = source.cairn
    value = json.dumps(event("x", eventID=ABSENT))
    source.send("nameless", [value, "[" + value + "," + value + "]"])
    first = wait_for(lambda: (r := source.sql("event_id, log_offset, log_item, flags", "nameless")) and len(r) == 3 and r,
                     "the three are not there")
    assert len({r["event_id"] for r in first}) == 3
    assert all("event_id_generated" in r["flags"] for r in first)
    cairn.restart(hard=True)
    source.read_to("nameless", 2)
    assert source.sql("event_id, log_offset, log_item, flags", "nameless") == first


def test_a_book_of_one_topic_agrees_with_files_and_sql(source):
    """The checker itself: it finds what is lost, repeated or strange."""
    topic = source.topic("codecs")
    rows = asked(source.cairn, "history", topic)
    book = Book(topic)
    book.acknowledged = {name: (partition, offset) for name, partition, offset in rows}
    source.fleet.check(book, source.cairn)
    with pytest.raises(AssertionError, match="lost"):
        compare([*rows, ("never", 0, 1)], set(), rows)
    with pytest.raises(AssertionError, match="twice"):
        compare(rows, set(), sorted([*rows, rows[0]]))
    with pytest.raises(AssertionError, match="nobody acknowledged"):
        compare(rows[1:], set(), rows)
    compare(rows[1:], {rows[0][0]}, rows)
