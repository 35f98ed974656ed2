"""SQL as auditors meet it: forms of answers, errors that help, freshness, limits."""

import csv
import io
import json
import os
import threading

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
import requests

from cairn import ROOT, SENT, Cairn, action, event

FORMS = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}

# Values that a careless printer spoils.
HOSTILE = [
    'plain', 'comma, inside', 'quote " inside', "line\nbreak", "carriage\r\nreturn", "=HYPERLINK(\"http://x\")",
    "\t=cmd", "-1+1", "+1", "@x", "ünïcödé 中文 🔒", "", " leading and trailing ", "null", "NULL", "\\N", "a\\b",
]


@pytest.fixture(scope="module")
def hostile(shared):
    shared.post([event(f"hostile-{n:02d}", userAgent=text) for n, text in enumerate(HOSTILE)])
    return shared


QUERY = ("SELECT event_id, user_agent, mfa, log_partition, late, error_code FROM history "
         "WHERE event_id LIKE 'hostile-%' ORDER BY event_id")


def rows_of(form, content):
    """Rows of an answer as lists."""
    if form == "json":
        return json.loads(content)["rows"]
    if form == "ndjson":
        columns = ["event_id", "user_agent", "mfa", "log_partition", "late", "error_code"]
        # A null field may be left out of its line.
        return [[json.loads(line).get(c) for c in columns] for line in content.decode().split("\n") if line]
    if form == "parquet":
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    else:
        table = pyarrow.ipc.open_stream(content).read_all()
    return [list(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("form", ["json", "ndjson", "arrow", "parquet"])
def test_every_form_gives_the_same_rows(hostile, form):
    answer = hostile.ask(QUERY, accept=FORMS[form], check=200)
    assert answer.headers["Content-Type"].split(";")[0] == FORMS[form]
    rows = rows_of(form, answer.content)
    assert [row[0] for row in rows] == [f"hostile-{n:02d}" for n in range(len(HOSTILE))]
    assert [row[1] or "" for row in rows] == HOSTILE
    assert all(row[2] is None and row[3] == 0 and row[4] in (True, False) and row[5] is None for row in rows)


def test_csv_is_rfc_4180(hostile):
    answer = hostile.ask(QUERY, accept="text/csv", check=200)
    assert answer.headers["Content-Type"].split(";")[0] == "text/csv"
    header, *rows = csv.reader(io.StringIO(answer.content.decode(), newline=""))
    assert header == ["event_id", "user_agent", "mfa", "log_partition", "late", "error_code"]
    assert all(len(row) == 6 for row in rows)
    for row, text in zip(rows, HOSTILE, strict=True):
        # What a spreadsheet would run may be disarmed by a leading quote mark.
        assert row[1] in (text, "'" + text)


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet", "table"])
def test_the_command_line_prints_every_form(hostile, tmp_path, form):
    printed = hostile.cli("sql", "--format", form, QUERY).stdout if form != "parquet" else None
    out = tmp_path / f"answer.{form}"
    hostile.cli("sql", "--format", form, "--out", out, QUERY)
    content = out.read_bytes()
    assert b"hostile-00" in content
    if form in ("csv", "table", "ndjson"):
        assert printed.rstrip() == content.rstrip()
    if form == "json":
        assert json.loads(printed)["rows"] == json.loads(content)["rows"]
    if form in ("json", "ndjson", "parquet"):
        assert [row[1] or "" for row in rows_of(form, content)] == HOSTILE


def test_an_answer_without_rows_has_its_columns(shared):
    query = "SELECT event_id, log_offset FROM history WHERE false"
    answer = shared.ask(query, check=200).json()
    assert [c["name"] for c in answer["columns"]] == ["event_id", "log_offset"]
    assert answer["rows"] == [] and answer["row_count"] == 0
    assert shared.ask(query, accept="text/csv", check=200).text.split() == ["event_id,log_offset"]
    assert shared.ask(query, accept="application/x-ndjson", check=200).content == b""
    for form in ("arrow", "parquet"):
        content = shared.ask(query, accept=FORMS[form], check=200).content
        table = (pyarrow.parquet.read_table(io.BytesIO(content)) if form == "parquet"
                 else pyarrow.ipc.open_stream(content).read_all())
        assert table.column_names == ["event_id", "log_offset"] and table.num_rows == 0


def test_an_unknown_form_is_refused(shared):
    answer = shared.ask("SELECT 1", accept="image/png")
    assert answer.status_code in (200, 406)
    if answer.status_code == 200:
        assert answer.headers["Content-Type"].startswith("application/json")


# -- finding one's way ---------------------------------------------------------

def test_describe_shows_the_documented_columns(shared):
    rows = shared.sql("DESCRIBE history")
    names = [row["column_name"] for row in rows]
    page = (ROOT / "docs/columns.md").read_text()
    documented = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert names == documented and len(names) > 40
    assert shared.sql("DESCRIBE events") == rows


def test_show_tables_lists_what_there_is(cairn):
    cairn.trail("my_trail")
    text = cairn.ask("SHOW TABLES", check=200).text
    for name in ("history", "events", "quarantine", "my_trail", "trails", "accounts", "commits", "queries"):
        assert name in text


def test_events_is_history(shared):
    shared.post(event("alias"))
    assert shared.column("SELECT event_id FROM events WHERE event_id = 'alias'") == ["alias"]


@pytest.mark.parametrize("table", ["trails", "accounts", "commits", "queries", "quarantine"])
def test_system_tables_can_be_asked(shared, table):
    shared.post(event("system"))
    shared.flush()
    answer = shared.ask(f"SELECT * FROM {table}", check=200).json()
    assert answer["columns"]
    if table in ("accounts", "commits", "queries"):
        assert answer["rows"], f"{table} is empty"


def test_json_can_be_reached(shared):
    shared.post(action("json", requestParameters={"a.b": "dots", "list": [{"x": 1}, {"x": 2}], "n": 5, "t": True}))
    [row] = shared.sql("""
        SELECT request_parameters ->> 'a.b' AS dots,
               json_get_int(request_parameters, 'list', 1, 'x') AS second,
               json_get_int(request_parameters, 'n') AS n,
               json_get_bool(request_parameters, 't') AS t,
               json_contains(request_parameters, 'nothing') AS nothing,
               json_length(request_parameters, 'list') AS length
        FROM history WHERE event_id = 'json'""")
    assert row == {"dots": "dots", "second": 2, "n": 5, "t": True, "nothing": False, "length": 2}


def test_questions_of_all_kinds(shared):
    """What auditors write: grouping, windows, joins, unions, common tables, dates."""
    shared.post([event(f"kind-{n}", eventTime=f"2026-02-0{n + 1}T10:00:00Z", readOnly=n % 2 == 0,
                       sourceIPAddress=f"10.0.0.{n % 2}") for n in range(6)])
    base = "FROM history WHERE event_id LIKE 'kind-%'"
    assert shared.one(f"SELECT count(DISTINCT source_ip) {base}") == 2
    assert shared.column(f"SELECT event_id {base} ORDER BY event_time DESC LIMIT 2") == ["kind-5", "kind-4"]
    assert shared.column(f"SELECT event_id {base} AND event_time >= '2026-02-03' AND event_time < '2026-02-05' ORDER BY 1") == [
        "kind-2", "kind-3"]
    assert shared.column(f"SELECT event_id {base} AND event_time > timestamp '2026-02-05T00:00:00Z' ORDER BY 1") == [
        "kind-4", "kind-5"]
    assert shared.column(f"SELECT r FROM (SELECT row_number() OVER (PARTITION BY source_ip ORDER BY event_time) AS r {base}) x "
                         "ORDER BY r") == [1, 1, 2, 2, 3, 3]
    assert shared.one(f"WITH w AS (SELECT * {base} AND event_rw = 'Write') SELECT count(*) FROM w") == 3
    assert shared.one(f"SELECT count(*) FROM (SELECT event_id {base} UNION ALL SELECT event_id {base}) x") == 12
    assert shared.one("SELECT count(*) FROM history a JOIN history b ON a.event_id = b.event_id "
                      "WHERE a.event_id LIKE 'kind-%'") == 6
    assert shared.one(f"SELECT date_trunc('month', max(event_time)) = timestamp '2026-02-01T00:00:00Z' {base}") is True
    # The newest first, over files and over rows that are in no file yet.
    shared.flush()
    shared.post(event("kind-6", eventTime="2026-02-04T12:00:00Z"))
    assert shared.column(f"SELECT event_id {base} ORDER BY event_time DESC LIMIT 4") == [
        "kind-5", "kind-4", "kind-6", "kind-3"]


# -- freshness -------------------------------------------------------------------

def test_what_was_acknowledged_is_in_the_next_answer(shared):
    for number in range(30):
        shared.post(event(f"fresh-{number}"))
        assert shared.one("SELECT count(*) FROM history WHERE event_id LIKE 'fresh-%'") == number + 1


def test_it_is_in_a_trails_next_answer_too(cairn):
    cairn.trail("writes", "--rw", "Write")
    for number in range(15):
        cairn.post(event(f"fresh-{number}", readOnly=False))
        assert cairn.one(f"SELECT count(*) FROM trails.writes WHERE {SENT}") == number + 1


def test_counts_only_grow_while_commits_go_on(cairn):
    """Each answer is one moment: no row twice and none missing while rows move from memory into files."""
    ended = threading.Event()
    sent = []

    def send():
        number = 0
        while not ended.is_set():
            cairn_events = [event(f"g-{number}-{n}") for n in range(20)]
            cairn.post(cairn_events, receipts="refused")
            sent.append(20)
            number += 1
    thread = threading.Thread(target=send)
    thread.start()
    try:
        last = 0
        for turn in range(40):
            before = sum(sent)
            [row] = cairn_sql(cairn, f"SELECT count(*) AS n, count(DISTINCT event_id) AS d FROM history WHERE {SENT}")
            assert row["n"] == row["d"] and row["n"] >= max(last, before) and row["n"] % 20 == 0, row
            last = row["n"]
            if turn % 10 == 5:
                cairn.flush()
    finally:
        ended.set()
        thread.join(timeout=60)
    assert last > 0


def cairn_sql(cairn, query):
    """A question over a connection of its own: sessions are not for two threads."""
    answer = requests.post(cairn.url + "/v1/sql", json={"query": query}, timeout=120,
                           headers={"Authorization": "Bearer " + cairn.admin}).json()
    return [dict(zip([c["name"] for c in answer["columns"]], row)) for row in answer["rows"]]


# -- errors ----------------------------------------------------------------------

@pytest.mark.parametrize("query, word", [
    ("SELECT no_such_column FROM history", "no_such_column"),
    ("SELECT event_nam FROM history", "event_name"),
    ("SELECT * FROM histroy", "history"),
    ("SELECT * FROM trails.nope", "nope"),
    ("SELECT no_such_function(1)", "no_such_function"),
    ("SELEC 1", "SELEC"),
    ("SELECT count(* FROM history", ""),
    ("SELECT 'unterminated", ""),
    ("SELECT * FROM history WHERE event_time > 'not a time'", ""),
])
def test_errors_say_what_and_help(shared, query, word):
    answer = shared.ask(query, check=400).json()["error"]
    assert answer["code"] == "invalid_query"
    assert word in answer["message"] + str(answer.get("hint")), answer
    assert str(shared.data) not in json.dumps(answer)
    assert "DataFusion error" not in answer["message"] and "Arrow error" not in answer["message"]


def test_a_syntax_error_says_where(shared):
    error = shared.ask("SELECT event_id\nFROM history\nWHERE AND true", check=400).json()["error"]
    assert error["line"] == 3 and 1 <= error["column"] <= 15


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'"SELECT 1"', b'{"query": 5}', b"{}", b'{"query": null}', b'{"query": "SELECT 1", "x": 1}'])
def test_a_body_that_is_no_question(shared, body):
    answer = shared.http("POST", "/v1/sql", data=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500 and answer.json()["error"]["message"]


def test_a_question_needs_no_content_type(shared):
    """As `curl -d` sends it."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", None):
        answer = shared.http("POST", "/v1/sql", data=b'{"query": "SELECT 1 AS x"}', headers={"Content-Type": kind}, check=200)
        assert answer.json()["rows"] == [[1]]


def test_other_paths_and_methods(shared):
    assert shared.http("GET", "/v1/nothing").status_code == 404
    assert shared.http("GET", "/v1/nothing").json()["error"]["code"] == "not_found"
    assert shared.http("GET", "/v1/sql").status_code == 405
    assert shared.http("DELETE", "/v1/events").status_code == 405


# -- one statement, read-only, within limits ----------------------------------------

@pytest.mark.parametrize("query", [
    "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE history", "DROP TABLE history", "DELETE FROM history",
    "INSERT INTO history SELECT * FROM history", "UPDATE history SET region = 'x'", "CREATE TABLE x (a int)",
    "CREATE VIEW x AS SELECT 1", "COPY (SELECT 1) TO '/tmp/cairn-copied.csv'", "SET datafusion.execution.batch_size = 1",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "SELECT * FROM '/etc/passwd'"])
def test_only_one_question_and_nothing_else(shared, query):
    before = shared.one(f"SELECT count(*) FROM history WHERE {SENT}")
    answer = shared.ask(query)
    assert answer.status_code in (400, 403), answer.text
    assert answer.json()["error"]["code"] in ("invalid_query", "forbidden_statement")
    assert shared.one(f"SELECT count(*) FROM history WHERE {SENT}") == before
    assert not os.path.exists("/tmp/cairn-copied.csv")


def test_a_trailing_semicolon_is_no_second_statement(shared):
    assert shared.one("SELECT 1 AS x ;") == 1


@pytest.fixture(scope="module")
def limited(folders):
    """A server whose questions may take little memory."""
    with Cairn(folders("limited"), arguments=["--query-timeout", "100s", "--query-memory", "256MiB"]) as server:
        server.post([event(f"x-{n}", userAgent="y" * 500) for n in range(200)], receipts="refused")
        yield server
        server.stop()


@pytest.mark.parametrize("query", [
    "SELECT count(*) FROM history a, history b, history c, history d, history e, history f",
    "SELECT a.event_id FROM history a CROSS JOIN history b CROSS JOIN history c CROSS JOIN history d ORDER BY a.raw || b.raw || c.raw || d.raw",
    "SELECT repeat(raw, 2000000000) FROM history",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "SELECT count(*) FROM generate_series(1, 100000000000)",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + " + ".join(["1"] * 50_000),
    "SELECT count(*) FROM history WHERE event_id IN (" + ",".join(f"'{n}'" for n in range(200_000)) + ")",
    "SELECT " + "NOT " * 20_000 + "true",
], ids=["cross", "sort", "repeat", "recursive", "series", "parentheses", "sum", "in", "not"])
def test_what_would_take_for_ever_is_cut_off_and_others_are_served(limited, query):
    """The greedy question ends with an error, or with its answer; meanwhile others get theirs."""
    cairn = limited
    outcome = []
    before = cairn.one(f"SELECT count(*) FROM history WHERE {SENT}")

    def greedy():
        try:
            outcome.append(requests.post(cairn.url + "/v1/sql", json={"query": query, "timeout_ms": 5000}, timeout=240,
                                         headers={"Authorization": "Bearer " + cairn.admin}))
        except requests.exceptions.ChunkedEncodingError as broken_off:
            outcome.append(broken_off)
    thread = threading.Thread(target=greedy)
    thread.start()
    for number in range(5):
        assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == before + number
        cairn.post(event(f"meanwhile-{before}-{number}"))
    thread.join(timeout=260)
    assert outcome, "the greedy question never ended"
    if hasattr(outcome[0], "status_code"):
        assert outcome[0].status_code in (200, 400, 408, 413, 422, 429, 503), outcome[0].text[:500]
    assert cairn.http("GET", "/healthz", token=False).status_code == 200
    peak = next(int(line.split()[1]) for line in open(f"/proc/{cairn.process.pid}/status") if line.startswith("VmHWM"))
    assert peak < 1_500_000, f"{peak} kB of memory"


def test_a_large_answer_streams_whole(cairn):
    made = [event(f"big-{n:05d}", userAgent="z" * 200) for n in range(3000)]
    for start in range(0, 3000, 500):
        cairn.post(made[start:start + 500], receipts="refused")
    query = f"SELECT a.event_id, a.raw FROM history a WHERE {SENT} ORDER BY a.event_id"
    lines = cairn.ask(query, accept="application/x-ndjson", check=200).content.splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == [e["eventID"] for e in made]
    content = cairn.ask(query, accept="application/vnd.apache.parquet", check=200).content
    assert pyarrow.parquet.read_table(io.BytesIO(content)).num_rows == 3000
