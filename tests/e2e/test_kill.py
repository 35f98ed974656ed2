"""kill -9 at any moment: what was acknowledged is there, once; what is there was sent."""

import json
import os
import random
import threading
import time
from collections import Counter

import pytest
import requests

from cairn import SENT, Cairn, event

# The long form, CAIRN_TEST_KILLS=long, is for a release build: docs/testing.md.
LONG = os.environ.get("CAIRN_TEST_KILLS") == "long"
ROUNDS = 200 if LONG else 20
EVENTS = 1_000_000 if LONG else 101
SIZES = [1, 20, 500, 2000] if LONG else [1, 1, 5, 20]
SENDERS = 3


@pytest.fixture
def cairn(tmp_path):
    """A server that commits and delivers all the time, so that kills hit commits and deliveries."""
    with Cairn(tmp_path / "data", arguments=[
            "--history-commit-interval", "200ms", "--trails-commit-interval", "300ms",
            "--history-compaction-interval", "2s", "--log-segment-bytes", "256KiB",
            *(["--query-timeout", "600s"] if LONG else [])]) as server:
        yield server
        server.stop()


class Sender(threading.Thread):
    """Sends batches of numbered events and keeps book of what the server acknowledged.

    A batch without an answer is sent again, the very same bytes, until there is
    one: that is what a careful sender does.
    """

    def __init__(self, number, url, token, seed):
        super().__init__(daemon=True)
        self.number = number
        self.url = url
        self.token = token
        self.random = random.Random(seed * 1000 + number)
        self.acknowledged = []   # event ids, in order
        self.enough = 1 << 62    # rests when so many are acknowledged
        self.sent = set()        # event ids that went out, answered or not
        self.doubts = 0          # requests without an answer
        self.wrong = []          # answers that should not be
        self.ended = threading.Event()

    def run(self):
        session = requests.Session()
        session.trust_env = False
        samples = [json.dumps(event("EVENT-NAME", account=f"{self.number:012d}", readOnly=read))
                   for read in (True, False)]
        count = 0
        while not self.ended.is_set():
            if len(self.acknowledged) >= self.enough:
                time.sleep(0.01)
                continue
            size = self.random.choice(SIZES)
            names = [f"s{self.number}-{count + n}" for n in range(size)]
            count += size
            # Cut from two samples: dumping each would be the test's slowest part.
            body = ",".join(samples[n % 2].replace("EVENT-NAME", name) for n, name in enumerate(names))
            self.sent.update(names)
            self.deliver(session, names, f"[{body}]".encode())

    def deliver(self, session, names, body):
        while True:
            try:
                answer = session.post(f"{self.url}/v1/events", data=body, timeout=60,
                                      headers={"Authorization": f"Bearer {self.token}"})
            except requests.RequestException:
                self.doubts += 1
                if self.ended.is_set():
                    return
                time.sleep(0.05)
                continue
            if answer.status_code in (429, 503):
                time.sleep(0.05)
                continue
            if answer.status_code != 200:
                self.wrong.append(answer.text[:500])
                return
            told = answer.json()
            if told["accepted"] + told["duplicate"] != len(names):
                self.wrong.append(told)
            self.acknowledged += names
            return


