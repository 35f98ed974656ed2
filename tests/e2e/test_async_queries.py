"""Queries that nobody waits for: started, asked after, their rows fetched, and whose they are."""

import io
import time

import pyarrow.ipc
import pytest

from cairn import SENT, Cairn, event

MINE, OTHER = "111111111111", "222222222222"
IDS = f"SELECT event_id FROM history WHERE {SENT} ORDER BY event_id"
SLOW = "SELECT count(*) FROM history a, history b, history c, history d WHERE a.raw < b.raw || c.raw || d.raw"


@pytest.fixture
def cairn(tmp_path):
    with Cairn(tmp_path / "data", env={"CAIRN_QUERIES_MAX_BYTES": "1MiB"}) as server:
        server.post([event(f"e-{n:04}", account=(MINE, OTHER)[n % 2]) for n in range(400)])
        yield server
        server.stop()


def start(cairn, sql, token=None, check=202, **more):
    return cairn.http("POST", "/v1/queries", token=token, json={"query": sql, **more}, check=check).json()


def ended(cairn, id_, token=None):
    """What became of a query, once it is over."""
    end = time.monotonic() + 120
    while True:
        told = cairn.http("GET", f"/v1/queries/{id_}", token=token, check=200).json()
        if told["state"] != "running":
            return told
        assert time.monotonic() < end, told
        time.sleep(0.1)


def results(cairn, id_, token=None, check=200, accept=None, **page):
    headers = {"Accept": accept} if accept else {}
    return cairn.http("GET", f"/v1/queries/{id_}/results", token=token, headers=headers, params=page, check=check)


def test_rows_are_fetched_whole_and_in_pages_and_in_any_form(cairn):
    auditor = cairn.token("auditor", [MINE])
    id_ = start(cairn, IDS, auditor)["id"]
    told = ended(cairn, id_, auditor)
    assert told["state"] == "done" and told["rows"] == 200, told
    expected = [[f"e-{n:04}"] for n in range(0, 400, 2)]
    whole = results(cairn, id_, auditor).json()
    assert whole["rows"] == expected and whole["versions"] == told["versions"]
    paged = [row for at in range(0, 200, 70) for row in results(cairn, id_, auditor, offset=at, limit=70).json()["rows"]]
    assert paged == expected
    arrow = results(cairn, id_, auditor, accept="application/vnd.apache.arrow.stream").content
    assert pyarrow.ipc.open_stream(io.BytesIO(arrow)).read_all().num_rows == 200
    assert results(cairn, id_, auditor, accept="text/csv").text.splitlines()[:2] == ["event_id", "e-0000"]
    # What it was over can be asked again.
    again = cairn.http("POST", "/v1/sql", token=auditor, json={"query": IDS, "as_of": told["versions"]}, check=200)
    assert again.json()["rows"] == expected
    # The query and each fetch left events.
    names = cairn.column("SELECT event_name FROM history WHERE service_name = 'cairn' AND "
                         f"json_get_str(request_parameters, 'queryId') = '{id_}'")
    assert names.count("GetQueryResults") >= 5
    assert cairn.one("SELECT count(*) FROM history WHERE service_name = 'cairn' AND event_name = 'Query' AND "
                     "json_get_str(request_parameters, 'door') = 'async'") == 1
    cairn.http("DELETE", f"/v1/queries/{id_}", token=auditor, check=204)
    results(cairn, id_, auditor, check=404)
    assert not list((cairn.data / "queries").iterdir())


def test_a_query_is_there_for_its_token_and_for_nobody_else(cairn):
    auditor, other = cairn.token("auditor", [MINE]), cairn.token("auditor", [MINE])
    id_ = start(cairn, IDS, auditor)["id"]
    ended(cairn, id_, auditor)
    for token in (other, cairn.admin):
        cairn.http("GET", f"/v1/queries/{id_}", token=token, check=404)
        results(cairn, id_, token, check=404)
        cairn.http("DELETE", f"/v1/queries/{id_}", token=token, check=404)
        assert cairn.http("GET", "/v1/queries", token=token, check=200).json() == {"queries": []}
    assert [q["id"] for q in cairn.http("GET", "/v1/queries", token=auditor, check=200).json()["queries"]] == [id_]
    for id_of_none in ("0" * 32, "..%2f..%2fadmin.token", "x"):
        results(cairn, id_of_none, auditor, check=404)
    cairn.http("GET", f"/v1/queries/{id_}", token=cairn.token("sender", [MINE]), check=403)
    # A revoked token gets nothing of what it asked for while it was valid.
    cairn.cli("token", "revoke", auditor.split("_")[1])
    results(cairn, id_, auditor, check=401)


def test_a_running_query_is_canceled_and_its_event_says_so(cairn):
    id_ = start(cairn, SLOW)["id"]
    results(cairn, id_, check=409)
    cairn.http("DELETE", f"/v1/queries/{id_}", check=204)
    assert ended(cairn, id_)["state"] == "canceled"
    results(cairn, id_, check=410)
    end = time.monotonic() + 30
    while not cairn.column("SELECT error_code FROM history WHERE event_name = 'Query' AND error_code = 'canceled'"):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_what_went_wrong_is_told(cairn):
    assert start(cairn, "SELECT nothing FROM history", check=400)["error"]["code"] == "invalid_query"
    assert start(cairn, "DROP TABLE history", check=403)["error"]["code"] == "forbidden_statement"
    failed = ended(cairn, start(cairn, "SELECT 1 / (log_offset - log_offset) FROM history")["id"])
    assert failed["state"] == "failed" and failed["error"]["code"] == "invalid_query", failed
    # All results together have 1 MiB here.
    large = "SELECT repeat(a.raw, 3) FROM history a CROSS JOIN history b LIMIT 20000"
    failed = ended(cairn, start(cairn, large)["id"])
    assert failed["error"]["code"] == "query_bytes", failed
    assert not list((cairn.data / "queries").glob("*/rows.arrow")), "rows of a query that failed"
    # The room is free again.
    assert ended(cairn, start(cairn, IDS)["id"])["state"] == "done"


def test_results_outlive_a_restart_and_what_ran_is_lost(cairn):
    done, running = start(cairn, IDS)["id"], start(cairn, SLOW)["id"]
    ended(cairn, done)
    cairn.restart(hard=True)
    assert len(results(cairn, done).json()["rows"]) == 400
    lost = cairn.http("GET", f"/v1/queries/{running}", check=200).json()
    assert lost["state"] == "lost" and "start it again" in lost["error"]["hint"], lost
    results(cairn, running, check=410)


def test_nobody_takes_all_places(cairn):
    started = [start(cairn, SLOW)["id"] for _ in range(16)]
    assert start(cairn, SLOW, check=429)["error"]["code"] == "busy"
    # Somebody else starts one, and questions of others are answered meanwhile.
    other = cairn.token("auditor", [MINE])
    start(cairn, IDS, other)
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}", token=other) == 200
    for id_ in started:
        cairn.http("DELETE", f"/v1/queries/{id_}", check=204)
