"""A trail on an S3 store, here moto's server in a process of its own."""

import socket
import subprocess
import sys
import time

import boto3
import pytest
from botocore.config import Config
from deltalake import DeltaTable

from cairn import SENT, TESTDATA, Cairn, clean_environment, event, free_port

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret-value"}
BUCKET = "audit-trails"


class Store:
    """moto's S3, which can be stopped and started again (it forgets what it held)."""

    def __init__(self, log):
        self.port = free_port()
        self.log = log
        self.process = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                stdout=log, stderr=log, env=clean_environment())
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                assert self.process.poll() is None, "moto's server ended"
                assert time.monotonic() < end, "moto's server did not come up"
                time.sleep(0.1)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def client(self):
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}, s3={"addressing_style": "path"}))

    def keys(self, prefix=""):
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def ids(self, prefix):
        """The event ids of the table at `prefix`, read by delta-rs."""
        options = {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1",
                   "AWS_ALLOW_HTTP": "true", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"}
        table = DeltaTable(f"s3://{BUCKET}/{prefix}", storage_options=options)
        rows = table.to_pyarrow_table(columns=["event_id", "dialect"]).to_pylist()
        return sorted(r["event_id"] for r in rows if r["dialect"] != "cairn")


@pytest.fixture
def store(tmp_path):
    """A store with one empty bucket."""
    store = Store(tmp_path / "moto.log").start()
    try:
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        store.stop()


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
