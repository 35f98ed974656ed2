"""Queries that nobody waits for: started, asked after, their rows fetched, and whose they are."""

import io
import json
import re
import time

import pyarrow.ipc
import pyarrow.parquet
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


def test_the_command_line_starts_shows_fetches_and_ends_queries(cairn, tmp_path):
    auditor = cairn.token("auditor", [MINE])
    begun = cairn.cli("sql", "--detach", IDS, token=auditor)
    id_ = begun.out.strip()
    assert len(id_) == 32 and f"cairn job results {id_} --wait" in begun.err
    expected = [f"e-{n:04}" for n in range(0, 400, 2)]
    waited = cairn.cli("job", "results", id_, "--wait", "--format", "csv", token=auditor).out.splitlines()
    assert waited == ["event_id", *expected]
    page = cairn.cli("job", "results", id_, "--offset", 150, "--limit", 20, "--format", "ndjson", token=auditor).out
    assert [json.loads(line)["event_id"] for line in page.splitlines()] == expected[150:170]
    table = cairn.cli("job", "results", id_, "--limit", 3, token=auditor)
    assert "e-0004" in table.out and "e-0006" not in table.out and "3 rows" in table.err
    file = tmp_path / "rows.parquet"
    cairn.cli("job", "results", id_, "--out", file, token=auditor)
    assert pyarrow.parquet.read_table(file).column("event_id").to_pylist() == expected
    # What there is of it.
    shown = cairn.cli("job", "show", id_, token=auditor).out
    assert re.search(r"^state +done$", shown, re.M) and re.search(r"^rows +200$", shown, re.M), shown
    assert cairn.cli_json("job", "show", id_, token=auditor)["state"] == "done"
    listed = cairn.cli("job", "list", token=auditor).out
    assert id_ in listed and "done" in listed
    assert [q["id"] for q in cairn.cli_json("job", "list", token=auditor)["queries"]] == [id_]
    # To nobody else.
    assert cairn.cli_json("job", "list")["queries"] == []
    for command in (["show", id_], ["results", id_], ["cancel", id_]):
        assert "there is no query" in cairn.cli("job", *command, codes=(1,)).err
    # And away with it.
    assert "removed" in cairn.cli("job", "cancel", id_, token=auditor).err
    assert cairn.cli_json("job", "list", token=auditor)["queries"] == []


def test_the_command_line_tells_what_went_wrong(cairn, tmp_path):
    refused = cairn.cli("sql", "--detach", "SELECT event_name,\n  nothing FROM history", codes=(1,))
    assert refused.out == "" and "2 |   nothing FROM history\n" in refused.err and "    ^" in refused.err, refused.err
    begun = cairn.cli_json("sql", "--detach", "-", stdin="SELECT 1 / (log_offset - log_offset) FROM history")
    assert begun["state"] == "running"
    failed = cairn.cli("job", "results", begun["id"], "--wait", codes=(1,))
    assert failed.out == "" and "is failed: division by zero" in failed.err and "hint: " in failed.err, failed.err
    assert re.search(r"^error +division by zero$", cairn.cli("job", "show", begun["id"]).out, re.M)
    file = tmp_path / "rows.csv"
    gone = cairn.cli("job", "results", begun["id"], "--out", file, codes=(1,))
    assert "the query has no results: it is failed" in gone.err and not file.exists()
    running = cairn.cli("sql", "--detach", SLOW).out.strip()
    assert "it is running" in cairn.cli("job", "results", running, codes=(1,)).err
    assert "is ended" in cairn.cli("job", "cancel", running).err
    assert ended(cairn, running)["state"] == "canceled"
    # Where nobody waits there is no form and no file to write.
    cairn.cli("sql", "--detach", "--format", "csv", "SELECT 1", codes=(2,))
    cairn.cli("sql", "--json", "SELECT 1", codes=(2,))
