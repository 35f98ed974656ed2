"""Trails hold exactly what their filters say, from the exact place where they say it."""

import json
from collections import Counter

import pytest
from deltalake import DeltaTable

import independent
from cairn import SENT, TESTDATA, event
from conftest import REAL_TRAILS


def trail_table(name):
    """A trail's table in SQL."""
    return f'trails."{name}"'


def ids(cairn, table, where=SENT):
    """The event ids of a table, sorted; twice if they are there twice."""
    return sorted(cairn.column(f"SELECT event_id FROM {table} WHERE {where}"))


@pytest.mark.parametrize("name", REAL_TRAILS)
def test_a_trail_holds_what_its_filter_says(real, real_events, name):
    _, criteria = REAL_TRAILS[name]
    wanted = [e for e in independent.distinct(real_events) if independent.takes(e, **criteria)]
    assert wanted, "this filter takes nothing, so it would show nothing"
    rows = real.sql(f"SELECT account_id, event_id, raw FROM {trail_table(name)} WHERE {SENT}")
    assert Counter((r["account_id"], r["event_id"], r["raw"]) for r in rows) == Counter(
        (e.account, e.id, e.raw) for e in wanted)


def test_the_trails_tell_what_they_are(real):
    listed = {t["name"]: t for t in real.http("GET", "/v1/trails", check=200).json()["trails"]}
    assert set(listed) == set(REAL_TRAILS)
    head = max(t["delivered"]["log/0"] for t in listed.values())
    for trail in listed.values():
        assert trail["status"] == "Enable" and trail["last_error"] is None
        assert trail["delivered"]["log/0"] <= head
        assert trail["effective"]["log/0"] <= trail["delivered"]["log/0"]
    assert listed["writes"]["read_write"] == "Write" and listed["writes"]["accounts"] == "all"
    one = listed["two_accounts_one_region"]
    assert sorted(one["accounts"]) == ["123456789123", "123837392027"] and one["regions"] == ["us-east-1"]
    assert listed["other_regions"]["regions"] == ["cn-hangzhou", "sagov-westsouth-1r"]
    assert listed["data_events"]["categories"] == ["Data"]
    assert listed["changes_by_prefix"]["fields"] == ["event_name=Create*,Delete*,Put*", "service!=ec2*"]
    assert one["rows"] >= 3003 and listed["data_events"]["rows"] == 9


def test_the_system_table_lists_them_too(real):
    assert set(real.column("SELECT name FROM trails")) == set(REAL_TRAILS)


def test_events_of_one_account_region_and_time(cairn):
    """All three of a trail's plain criteria at once, over events made to differ in one of them."""
    cairn.trail("narrow", "--accounts", "111111111111", "--regions", "eu-west-1,EU-NORTH-1", "--rw", "Write")
    sent = {
        "taken": event("taken", readOnly=False),
        "taken-region-case": event("taken-region-case", readOnly=False, awsRegion="EU-West-1"),
        "taken-other": event("taken-other", readOnly=False, awsRegion="eu-north-1"),
        "read": event("read"),
        "region": event("region", readOnly=False, awsRegion="us-east-1"),
        "no-region": event("no-region", readOnly=False, awsRegion=None),
        "account": event("account", account="222222222222", readOnly=False),
    }
    cairn.post(list(sent.values()))
    cairn.flush()
    assert ids(cairn, trail_table("narrow")) == ["taken", "taken-other", "taken-region-case"]


def test_fresh_enable_disable(cairn):
    """The three states; what comes in while a trail does not deliver is not delivered later."""
    trail = cairn.trail("writes", "--rw", "Write", start=False)
    assert trail["status"] == "Fresh"
    cairn.post(event("while-fresh", readOnly=False))

    assert cairn.cli_json("trail", "start", "writes")["status"] == "Enable"
    cairn.post(event("while-on", readOnly=False))

    assert cairn.cli_json("trail", "stop", "writes")["status"] == "Disable"
    cairn.post(event("while-off", readOnly=False))
    cairn.flush()
    cairn.restart(hard=True)
    assert cairn.cli_json("trail", "show", "writes")["status"] == "Disable"

    assert cairn.cli_json("trail", "start", "writes")["status"] == "Enable"
    cairn.post(event("on-again", readOnly=False))
    cairn.flush()
    assert ids(cairn, trail_table("writes")) == ["on-again", "while-on"]
    assert len(ids(cairn, "history", "event_id LIKE 'while-%' OR event_id = 'on-again'")) == 4

    versions = cairn.http("GET", "/v1/trails/writes", check=200).json()["versions"]
    assert [v["status"] for v in versions] == ["Fresh", "Enable", "Disable", "Enable"]
    starts = [v["effective"].get("log/0", 0) for v in versions]
    assert starts == sorted(starts)


