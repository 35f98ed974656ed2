"""Exports into a real S3 server, by processes that are killed, stand still, and take each other's work over.

A reader looks at the bucket all the while: wherever a manifest lies, everything that it names lies too.
"""

import csv
import hashlib
import io
import json
import random
import signal
import threading
import time

import botocore.exceptions
import pytest

from cairn import Cairn, event
from fleet import LONG, seeded, short_or_long, wait_for
from stores import BUCKET, KEYS, REGION

ONE, TWO = "111111111111", "222222222222"
EVENTS = 160
# Many rows from few, so that an export takes its time and has several files.
SLOW = ("SELECT a.event_id AS a, b.event_id AS b, a.raw AS raw FROM history a CROSS JOIN history b "
        "WHERE a.dialect <> 'cairn' AND b.dialect <> 'cairn'")
PLACE = f"s3://{BUCKET}/handed/over"

pytestmark = pytest.mark.timeout(3600 if LONG else 600)


class Process(Cairn):
    """One of several on one store; the first of them has the administrator's token."""

    def __init__(self, folder, name, store, first=None):
        env = {**KEYS, "CAIRN_S3_ENDPOINT": store.endpoint, "CAIRN_S3_REGION": REGION, "CAIRN_S3_ALLOW_HTTP": "true"}
        super().__init__(folder / name, env=env, arguments=[
            "--store", f"s3://{BUCKET}/cairn", "--history-commit-interval", "500ms",
            "--export-allow", f"{PLACE}={store.endpoint}"])
        self.first = first

    @property
    def admin(self):
        return self.first.admin if self.first else super().admin


