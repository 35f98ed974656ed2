"""Answers that can be had again: versions, AS OF, watermarks."""

import json
import time

import pytest

from cairn import SENT, Cairn, event

MINE, OTHER = "111111111111", "222222222222"


@pytest.fixture(scope="module")
def cairn(folders):
    """A server that merges files as soon as there are some."""
    quick = {"CAIRN_HISTORY_COMPACTION_INTERVAL": "1s", "CAIRN_HISTORY_COMMIT_INTERVAL": "1s",
             "CAIRN_HISTORY_VACUUM_GRACE": "60s"}
    with Cairn(folders("asof"), env=quick) as server:
        yield server
        server.stop()


def send(cairn, prefix, count):
    cairn.post([event(f"{prefix}-{n}", account=(MINE, OTHER)[n % 2]) for n in range(count)])


def asked(cairn, sql, token=None, check=200, **more):
    return cairn.http("POST", "/v1/sql", token=token, json={"query": sql, **more}, check=check)


IDS = f"SELECT event_id FROM history WHERE {SENT} ORDER BY event_id"


def files(cairn):
    return cairn.http("GET", "/v1/status", check=200).json()["history"]["files"]


def test_an_answer_is_had_again_after_more_came_and_files_were_merged(cairn):
    auditor = cairn.token("auditor", [MINE])
    send(cairn, "first", 40)
    # Not committed yet: the version that is told covers what is in memory as well.
    first = asked(cairn, IDS, auditor)
    rows, versions = first.json()["rows"], first.json()["versions"]
    assert len(rows) == 20
    assert json.loads(first.headers["cairn-versions"]) == versions
    assert set(versions) == {"history"}
    for n in range(12):
        send(cairn, f"more{n}", 4)
        cairn.flush()
    # Twelve files and more: eight of like size are merged.
    end = time.monotonic() + 60
    while files(cairn) >= 8 or "small files were merged" not in cairn.log():
        assert time.monotonic() < end, "files were not merged"
        time.sleep(0.2)
    again = asked(cairn, IDS, auditor, as_of=versions).json()
    assert again["rows"] == rows
    assert again["versions"] == versions
    assert len(asked(cairn, IDS, auditor).json()["rows"]) == 20 + 24
    # Also after a restart, and with another form of the answer.
    cairn.restart()
    assert asked(cairn, IDS, auditor, as_of=versions).json()["rows"] == rows
    # The event of the query says what it was over.
    said = cairn.sql("SELECT response_elements FROM history WHERE event_name = 'Query' AND service_name = 'cairn' "
                     "ORDER BY event_time")
    assert versions in [json.loads(row["response_elements"]).get("versions") for row in said]


def test_versions_and_times_in_sql(cairn):
    send(cairn, "sql", 10)
    cairn.flush()
    status = cairn.http("GET", "/v1/status", check=200).json()
    version = status["history"]["version"]
    count = f"SELECT count(*) FROM history {{}} WHERE {SENT}"
    now = cairn.one(count.format(""))
    # The clock has to tick: a commit of the same millisecond would be in it.
    time.sleep(0.01)
    at = cairn.one("SELECT now() AS t")
    time.sleep(0.01)
    send(cairn, "later", 10)
    cairn.flush()
    assert cairn.one(count.format("")) == now + 10
    assert cairn.one(count.format(f"VERSION AS OF {version}")) == now
    assert cairn.one(count.format(f"FOR SYSTEM_TIME AS OF '{at}'")) == now
    assert cairn.one(count.format(f"FOR SYSTEM_TIME AS OF TIMESTAMP '{at}' AS h")) == now
    new = cairn.column(f"SELECT event_id FROM history WHERE {SENT} EXCEPT "
                       f"SELECT event_id FROM history VERSION AS OF {version} ORDER BY 1")
    assert sorted(new) == sorted(f"later-{n}" for n in range(10))
    as_of = asked(cairn, count.format(""), as_of=at).json()
    assert as_of["rows"] == [[now]]
    assert as_of["versions"]["history"]["version"] >= version
    assert asked(cairn, count.format(""), as_of={"history": version}).json()["rows"] == [[now]]


def test_what_cannot_be_asked_says_why(cairn):
    for sql, more, words in [
        ("SELECT 1 FROM history VERSION AS OF 999999", {}, "there is no version 999999 yet"),
        ("SELECT 1 FROM history FOR SYSTEM_TIME AS OF '2999-01-01'", {}, "lies in the future"),
        ("SELECT 1 FROM history FOR SYSTEM_TIME AS OF '1999-01-01'", {}, "the oldest time that can be asked is"),
        ("SELECT 1 FROM history FOR SYSTEM_TIME AS OF 'tea time'", {}, "AS OF cannot be"),
        ("SELECT 1 FROM accounts", {"as_of": "2026-01-01"}, "tells of now"),
        ("SELECT 1 FROM history", {"as_of": {"quarantine": 1}}, "as_of gives no version for history"),
        ("SELECT 1 FROM history", {"as_of": 12}, "as_of is no state of tables"),
        ("SELECT $1 FROM history", {"parameters": [[1]]}, "a parameter is a list"),
        ("SELECT 1 FROM history", {"parameters": ["x"]}, "0 parameters"),
    ]:
        error = asked(cairn, sql, check=400, **more).json()["error"]
        assert words in error["message"], (sql, error)
    ahead = {"history": {"version": 1, "reach": {"log/0": 10**9}}}
    partition = next(iter(cairn.http("GET", "/v1/status", check=200).json()["history"]["position"]))
    ahead["history"]["reach"] = {partition: 10**9}
    assert asked(cairn, "SELECT 1 FROM history", check=503, as_of=ahead).json()["error"]["code"] == "unavailable"