def test_an_update_splits_at_an_exact_offset(cairn):
    """Every event is judged by the version in force at its own offset, after a crash too."""
    cairn.trail("moving", "--select", "event_name=A*")
    cairn.post([event("1a", eventName="A"), event("1b", eventName="B")])
    updated = cairn.http("PATCH", "/v1/trails/moving", json={"fields": ["event_name=B*"]}, check=200).json()
    cairn.post([event("2a", eventName="A"), event("2b", eventName="B")])
    cairn.restart(hard=True)
    cairn.cli("trail", "update", "moving", "--select", "event_name=*A,*B")
    cairn.post([event("3a", eventName="A"), event("3b", eventName="B"), event("3c", eventName="C")])
    cairn.flush()
    assert ids(cairn, trail_table("moving")) == ["1a", "2b", "3a", "3b"]

    split = updated["effective"]["log/0"]
    offsets = {r["event_id"]: r["log_offset"]
               for r in cairn.sql(f"SELECT event_id, log_offset FROM history WHERE {SENT}")}
    assert offsets["1a"] < split and offsets["1b"] < split
    assert offsets["2a"] >= split and offsets["2b"] >= split


def test_updates_while_events_come_in_split_at_their_own_offsets(cairn):
    """No pause between sending and changing: the trail's content follows from its versions alone."""
    cairn.trail("busy", "--select", "event_name=N0*")
    for step in range(1, 8):
        cairn.post([event(f"{step}-{n}", eventName=f"N{n % 8}x") for n in range(16)], receipts="refused")
        cairn.http("PATCH", "/v1/trails/busy", json={"fields": [f"event_name=N{step}*"]}, check=200)
    cairn.post([event(f"8-{n}", eventName=f"N{n % 8}x") for n in range(16)])
    cairn.flush()
    versions = cairn.http("GET", "/v1/trails/busy", check=200).json()["versions"]
    assert len(versions) >= 8
    wanted = []
    for row in cairn.sql(f"SELECT event_id, event_name, log_offset FROM history WHERE {SENT}"):
        in_force = [v for v in versions if v["effective"].get("log/0", 0) <= row["log_offset"]]
        if not in_force or in_force[-1]["status"] != "Enable":
            continue
        [criterion] = in_force[-1]["fields"]
        prefix = criterion.removeprefix("event_name=").removesuffix("*")
        if row["event_name"].startswith(prefix):
            wanted.append(row["event_id"])
    assert ids(cairn, trail_table("busy")) == sorted(wanted)
    # Step s was sent while the trail took N(s-1): two of sixteen each.
    assert sorted(wanted) == sorted(f"{s}-{n}" for s in range(1, 9) for n in range(16) if n % 8 == s - 1)


def test_an_update_back_to_everything(cairn):
    cairn.trail("wide", "--accounts", "222222222222", "--rw", "Write", "--category", "Data")
    cairn.post(event("before"))
    trail = cairn.http("PATCH", "/v1/trails/wide", check=200, json={
        "accounts": None, "read_write": None, "categories": None}).json()
    assert (trail["accounts"], trail["read_write"], trail["categories"]) == ("all", "All", "all")
    cairn.post(event("after"))
    cairn.flush()
    assert ids(cairn, trail_table("wide")) == ["after"]


def test_backfill_takes_what_was_there_before(cairn):
    cairn.post([event(f"old-{n}", readOnly=n % 2 == 0) for n in range(20)])
    cairn.flush()
    cairn.post([event(f"fresh-{n}", readOnly=n % 2 == 0) for n in range(20)])
    cairn.trail("with_past", "--rw", "Write", "--backfill")
    cairn.trail("without_past", "--rw", "Write")
    cairn.post([event(f"new-{n}", readOnly=n % 2 == 0) for n in range(20)])
    cairn.flush()
    odd = range(1, 20, 2)
    assert ids(cairn, trail_table("without_past")) == sorted(f"new-{n}" for n in odd)
    assert ids(cairn, trail_table("with_past")) == sorted(
        f"{kind}-{n}" for kind in ("old", "fresh", "new") for n in odd)


def test_explain_says_why(cairn):
    cairn.post(event("too-early", readOnly=False))
    cairn.trail("writes", "--rw", "Write", "--regions", "eu-west-1")
    cairn.post([event("taken", readOnly=False), event("a-read"),
                event("elsewhere", readOnly=False, awsRegion="us-east-1"),
                event("twice", readOnly=False), event("twice", account="222222222222")])
    cairn.cli("trail", "stop", "writes")
    cairn.post(event("stopped", readOnly=False))
    cairn.flush()

    def explain(event_id, **more):
        answer = cairn.http("GET", "/v1/trails/writes/explain", check=200,
                            params={"event_id": event_id, **more}).json()
        return answer if isinstance(answer, list) else answer.get("events", [answer])

    for event_id, taken in [("too-early", False), ("taken", True), ("a-read", False),
                            ("elsewhere", False), ("stopped", False)]:
        [answer] = explain(event_id)
        assert answer["taken"] is taken, answer
        assert len(answer["why"]) > 10, answer
    # The reasons differ, for the cases do.
    reasons = {explain(i)[0]["why"] for i in ("too-early", "taken", "a-read", "elsewhere", "stopped")}
    assert len(reasons) == 5
    # The same id in two accounts is two events.
    assert len(explain("twice")) == 2
    [mine] = explain("twice", account="222222222222")
    assert mine["taken"] is False
    printed = cairn.cli("trail", "explain", "writes", "--event", "a-read").out
    assert "Write" in printed or "read" in printed.lower()
    cairn.http("GET", "/v1/trails/writes/explain?event_id=never-sent", check=404)


