"""Kafka in, S3 out: two processes take in, one answers, all of them on one bucket that dies, stands still and is overrun.

Numbers are those of docs/reliability.md. `CAIRN_TEST_KAFKA=long` does more of everything.
"""

import time

import pytest

from fleet import QUICK, Fleet, Load, seeded, short_or_long, wait_for
from stores import BUCKET, KEYS, REGION, Moto
from test_s3_real import Edge

PARTITIONS = 4

# No process may take more, whatever waits in Kafka.
MOST_KIB = 1536 * 1024


def bucket(store, ca=None, endpoint=None):
    """A fleet's options for a store at the root of its bucket's folder `cairn`."""
    endpoint = endpoint or store.endpoint
    env = {**KEYS, "CAIRN_S3_ENDPOINT": endpoint, "CAIRN_S3_REGION": REGION}
    env |= {"CAIRN_S3_CA_FILE": str(ca)} if ca else {"CAIRN_S3_ALLOW_HTTP": "true"}
    # delta-rs goes to the store itself.
    storage = {**KEYS, "AWS_ENDPOINT_URL": store.endpoint, "AWS_REGION": REGION, "AWS_ALLOW_HTTP": "true",
               "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"}
    return {"store": f"s3://{BUCKET}/cairn", "env": env, "storage": storage}


@pytest.fixture
def moto(tmp_path):
    with Moto(tmp_path / "moto.log") as store:
        yield store


def spread(fleet, *names):
    """Two that take in, one that answers."""
    for name in names:
        fleet.member(name, "--role", "query" if name == "query" else "ingest").spawn()
    return [fleet.members[n] for n in names if fleet.members[n].wait_ready() is None]


def test_35_46_the_bucket_s_server_dies_and_stands_still(kafka, versitygw, tmp_path):
    """Memory stays bounded; all catch up by themselves; nothing is lost or there twice."""
    chance = seeded()
    topic = kafka.create_topic(partitions=PARTITIONS)
    with Fleet(tmp_path / "fleet", kafka, [topic], **bucket(versitygw)) as fleet:
        one, two, query = spread(fleet, "one", "two", "query")
        load = Load(kafka, topic, PARTITIONS, chance, padding=2000, batch=10)
        load.start()
        for number in range(short_or_long(1, 10)):
            time.sleep(1 + chance.random() * 2)
            versitygw.kill()
            time.sleep(chance.random() * short_or_long(4, 60))
            versitygw.start()
            time.sleep(1 + chance.random() * 2)
            versitygw.pause()
            time.sleep(chance.random() * short_or_long(4, 60))
            two.kill()
            versitygw.resume()
            two.start()
        # A full topic, and nobody to give it to.
        versitygw.kill()
        load.finish()
        load.send(short_or_long(8_000, 150_000))
        time.sleep(short_or_long(3, 120))
        versitygw.start()
        book = load.finish()
        size = sum(len(t) for t in book.texts.values())
        fleet.check(book, query)
        most = {n: m.status_of("VmHWM") for n, m in fleet.members.items()}
        print(f"{len(book.acknowledged)} events, {size >> 20} MiB; most memory in MiB: "
              + ", ".join(f"{n} {k >> 10}" for n, k in most.items()))
        assert all(k < MOST_KIB for k in most.values()), most
        assert one.ask("SELECT 1").status_code != 200
        fleet.stop()


def test_50_a_storm_of_slow_down_on_the_way_to_the_bucket(kafka, moto, tmp_path):
    """Every PUT is refused for a while, to both; an answer is due all the same, and afterwards all is there once."""
    chance = seeded()
    topic = kafka.create_topic(partitions=PARTITIONS)
    edge = Edge(tmp_path, moto.endpoint)
    try:
        with Fleet(tmp_path / "fleet", kafka, [topic], **bucket(moto, edge.ca, edge.url), arguments=QUICK) as fleet:
            one, query = spread(fleet, "one", "query")
            load = Load(kafka, topic, PARTITIONS, chance)
            load.start()
            time.sleep(1)
            for _ in range(short_or_long(1, 8)):
                edge.storm = True
                edge.seen.clear()
                wait_for(lambda: sum(method == "PUT" for method, *_ in edge.seen) > 5, "nobody writes to the bucket")
                time.sleep(chance.random() * short_or_long(2, 30))
                assert query.one("SELECT count(*) FROM history WHERE event_id = 'none'") == 0
                edge.storm = False
                time.sleep(chance.random() * 2)
            book = load.finish()
            print(f"{len(book.acknowledged)} events")
            fleet.check(book, query)
            fleet.stop()
    finally:
        edge.close()
