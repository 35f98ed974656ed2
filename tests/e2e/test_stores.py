"""The S3 servers of the tests let one of many create an object, and the race finds out one that does not.

docs/s3-stores.md holds the counts of longer races.
"""

import http.server
import threading
import time

import pytest
import requests

from cairn import Cairn
from race import Racer
from stores import BUCKET, KEYS, Moto, Versitygw


def racer(store):
    return Racer(store.endpoint, BUCKET, KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], store.ca)


@pytest.mark.parametrize("size", [8, 1 << 20])
def test_versitygw_lets_one_of_many_create(versitygw, size):
    assert racer(versitygw).run(rounds=10, racers=24, size=size) == []
    assert versitygw.keys() == []


def test_moto_lets_one_of_many_create(tmp_path):
    with Moto(tmp_path / "moto.log") as store:
        assert racer(store).run(rounds=10, racers=24) == []


class Careless(http.server.BaseHTTPRequestHandler):
    """A store that looks whether an object is there, reads the body, and then writes."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        there = self.path in self.server.objects
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # What a real one does here takes time: it writes a file.
        time.sleep(0.05)
        if there and self.headers.get("If-None-Match") == "*":
            return self.answer(412)
        self.server.objects[self.path] = body
        return self.answer(200)

    def do_GET(self):
        body = self.server.objects.get(self.path)
        return self.answer(404) if body is None else self.answer(200, body)

    def do_DELETE(self):
        self.server.objects.pop(self.path, None)
        return self.answer(204)

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def careless():
    """The URL of a store whose condition is not atomic."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    server.daemon_threads = True
    server.request_queue_size = 128
    server.objects = {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_race_finds_a_store_that_looks_first_and_writes_later(careless):
    faults = Racer(careless, BUCKET, "key", "secret").run(rounds=4, racers=24)
    assert len(faults) == 4 and all("of 24 won" in fault for fault in faults), faults


def test_cairn_refuses_that_store_and_says_why(careless, tmp_path):
    with Cairn(tmp_path / "data", env={**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"}) as cairn:
        done = cairn.cli("trail", "create", "far", "--start", "--to", f"s3://{BUCKET}/far",
                         "--endpoint", careless, codes=range(1, 100))
        assert "put-if-absent" in done.err
        assert "far" not in cairn.cli("trail", "list").out
        cairn.stop()


def test_versitygw_keeps_its_objects(versitygw):
    versitygw.client().put_object(Bucket=BUCKET, Key="a/b", Body=b"kept")
    before = versitygw.endpoint
    versitygw.kill()
    with pytest.raises(requests.ConnectionError):
        requests.get(before, timeout=5)
    versitygw.start()
    assert versitygw.endpoint == before
    versitygw.stop()
    versitygw.start()
    assert versitygw.client().get_object(Bucket=BUCKET, Key="a/b")["Body"].read() == b"kept"


def test_a_paused_versitygw_answers_nobody_and_then_goes_on(versitygw):
    versitygw.pause()
    with pytest.raises(requests.Timeout):
        requests.get(versitygw.endpoint, timeout=1)
    versitygw.resume()
    assert requests.get(versitygw.endpoint, timeout=30).status_code == 403


def test_versitygw_speaks_tls(folders):
    with Versitygw(folders("versitygw-tls"), tls=True) as store:
        assert store.endpoint.startswith("https://")
        store.client().put_object(Bucket=BUCKET, Key="k", Body=b"v")
        assert store.keys() == ["k"]
        assert racer(store).run(rounds=2, racers=24) == []
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(store.endpoint, timeout=30)
