"""A trail on an S3 store: moto's server in a process of its own, and versitygw."""

import time

import pytest

from cairn import SENT, TESTDATA, Cairn, event
from stores import BUCKET, KEYS, Moto


@pytest.fixture
def store(tmp_path):
    """A store with one empty bucket."""
    with Moto(tmp_path / "moto.log") as store:
        yield store


@pytest.fixture
def cairn(tmp_path, store):
    """A server that has the store's keys in its environment."""
    with Cairn(tmp_path / "data", env={**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"},
               arguments=["--trails-commit-interval", "1s"]) as server:
        yield server
        server.stop()


def ids(cairn, table):
    return sorted(cairn.column(f"SELECT event_id FROM {table} WHERE {SENT}"))


def test_a_trail_on_s3_survives_restarts(cairn, store):
    cairn.trail("far", "--rw", "Write", "--to", f"s3://{BUCKET}/trails/far", "--endpoint", store.endpoint)
    cairn.ingest(TESTDATA / "cloudtrail/stratus")
    cairn.flush()
    first = ids(cairn, "trails.far")
    wanted = sorted(cairn.column(f"SELECT event_id FROM history WHERE {SENT} AND event_rw = 'Write'"))
    assert first == wanted and len(first) == 49
    assert store.ids("trails/far") == wanted

    cairn.restart()
    assert ids(cairn, "trails.far") == wanted
    cairn.post([event(f"later-{n}", readOnly=False) for n in range(5)])
    cairn.flush()
    cairn.post([event(f"last-{n}", readOnly=False) for n in range(5)])
    cairn.restart(hard=True)
    cairn.flush()
    wanted = sorted(wanted + [f"later-{n}" for n in range(5)] + [f"last-{n}" for n in range(5)])
    assert ids(cairn, "trails.far") == wanted
    assert store.ids("trails/far") == wanted
    assert any("_delta_log/" in key for key in store.keys("trails/far/"))


def test_a_trail_goes_on_after_its_store_was_killed(cairn, versitygw):
    """versitygw keeps its objects over kill -9; the trail then catches up by itself."""
    cairn.trail("far", "--to", f"s3://{BUCKET}/far", "--endpoint", versitygw.endpoint)
    cairn.post([event(f"before-{n}") for n in range(5)])
    cairn.flush()
    versitygw.kill()
    cairn.post([event(f"meanwhile-{n}") for n in range(5)])
    end = time.monotonic() + 120
    while not cairn.cli_json("trail", "show", "far").get("last_error"):
        assert time.monotonic() < end, "the trail does not say that its store is away"
        time.sleep(0.5)
    versitygw.start()
    cairn.flush()
    wanted = sorted([f"before-{n}" for n in range(5)] + [f"meanwhile-{n}" for n in range(5)])
    assert versitygw.ids("far") == wanted
    assert ids(cairn, "trails.far") == wanted


def test_a_store_that_is_away_holds_up_nothing_else(cairn, store):
    """The trail stands still and says why; history goes on; when the store is back, so is the trail."""
    cairn.trail("far", "--to", f"s3://{BUCKET}/far", "--endpoint", store.endpoint)
    cairn.trail("near")
    cairn.post(event("before"))
    cairn.flush()
    store.stop()
    cairn.post([event(f"meanwhile-{n}") for n in range(5)])
    assert len(ids(cairn, "history")) == 6
    end = time.monotonic() + 120
    while not (error := cairn.cli_json("trail", "show", "far").get("last_error")):
        assert time.monotonic() < end, "the trail does not say that its store is away"
        time.sleep(0.5)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in error and len(error) > 10
    end = time.monotonic() + 120
    while len(cairn.column(f"SELECT event_id FROM trails.near WHERE {SENT}")) < 6:
        assert time.monotonic() < end, "a trail elsewhere does not go on"
        time.sleep(0.5)
    assert cairn.http("GET", "/readyz", token=False).status_code == 200


def test_a_bucket_that_is_not_there_is_said_at_once(cairn, store):
    done = cairn.cli("trail", "create", "nowhere", "--start", "--to", "s3://no-such-bucket/x",
                     "--endpoint", store.endpoint, codes=range(1, 100))
    assert "no-such-bucket" in done.err
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in done.err + done.out


def test_keys_are_nowhere_in_what_cairn_keeps(cairn, store):
    cairn.trail("far", "--to", f"s3://{BUCKET}/far", "--endpoint", store.endpoint)
    cairn.post(event("one"))
    cairn.flush()
    secret = KEYS["AWS_SECRET_ACCESS_KEY"].encode()
    for path in cairn.data.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert secret.decode() not in cairn.log()
    assert secret.decode() not in cairn.http("GET", "/v1/trails").text