@pytest.mark.timeout(10_800 if LONG else 420)
def test_kill_again_and_again(cairn):
    seed = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}: CAIRN_TEST_SEED={seed} repeats this choice of moments")
    moments = random.Random(seed)
    cairn.trail("writes", "--rw", "Write")
    token = cairn.token("sender", "all")
    senders = [Sender(n, cairn.url, token, seed) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    round_number = kills = 0
    while round_number < ROUNDS or sum(len(sender.acknowledged) for sender in senders) < EVENTS:
        if LONG:
            # As many in each round: the last ones are to be killed in the act too.
            for sender in senders:
                sender.enough = (round_number + 1) * 3 * EVENTS // (2 * ROUNDS * SENDERS)
        # Short and long runs: during recovery, in the middle of a batch, of a commit, of a delivery.
        time.sleep(moments.choice([0.0, 0.05, 0.3, 1.0, 2.0]) + moments.random() * 0.3)
        cairn.kill()
        if round_number % 5 == 4:
            # Killed again while it recovers.
            cairn.spawn()
            time.sleep(moments.random() * 0.5)
            cairn.kill()
            kills += 1
        cairn.start()
        round_number, kills = round_number + 1, kills + 1
    time.sleep(0.5)
    for sender in senders:
        sender.ended.set()
    for sender in senders:
        sender.join(timeout=120)
        assert not sender.is_alive()
        assert sender.wrong == []
    cairn.flush()
    check(cairn, senders)
    print(f"{kills} kills, {sum(len(sender.acknowledged) for sender in senders)} events acknowledged, "
          f"{sum(sender.doubts for sender in senders)} requests without an answer")
    # Nothing of it is an accident of what is in memory.
    cairn.restart(hard=True)
    check(cairn, senders)


def check(cairn, senders):
    assert sum(len(sender.acknowledged) for sender in senders) >= EVENTS, "too little was sent to show anything"
    assert sum(sender.doubts for sender in senders) > 0, "no request was cut off: nothing was tried"
    offsets = set()
    rows = 0
    # One sender's at a time: the answers are large in the long form.
    for sender in senders:
        mine = f"{SENT} AND account_id = '{sender.number:012d}'"
        there = Counter()
        for row in cairn.sql(f"SELECT event_id, log_offset FROM history WHERE {mine}"):
            there[row["event_id"]] += 1
            offsets.add(row["log_offset"])
            rows += 1
        lost = set(sender.acknowledged) - set(there)
        assert not lost, f"{len(lost)} acknowledged events are lost, such as {sorted(lost)[:5]}"
        twice = [name for name, n in there.items() if n > 1]
        assert not twice, f"{len(twice)} events are there twice, such as {sorted(twice)[:5]}"
        assert set(there) <= sender.sent
        # The trail made the same journey.
        writes = cairn.column(f"SELECT event_id FROM trails.writes WHERE {mine}")
        wanted = cairn.column(f"SELECT event_id FROM history WHERE {mine} AND event_rw = 'Write'")
        assert Counter(writes) == Counter(wanted)
    assert len(offsets) == rows
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == rows


def test_kill_right_after_the_answer(cairn):
    """The moment that counts most: the answer is out, nothing else has happened."""
    for number in range(5):
        assert cairn.post(event(f"e{number}"))["accepted"] == 1
        cairn.restart(hard=True)
    assert sorted(cairn.column(f"SELECT event_id FROM history WHERE {SENT}")) == [f"e{n}" for n in range(5)]


def test_the_offset_of_a_receipt_is_for_ever(cairn):
    first = cairn.post(event("a"))["events"][0]
    cairn.restart(hard=True)
    second = cairn.post([event("a"), event("b")])["events"]
    assert second[0]["status"] == "duplicate" and second[0]["offset"] == first["offset"]
    assert second[1]["status"] == "accepted" and second[1]["offset"] > first["offset"]
    assert cairn.one("SELECT log_offset FROM history WHERE event_id = 'a'") == first["offset"]


def test_quarantine_survives_a_kill(cairn):
    body = b'{"eventID": "x", "recipientAccountId": "12"}\nnot json at all\n' + json.dumps(event("fine")).encode()
    answer = cairn.post(body)
    assert (answer["accepted"], answer["refused"]) == (1, 2)
    for _ in range(2):
        cairn.restart(hard=True)
        assert cairn.one("SELECT count(*) FROM quarantine") == 2
    cairn.flush()
    cairn.restart(hard=True)
    assert sorted(cairn.column("SELECT reason FROM quarantine")) == ["account_invalid", "invalid_json"]


def test_the_first_answer_after_a_kill_lacks_nothing(tmp_path):
    """Ready means that what was acknowledged and not yet committed has been read from the log again."""
    with Cairn(tmp_path / "data", arguments=["--history-commit-interval", "60s"]) as cairn:
        for body in range(10):
            cairn.post([event(f"b{body}-{n}") for n in range(400)])
        cairn.restart(hard=True)
        assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 4000