class Reader(threading.Thread):
    """Reads the bucket again and again. `faults` are manifests that named what was not there."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.store, self.client = store, store.client()
        self.faults, self.looks = [], 0
        self.ended = threading.Event()
        # The hash of what was read whole already: objects are not written twice.
        self.whole = set()

    def manifests(self):
        return [key for key in self.store.keys("handed/over/") if key.endswith("/manifest.json")]

    def body(self, key):
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def check(self, key):
        raw = self.body(key)
        if (key, hashlib.sha256(raw).hexdigest()) in self.whole:
            return
        folder = key.removesuffix("manifest.json")
        for file in json.loads(raw)["files"]:
            found = self.body(folder + file["name"])
            assert (len(found), hashlib.sha256(found).hexdigest()) == (file["bytes"], file["sha256"]), file["name"]
        self.whole.add((key, hashlib.sha256(raw).hexdigest()))

    def look(self):
        for key in self.manifests():
            try:
                self.check(key)
            except Exception as error:  # noqa: BLE001 - whatever it is, the manifest is not true
                # The store itself may be away, and a manifest that is being removed goes first.
                if key in self.manifests():
                    self.faults.append(f"{key}: {error!r}")
        self.looks += 1

    def run(self):
        while not self.ended.wait(0.05):
            try:
                self.look()
            except botocore.exceptions.BotoCoreError:
                pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(timeout=60)


@pytest.fixture
def pair(tmp_path, versitygw):
    """Two processes on one bucket, with events that both see."""
    one = Process(tmp_path, "one", versitygw)
    two = Process(tmp_path, "two", versitygw, one)
    with one, two:
        padding = "x" * 2000
        one.post([event(f"s-{n:04d}", account=[ONE, TWO][n % 2], requestParameters={"p": padding}) for n in range(EVENTS)])
        one.flush()
        count = "SELECT count(*) FROM history WHERE dialect <> 'cairn'"
        wait_for(lambda: two.one(count) == EVENTS, "the other process does not see the events")
        yield one, two
        for process in (one, two):
            process.stop()


def begin(process, token=None, **more):
    body = {"sql": SLOW, "format": "csv", "to": PLACE, **more}
    return process.http("POST", "/v1/exports", token=token, json=body, check=201).json()


def state(process, id, token=None):
    return process.http("GET", f"/v1/exports/{id}", token=token, check=200).json()


def with_files(process, id, count=1):
    wait_for(lambda: state(process, id)["files"] >= count, lambda: f"no file is written: {state(process, id)}", every=0.02)


def taken_over(process, id):
    """Resumes it at `process` once that knows of it, and returns its document when it is done.

    Whoever began it need not come back: what it is over is committed before its first file.
    """
    def resumed():
        answer = process.http("POST", f"/v1/exports/{id}/resume")
        # 404 and a conflict: its newest version is not read yet.
        assert answer.status_code in (200, 404, 409), answer.text
        # Killed after its last step, it left nothing to take over; that is known here a moment later.
        return answer.status_code == 200 or answer.status_code == 409 and state(process, id)["state"] == "done"
    wait_for(resumed, "it cannot be taken over")
    return done(process, id)


def back(process):
    """Starts it unless it had to come back already."""
    if process.process is None:
        process.start()


def done(process, id):
    def over():
        now = state(process, id)
        assert now["state"] in ("queued", "running", "finishing", "done"), now
        return now["state"] == "done" and now
    return wait_for(over, lambda: state(process, id), within=300)


def verified(process, now, codes=(0,)):
    env = {**KEYS, "CAIRN_S3_ALLOW_HTTP": "true", "CAIRN_URL": "http://127.0.0.1:1", "CAIRN_TOKEN": ""}
    more = ["--sha256", now["manifest_sha256"]] if now["manifest_sha256"] else []
    return process.cli("export", "verify", now["to"], "--endpoint", process.env["CAIRN_S3_ENDPOINT"], *more, env=env,
                       codes=codes).out


def prefix(now):
    return now["to"].removeprefix(f"s3://{BUCKET}/")


def check(process, store, now):
    """Every pair of events is there once, by a reader that knows nothing of Cairn; and verify agrees."""
    folder = prefix(now)
    manifest = json.loads(store.client().get_object(Bucket=BUCKET, Key=f"{folder}/manifest.json")["Body"].read())
    assert manifest["rows"] == now["rows"] == EVENTS * EVENTS
    pairs = []
    for file in manifest["files"]:
        text = store.client().get_object(Bucket=BUCKET, Key=f"{folder}/{file['name']}")["Body"].read().decode()
        part = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(part) == file["rows"]
        pairs += [(row["a"], row["b"]) for row in part]
    assert len(pairs) == EVENTS * EVENTS == len(set(pairs)), "a row is there twice, or is missing"
    names = {key.removeprefix(folder + "/") for key in store.keys(folder + "/")}
    assert names == {file["name"] for file in manifest["files"]} | {"manifest.json", "manifest.json.sha256"}
    assert "OK export" in verified(process, now)


def test_killed_half_way_another_process_takes_it_over(pair, versitygw):
    one, two = pair
    with Reader(versitygw) as reader:
        for round in range(short_or_long(1, 6)):
            # The two change their parts from round to round.
            victim, heir = (one, two) if round % 2 == 0 else (two, one)
            made = begin(victim)
            with_files(victim, made["id"])
            victim.kill()
            assert "INVALID manifest.json: it is missing" in verified(heir, made, codes=(1,))
            now = taken_over(heir, made["id"])
            check(heir, versitygw, now)
            # Of what the killed one wrote nothing is left, and nothing of it is in the new folder.
            assert prefix(now) != prefix(made)
            wait_for(lambda: not versitygw.keys(prefix(made) + "/"), lambda: versitygw.keys(prefix(made) + "/"))
            back(victim)
            # It does not begin again what is somebody else's now.
            assert state(victim, made["id"])["state"] == "done"
            assert state(victim, made["id"])["to"] == now["to"]
            check(heir, versitygw, now)
    assert not reader.faults and reader.looks > 10, reader.faults


def test_killed_at_any_moment_there_is_all_or_nothing(pair, versitygw):
    """Also in its last steps: the moments are drawn from how long an export takes."""
    one, two = pair
    chance = seeded()
    began = time.monotonic()
    small = "SELECT a.event_id AS a, b.event_id AS b FROM history a CROSS JOIN history b WHERE a.dialect <> 'cairn' AND b.dialect <> 'cairn'"
    first = begin(one, sql=small)
    check(one, versitygw, done(one, first["id"]))
    takes = time.monotonic() - began
    ends = []
    with Reader(versitygw) as reader:
        for _ in range(short_or_long(4, 40)):
            made = begin(one, sql=small)
            time.sleep(chance.random() * takes * 1.1)
            one.kill()
            ends.append(bool(versitygw.keys(prefix(made) + "/manifest.json")))
            if chance.random() < 0.5:
                wait_for(lambda id=made["id"]: two.http("GET", f"/v1/exports/{id}").status_code == 200, "the other does not know of it")
                now = state(two, made["id"]) if ends[-1] and state(two, made["id"])["state"] == "done" else taken_over(two, made["id"])
                back(one)
            else:
                # The same process goes on with it by itself.
                one.start()
                now = done(one, made["id"])
            check(two, versitygw, now)
            # One export, one manifest.
            assert len([k for k in reader.manifests() if made["id"] in k]) == 1
    print(f"{len(ends)} kills, {sum(ends)} after the manifest, an export takes {takes:.1f} s")
    assert not reader.faults, reader.faults


def test_one_that_only_stood_still_disturbs_nothing(pair, versitygw):
    """Taken for dead, it wakes up when its export is done elsewhere."""
    one, two = pair
    chance = random.Random(1)
    with Reader(versitygw) as reader:
        for _ in range(short_or_long(1, 8)):
            made = begin(one)
            with_files(one, made["id"])
            time.sleep(chance.random())
            one.process.send_signal(signal.SIGSTOP)
            try:
                now = taken_over(two, made["id"])
                check(two, versitygw, now)
            finally:
                one.process.send_signal(signal.SIGCONT)
                # It hangs up on connections that said nothing for so long.
                one.http_session.close()
            wait_for(lambda: state(one, made["id"])["state"] == "done", lambda: state(one, made["id"]))
            # Time for whatever it was about to do.
            time.sleep(3)
            check(two, versitygw, now)
            assert not [k for k in versitygw.keys(prefix(made) + "/") if k.endswith("manifest.json")]
    assert not reader.faults, reader.faults


def test_taken_over_while_it_runs_there_is_one(pair, versitygw):
    """Two who both take it for theirs: one gets through."""
    one, two = pair
    made = begin(one)
    with_files(one, made["id"])
    now = taken_over(two, made["id"])
    check(two, versitygw, now)
    wait_for(lambda: state(one, made["id"])["state"] == "done", lambda: state(one, made["id"]))
    assert state(one, made["id"])["manifest_sha256"] == now["manifest_sha256"]
    time.sleep(2)
    assert len([k for k in versitygw.keys("handed/over/") if k.endswith("/manifest.json")]) == 1
    check(two, versitygw, now)


def test_the_bucket_is_away_for_a_while(pair, versitygw):
    """The server of the bucket dies and comes back: the export goes on, or says why not and can be resumed."""
    one, two = pair
    auditor = one.token("auditor", [ONE])
    with Reader(versitygw) as reader:
        made = begin(one)
        with_files(one, made["id"])
        versitygw.kill()
        time.sleep(2)
        versitygw.start()
        now = done(one, made["id"])
        check(one, versitygw, now)
    assert not reader.faults, reader.faults
    # Other people's are not there, from whichever process.
    for process in (one, two):
        answer = process.http("POST", f"/v1/exports/{made['id']}/resume", token=auditor)
        assert answer.status_code in (401, 404)
    wait_for(lambda: two.http("GET", "/v1/whoami", token=auditor).status_code == 200, "the token is not known")
    assert two.http("GET", f"/v1/exports/{made['id']}", token=auditor).status_code == 404


@pytest.mark.parametrize("format", ["parquet", "ndjson", "cloudtrail"])
def test_every_format_into_versitygw(pair, versitygw, format):
    one, _ = pair
    auditor = one.token("auditor", [ONE], name="alice")
    made = begin(one, token=auditor, sql=None, filter={"accounts": [ONE]}, format=format, to=f"{PLACE}/q1")
    now = done(one, made["id"])
    owner = auditor.split("_")[1]
    assert now["to"] == f"{PLACE}/{owner}/q1/{now['id']}" and now["rows"] == EVENTS // 2
    assert "OK export" in verified(one, now)
    # A byte more, a byte less, a file more: named.
    client, folder = versitygw.client(), prefix(now)
    client.put_object(Bucket=BUCKET, Key=f"{folder}/more", Body=b"x")
    assert "INVALID more: " in verified(one, now, codes=(1,))
    client.delete_object(Bucket=BUCKET, Key=f"{folder}/more")
    first = sorted(k for k in versitygw.keys(folder + "/") if "manifest" not in k)[0]
    client.put_object(Bucket=BUCKET, Key=first, Body=b"x")
    assert f"INVALID {first.removeprefix(folder + '/')}: " in verified(one, now, codes=(1,))