def test_who_may_not_read_all_accounts_is_told_states_under_a_seal(cairn):
    mine, other = cairn.token("auditor", [MINE]), cairn.token("auditor", [OTHER])
    send(cairn, "seal", 20)
    first = asked(cairn, IDS, mine)
    rows, versions = first.json()["rows"], first.json()["versions"]
    assert versions["history"].startswith("sealed:") and "reach" not in first.text
    assert "reach" not in first.headers["cairn-versions"]
    # However much others send, one seal is as long as another, and no two are alike.
    send(cairn, "much", 400)
    cairn.flush()
    later = asked(cairn, IDS, mine).json()["versions"]["history"]
    assert len(later) == len(versions["history"]) and later != versions["history"]
    assert asked(cairn, IDS, mine, as_of=versions).json()["rows"] == rows
    # Handed over it is the same state, of which each sees what is theirs.
    theirs = asked(cairn, IDS, other, as_of=versions).json()["rows"]
    every = asked(cairn, IDS, as_of=versions).json()
    assert sorted(rows + theirs) == every["rows"] and len(theirs) == len(rows)
    # Who reads all accounts is told what it says, and what they are told is nothing for others: they could count by it.
    plain = every["versions"]
    assert set(plain["history"]) == {"version", "reach"}
    assert asked(cairn, IDS, as_of=plain).json()["rows"] == every["rows"]
    for state in (plain, {"history": {"version": 0, "reach": {}}}):
        error = asked(cairn, IDS, mine, check=400, as_of=state).json()["error"]
        assert "told to somebody who reads all accounts" in error["message"] and error["hint"]
    for wrong in ("sealed:", "sealed:AAAA", later[:-4], later[:40] + "A" * 8 + later[48:]):
        error = asked(cairn, IDS, check=400, as_of={"history": wrong}).json()["error"]
        assert "no answer of this Cairn told" in error["message"], wrong
    asked(cairn, "SELECT 1 FROM quarantine", mine, check=400, as_of={"quarantine": later})
    # A time and a number are as good as for everybody.
    assert asked(cairn, IDS, mine, as_of={"history": plain["history"]["version"]}).status_code == 200
    # A trail's places in the log are not told either.
    cairn.trail("mine-alone", "--accounts", MINE)
    for token, told in ((mine, False), (None, True)):
        shown = cairn.http("GET", "/v1/trails/mine-alone", token=token, check=200).json()
        listed, = [t for t in cairn.http("GET", "/v1/trails", token=token, check=200).json()["trails"] if t["name"] == "mine-alone"]
        for trail in (shown, listed, *shown["versions"]):
            assert ("effective" in trail) == told
        assert all((place in shown) == told for place in ("scanned", "delivered"))


def test_parameters_and_limits_over_http(cairn):
    send(cairn, "p", 10)
    sql = "SELECT event_id FROM history WHERE event_id = $1 AND event_time < $2 AND log_offset >= $3 AND read_only = $4"
    rows = asked(cairn, sql.replace("read_only = $4", "event_rw = $4"),
                 parameters=["p-3", "2026-01-03T00:00:00Z", 0, "Read"]).json()["rows"]
    assert rows == [["p-3"]]
    error = asked(cairn, IDS, check=422, max_rows=2).json()["error"]
    assert error["code"] == "query_rows"
    slow = "SELECT count(*) FROM history a, history b, history c, history d WHERE a.raw < b.raw || c.raw || d.raw"
    error = asked(cairn, slow, check=422, timeout_ms=50).json()["error"]
    assert error["code"] == "query_timeout"


def test_watermarks_say_up_to_when_everything_is_in(cairn):
    send(cairn, "w", 10)
    cairn.flush()
    mark, = cairn.sql("SELECT * FROM watermarks")
    assert mark["committed_offset"] <= mark["visible_offset"] <= mark["end_offset"]
    assert mark["visible_until"] and mark["committed_until"]
    status, = cairn.http("GET", "/v1/status", check=200).json()["watermarks"]
    assert status["committed"] <= status["visible"] <= status["end"]
    assert status["visible_until"] >= mark["visible_until"]
    # An auditor of some accounts is told when, and not how much others sent.
    own, = cairn.sql("SELECT * FROM watermarks", token=cairn.token("auditor", [MINE]))
    assert own["visible_until"]
    assert own["end_offset"] is None and own["visible_offset"] is None and own["committed_offset"] is None