def test_delete_and_make_anew(cairn):
    """A trail made anew under the same name has a history of its own; the old table stays."""
    cairn.trail("phoenix", "--rw", "Write")
    cairn.post(event("first-life", readOnly=False))
    cairn.flush()
    old = cairn.cli_json("trail", "show", "phoenix")
    cairn.cli("trail", "delete", "phoenix")
    cairn.http("GET", "/v1/trails/phoenix", check=404)
    assert cairn.ask("SELECT 1 FROM trails.phoenix").status_code == 400
    cairn.post(event("between", readOnly=False))
    new = cairn.trail("phoenix", "--rw", "Write")
    assert new["id"] != old["id"] and new["table"] != old["table"]
    cairn.post(event("second-life", readOnly=False))
    cairn.flush()
    assert ids(cairn, "trails.phoenix") == ["second-life"]
    cairn.restart()
    assert ids(cairn, "trails.phoenix") == ["second-life"]
    # The old table lies where it lay, for who kept its address.
    # It holds the call that deleted the trail too: a write of the management account.
    kept = DeltaTable(old["table"]).to_pyarrow_table(columns=["event_id", "service_name"]).to_pylist()
    assert [row["event_id"] for row in kept if row["service_name"] != "cairn"] == ["first-life"]


def test_a_trail_may_not_take_the_table_of_another(cairn, tmp_path):
    target = f"file://{tmp_path}/mine"
    cairn.trail("first", "--to", target)
    done = cairn.cli("trail", "create", "second", "--to", target, codes=range(1, 100))
    assert "first" in done.err or "table" in done.err


@pytest.mark.parametrize("body, code", [
    ({"name": "x"}, 400),
    ({"name": "../evil"}, 400),
    ({"name": "a b c"}, 400),
    ({"name": "wrong", "accounts": ["12"]}, 400),
    ({"name": "wrong", "accounts": []}, 400),
    ({"name": "wrong", "read_write": "Sometimes"}, 400),
    ({"name": "wrong", "fields": ["colour=red"]}, 400),
    ({"name": "wrong", "fields": ["event_name=a*b"]}, 400),
    ({"name": "wrong", "surprise": 1}, 400),
    ({"name": "wrong", "retention_days": 0}, 400),
    ({"name": "wrong", "destination": {"url": "ftp://example.org/x"}}, 400),
    ({}, 400),
], ids=lambda v: json.dumps(v))
def test_wrong_trails_are_refused_and_told_why(shared, body, code):
    answer = shared.http("POST", "/v1/trails", json=body, check=code).json()
    assert answer["error"]["code"] and len(answer["error"]["message"]) > 10
    assert shared.http("GET", "/v1/trails", check=200).json()["trails"] == []


def test_names_that_differ_in_case_only_are_one_name(cairn):
    cairn.trail("Writes")
    answer = cairn.http("POST", "/v1/trails", json={"name": "WRITES"}, check=409).json()
    assert answer["error"]["code"] == "trail_exists" and answer["error"]["hint"]


def test_many_trails_over_one_load(cairn):
    """Thirty trails, each of one account of thirty; no event in two, none missing."""
    accounts = [f"{n:012d}" for n in range(100, 130)]
    for account in accounts:
        cairn.http("POST", "/v1/trails", check=201,
                   json={"name": f"t{account}", "accounts": [account], "start": True})
    cairn.post([event(f"{a}-{n}", account=a) for n in range(3) for a in accounts], receipts="refused")
    cairn.flush()
    for account in accounts:
        assert ids(cairn, f"trails.t{account}") == [f"{account}-{n}" for n in range(3)]


def test_real_data_through_a_trail_that_was_stopped_and_started(cairn):
    """Real files, with a stop and a start between them: exactly the files in between are missing."""
    folder = TESTDATA / "cloudtrail/stratus/docs/detonation-logs"
    paths = sorted(folder.glob("*.json"))
    thirds = [paths[:12], paths[12:24], paths[24:]]
    cairn.trail("org")
    cairn.ingest(*thirds[0])
    cairn.cli("trail", "stop", "org")
    cairn.ingest(*thirds[1])
    cairn.cli("trail", "start", "org")
    cairn.ingest(*thirds[2])
    cairn.flush()
    wanted = sorted(e.id for e in independent.load(*thirds[0], *thirds[2]))
    assert ids(cairn, "trails.org") == wanted
