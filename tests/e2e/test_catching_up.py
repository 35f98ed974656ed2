"""A process without its data folder, which reads the ids of all that history holds before it judges.

How long that takes is the test's to say: a gate before the store keeps one file of history back until it is told
to let it go. Nothing here depends on how fast the machine is.
"""

import re
import threading
import urllib.parse

import pytest
import requests

from cairn import Cairn, event
from fleet import wait_for
from stores import BUCKET, KEYS, REGION, Moto
from test_s3_real import Edge

# When events happened: those of the file that can be read long before all others, Cairn's own among them.
RECENT, LONG_AGO, BEFORE = "2026-01-01T00:00:00Z", "2020-06-01T00:00:00Z", "2021-01-01T00:00:00Z"


class Gate(Edge):
    """An edge that keeps GETs of certain objects waiting while it is shut."""

    def __init__(self, folder, backend):
        self.held, self.waiting = set(), 0
        self.open = threading.Event()
        self.open.set()
        super().__init__(folder, backend)

    def forward(self, asked):
        if asked.command == "GET" and any(urllib.parse.unquote(asked.path.split("?")[0]).endswith(key) for key in self.held):
            self.waiting += 1
            self.open.wait()
        return super().forward(asked)


@pytest.fixture
def gate(tmp_path):
    with Moto(tmp_path / "moto.log") as moto:
        gate = Gate(tmp_path, moto.endpoint)
        gate.store = moto
        yield gate
        gate.open.set()
        gate.close()


class Process(Cairn):
    """One of several on the store. The first has the administrator's token."""

    def __init__(self, folder, gate, first=None):
        env = {**KEYS, "CAIRN_S3_ENDPOINT": gate.url, "CAIRN_S3_REGION": REGION, "CAIRN_S3_CA_FILE": str(gate.ca)}
        super().__init__(folder, env=env, arguments=["--store", f"s3://{BUCKET}/cairn"])
        self.first = first

    @property
    def admin(self):
        return (self.first.data if self.first else self.data).joinpath("admin.token").read_text().strip()

    def answers(self, path):
        """The status of a GET; None while the door is shut."""
        try:
            return self.http("GET", path, token=False)
        except requests.RequestException:
            return None


def data_files(gate):
    return {key for key in gate.store.keys("cairn/tables/history/") if key.endswith(".parquet") and "_delta_log" not in key}


def test_the_doors_open_while_ids_are_read(gate, tmp_path):
    kept_back = [event(f"kept-back-{n}", eventTime=RECENT) for n in range(20)]
    others = [event(f"other-{n}", eventTime=LONG_AGO) for n in range(10)]
    first = Process(tmp_path / "first", gate)
    second = Process(tmp_path / "second", gate, first)
    try:
        first.start()
        first.post(kept_back)
        first.flush()
        held = data_files(gate)
        assert held
        first.post(others)
        first.flush()
        assert data_files(gate) > held
        assert first.stop() == 0
        gate.held = held
        gate.open.clear()
        second.spawn()
        wait_for(lambda: (a := second.answers("/healthz")) is not None and a.status_code == 200, "the door stays shut")
        assert gate.waiting, "nobody asks for the file that is held back"
        # Not ready, and how far.
        ready = second.answers("/readyz")
        assert ready.status_code == 503, ready.text
        told = re.search(r"(\d+) of about (\d+) events", ready.json()["error"]["message"])
        done, of = int(told[1]), int(told[2])
        assert 30 <= of and done <= of - 20, ready.text
        status = second.http("GET", "/v1/status", check=200).json()
        assert status["ready"] is False and status["catching_up"]["of"] == of
        # Questions are answered, of what the files hold that can be read.
        asked = f"SELECT event_id FROM history WHERE event_time < '{BEFORE}'"
        assert sorted(second.column(asked)) == sorted(e["eventID"] for e in others)
        # Events are taken; whether one is a repeat is not known yet, and nobody guesses.
        answer = second.post([kept_back[0], event("fresh", eventTime=LONG_AGO)])
        assert [e.get("pending") for e in answer["events"]] == [True, True], answer
        assert "fresh" not in second.column(asked)
        assert second.answers("/readyz").status_code == 503
        gate.open.set()
        second.wait_ready()
        second.flush()
        # The repeat is known for one, and what was taken is there.
        found = second.column("SELECT event_id FROM history WHERE dialect <> 'cairn'")
        assert sorted(found) == sorted([e["eventID"] for e in kept_back + others] + ["fresh"])
        assert "catching_up" not in second.http("GET", "/v1/status", check=200).json()
        assert second.stop() == 0
    finally:
        gate.open.set()
        first.kill()
        second.kill()
