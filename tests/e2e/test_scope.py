"""Who may see what. An auditor of two accounts sees those two, by every door and with every trick.

The judge is a second server on which the third account's events were never
sent: whatever the auditor asks, both have to answer alike, errors too.
"""

import csv
import io
import json

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from cairn import ABSENT, Cairn, event

ONE, TWO, HIDDEN = "111111111111", "222222222222", "333333333333"

# What stands in the hidden account's events and nowhere else.
MARKERS = [HIDDEN, "mallory-hidden", "HiddenEvent", "203.0.113.77", "AKIAHIDDEN", "hidden-region-1",
           "HiddenError", "hidden-bucket", "zqh-"]


def visible_events():
    """Events of two accounts: some failed, some without a name."""
    made = []
    for account in (ONE, TWO):
        for n in range(12):
            made.append(event(
                f"v-{account[:1]}-{n}", account=account, eventName=["GetObject", "PutObject", "CreateUser"][n % 3],
                readOnly=n % 3 == 0, errorCode="AccessDenied" if n % 4 == 0 else None,
                awsRegion=["eu-west-1", "us-east-1"][n % 2], eventTime=f"2026-01-02T03:04:{n:02d}Z"))
    return made


def hidden_events():
    """Events of the third account, whose every value is its own; older and newer than all others."""
    return [event(
        f"zqh-{n:03d}", account=HIDDEN, eventName="HiddenEvent", readOnly=False, errorCode="HiddenError",
        errorMessage="HiddenError", awsRegion="hidden-region-1", sourceIPAddress="203.0.113.77",
        eventTime=f"{2025 + n % 3}-06-02T03:04:05Z", requestParameters={"bucketName": "hidden-bucket"},
        userIdentity={"type": "IAMUser", "userName": "mallory-hidden", "accountId": HIDDEN,
                      "accessKeyId": "AKIAHIDDEN", "principalId": "mallory-hidden"}) for n in range(30)]


def fill(server, hidden):
    """The same server twice, but for the hidden account's events."""
    for name in (ONE, TWO, HIDDEN):
        server.http("POST", "/v1/accounts", json={"id": name}, check=201)
    server.trail("everything")
    server.trail("writes", "--rw", "Write")
    if hidden:
        server.post(hidden_events()[:15], receipts="refused")
    server.post(visible_events(), receipts="refused")
    server.flush()
    if hidden:
        server.post(hidden_events()[15:], receipts="refused")
    # Rows that are in no file yet are as private as those that are.
    server.post([event("v-fresh", account=TWO)], receipts="refused")
    server.auditor = server.token("auditor", [ONE, TWO])
    return server


@pytest.fixture(scope="module")
def whole(folders):
    """Three accounts' events."""
    with Cairn(folders("whole")) as server:
        fill(server, hidden=True)
        server.trail("hidden_only", "--accounts", HIDDEN, "--backfill")
        for account, text in ((ONE, "broken-of-one"), (HIDDEN, "broken mallory-hidden")):
            server.post(json.dumps(event("ok-" + account, account=account)) + "\n{" + text,
                        token=server.token("sender", [account]))
        server.ask("SELECT 'asked-by-admin mallory-hidden' AS x", check=200)
        yield server
        server.stop()


@pytest.fixture(scope="module")
def judge(folders):
    """Two accounts' events, and nothing else."""
    with Cairn(folders("judge")) as server:
        fill(server, hidden=False)
        server.post([event("ok-" + ONE, account=ONE)])
        yield server
        server.stop()


ATTACKS = [
    # Plain questions: equal only if nothing of the third account counts.
    "SELECT count(*) AS n FROM history",
    "SELECT count(*) AS n FROM events",
    "SELECT min(event_time) AS a, max(event_time) AS b, count(*) AS n FROM history",
    "SELECT min(account_id) AS a, max(account_id) AS b FROM history",
    "SELECT max(event_time) AS m FROM history",
    "SELECT account_id, count(*) AS n FROM history GROUP BY account_id ORDER BY account_id",
    "SELECT DISTINCT region FROM history ORDER BY 1",
    "SELECT event_id FROM history ORDER BY event_time DESC, event_id LIMIT 5",
    "SELECT event_id FROM history ORDER BY event_time ASC, event_id LIMIT 5",
    "SELECT approx_distinct(account_id) AS n FROM history",
    "SELECT count(DISTINCT user_name) AS n FROM history",
    "SELECT array_agg(DISTINCT account_id ORDER BY account_id) AS a FROM history",
    "SELECT count(*) AS n FROM trails.everything",
    "SELECT account_id, count(*) AS n FROM trails.writes GROUP BY 1 ORDER BY 1",
    "SELECT count(*) AS n FROM history LIMIT 1 OFFSET 0",
    # Asking for the hidden account outright.
    f"SELECT event_id FROM history WHERE account_id = '{HIDDEN}'",
    f"SELECT event_id FROM history WHERE account_id <> '{ONE}' AND account_id <> '{TWO}'",
    f"SELECT event_id FROM history WHERE account_id = '{HIDDEN}' OR true ORDER BY 1 LIMIT 3",
    f"SELECT event_id FROM history WHERE NOT (account_id IN ('{ONE}', '{TWO}'))",
    "SELECT event_id FROM history WHERE access_key_id = 'AKIAHIDDEN'",
    "SELECT event_id FROM history WHERE event_id = 'zqh-003'",
    "SELECT count(*) AS n FROM history WHERE raw LIKE '%hidden%'",
    # Constructions that plan differently.
    "WITH a AS (SELECT * FROM history) SELECT count(*) AS n FROM a",
    "SELECT n FROM (SELECT count(*) AS n FROM (SELECT * FROM history) x) y",
    "SELECT event_id FROM history UNION SELECT event_id FROM trails.everything ORDER BY 1",
    "SELECT event_id FROM trails.everything EXCEPT SELECT event_id FROM history",
    "SELECT event_id FROM history INTERSECT SELECT event_id FROM trails.writes ORDER BY 1",
    "SELECT count(*) AS n FROM history h WHERE EXISTS (SELECT 1 FROM history i WHERE i.account_id <> h.account_id)",
    "SELECT count(*) AS n FROM history a JOIN history b ON a.user_name = b.user_name AND a.event_id < b.event_id",
    "SELECT count(*) AS n FROM history a LEFT JOIN trails.everything b USING (event_id) WHERE b.event_id IS NULL",
    "SELECT count(*) AS n FROM history a FULL JOIN trails.writes b ON a.event_id = b.event_id",
    "SELECT event_id, row_number() OVER (ORDER BY event_time, event_id) AS r FROM history ORDER BY r LIMIT 3",
    "SELECT event_id, lag(account_id) OVER (ORDER BY event_time, event_id) AS p FROM history ORDER BY event_time, event_id LIMIT 9",
    "SELECT (SELECT max(event_time) FROM history) AS m, (SELECT count(*) FROM history) AS n",
    "SELECT h.event_id FROM history h, LATERAL (SELECT max(account_id) AS m FROM history) x WHERE h.account_id = x.m ORDER BY 1",
    'SELECT count(*) AS n FROM "history"',
    'SELECT count(*) AS n FROM "HISTORY"',
    "SELECT count(*) AS n FROM HISTORY",
    "SELECT GROUPING(account_id) AS g, account_id, count(*) AS n FROM history GROUP BY ROLLUP (account_id) ORDER BY 1, 2",
    "SELECT account_id, count(*) AS n FROM history GROUP BY account_id HAVING count(*) > 20 ORDER BY 1",
    "SELECT f FROM (SELECT unnest(flags) AS f FROM history) x ORDER BY 1",
    # Oracles: what fails, and where, would tell of rows that may not be seen.
    f"SELECT count(*) AS n FROM history WHERE CASE WHEN account_id = '{HIDDEN}' THEN 1/0 ELSE 1 END = 1",
    "SELECT count(*) AS n FROM history WHERE CASE WHEN user_name = 'mallory-hidden' THEN CAST('x' AS INT) ELSE 1 END = 1",
    f"SELECT count(*) AS n FROM history WHERE 1 / (CAST(account_id AS BIGINT) - {HIDDEN}) <= 1",
    "SELECT count(*) AS n FROM history WHERE CAST(replace(event_id, 'v-', '') AS INT) = 1",
    "SELECT sum(CASE WHEN event_name LIKE 'Hidden%' THEN 1/0 ELSE 0 END) AS n FROM history",
    f"SELECT CASE WHEN (SELECT count(*) FROM history WHERE account_id = '{HIDDEN}') > 0 THEN 1/0 ELSE 1 END AS n",
    "SELECT count(*) AS n FROM history WHERE regexp_like(raw, '(a+)+hidden')",
    "SELECT json_get_str(request_parameters, 'bucketName') AS b, count(*) AS n FROM history GROUP BY 1 ORDER BY 1",
    "SELECT count(*) AS n FROM history WHERE json_get_str(raw, 'recipientAccountId') = '333333333333'",
    "SELECT arrow_typeof(account_id) AS t FROM history LIMIT 1",
    # Doors beside the tables.
    "SELECT * FROM information_schema.df_settings",
    "SHOW ALL",
    "SHOW datafusion.catalog.location",
    "SET datafusion.catalog.location = '/'",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM 's3://other/bucket'",
    "SELECT * FROM read_parquet('/tmp/x.parquet')",
    "SELECT * FROM generate_series(1, 10)",
    "SELECT * FROM datafusion.public.history_all",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM tables.history",
    "SELECT * FROM store.tables.history",
    "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'file:///'",
    "CREATE TABLE x AS SELECT * FROM history",
    "CREATE VIEW x AS SELECT * FROM history",
    "CREATE FUNCTION f(int) RETURNS int RETURN $1",
    "DROP TABLE history",
    "INSERT INTO history SELECT * FROM history",
    "DELETE FROM history",
    "UPDATE history SET account_id = '1'",
    "TRUNCATE TABLE history",
    "COPY history TO '/tmp/stolen.csv'",
    "COPY (SELECT * FROM history) TO 'file:///tmp/stolen.parquet'",
    "PREPARE p AS SELECT * FROM history",
    "EXECUTE p",
    "BEGIN",
    "SELECT 1; SELECT * FROM history",
    "SELECT 1; DROP TABLE history",
    "",
    ";",
    "-- nothing",
]


def told(answer):
    """What an answer tells: its rows, or the kind of its error.

    Which of several faulty rows is met first is chance, so the message is not
    compared; that it names nothing hidden is checked apart.
    """
    body = answer.json()
    if answer.status_code != 200:
        return answer.status_code, body["error"]["code"]
    return answer.status_code, body["columns"], body["rows"]


@pytest.mark.parametrize("query", ATTACKS)
def test_the_answer_is_that_of_a_server_without_the_others(whole, judge, query):
    answer = whole.ask(query, token=whole.auditor)
    assert told(answer) == told(judge.ask(query, token=judge.auditor))
    assert answer.status_code in (200, 400, 403), answer.text
    for marker in MARKERS:
        if marker not in query:
            assert marker not in answer.text


WRITING = ["CREATE", "DROP", "INSERT", "DELETE", "UPDATE", "TRUNCATE", "COPY", "PREPARE", "EXECUTE", "BEGIN", "SET "]


@pytest.mark.parametrize("query", [q for q in ATTACKS if q.startswith(tuple(WRITING)) or "'/etc" in q or "file:" in q])
def test_what_is_no_question_is_refused_to_administrators_too(whole, query):
    answer = whole.ask(query)
    assert answer.status_code in (400, 403), answer.text
    assert answer.json()["error"]["code"] in ("invalid_query", "forbidden_statement"), answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("query", [
    "EXPLAIN SELECT count(*) FROM history",
    "EXPLAIN SELECT * FROM history WHERE user_name = 'alice' ORDER BY event_time DESC LIMIT 3",
    "EXPLAIN SELECT * FROM trails.everything",
    "EXPLAIN VERBOSE SELECT * FROM history",
    "EXPLAIN ANALYZE SELECT * FROM history",
    "EXPLAIN ANALYZE VERBOSE SELECT max(event_time) FROM history",
    "EXPLAIN FORMAT TREE SELECT * FROM history",
])
def test_plans_tell_nothing_of_others(whole, query):
    answer = whole.ask(query, token=whole.auditor)
    assert answer.status_code in (200, 400, 403), answer.text
    for word in [*MARKERS, str(whole.data), ".parquet", "Exact(", "file://"]:
        assert word not in answer.text, f"the plan says {word}"


def test_a_plan_can_be_had(whole):
    answer = whole.ask("EXPLAIN SELECT count(*) FROM history", token=whole.auditor, check=200)
    assert "history" in answer.text


def accounts_in(answer, accept):
    """The distinct accounts in an answer of any form."""
    if accept == "text/csv":
        return {row["account_id"] for row in csv.DictReader(io.StringIO(answer.text))}
    if accept == "application/x-ndjson":
        return {json.loads(line)["account_id"] for line in answer.text.splitlines()}
    if accept == "application/json":
        return {row[0] for row in answer.json()["rows"]}
    if accept.endswith("parquet"):
        return set(pyarrow.parquet.read_table(io.BytesIO(answer.content))["account_id"].to_pylist())
    return set(pyarrow.ipc.open_stream(answer.content).read_all()["account_id"].to_pylist())


@pytest.mark.parametrize("accept", [
    "application/json", "application/x-ndjson", "text/csv",
    "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"])
@pytest.mark.parametrize("table", ["history", "events", "trails.everything", "trails.writes"])
def test_every_form_and_table(whole, accept, table):
    answer = whole.ask(f"SELECT account_id, raw FROM {table}", token=whole.auditor, accept=accept, check=200)
    assert accounts_in(answer, accept) == {ONE, TWO}
    for marker in MARKERS:
        assert marker.encode() not in answer.content
    # And the administrator sees what the auditor did not.
    answer = whole.ask(f"SELECT account_id, raw FROM {table}", accept=accept, check=200)
    assert HIDDEN in accounts_in(answer, accept)


def test_a_trail_of_hidden_accounts_shows_no_row(whole):
    answer = whole.ask("SELECT * FROM trails.hidden_only", token=whole.auditor)
    if answer.status_code == 200:
        assert answer.json()["rows"] == []
    assert "mallory" not in answer.text
    assert whole.one("SELECT count(*) FROM trails.hidden_only") == 31


@pytest.mark.parametrize("table", ["accounts", "trails", "commits", "queries", "quarantine"])
def test_system_tables(whole, table):
    """Asked with a new token, for a person's own questions may be shown to them."""
    token = whole.token("auditor", [ONE, TWO])
    answer = whole.ask(f"SELECT * FROM {table}", token=token, check=200)
    for marker in [*MARKERS, "asked-by-admin"]:
        assert marker not in answer.text


def test_accounts_are_the_auditors_own(whole):
    token = whole.token("auditor", [ONE, TWO])
    names = [c["name"] for c in whole.ask("SELECT * FROM accounts", token=token, check=200).json()["columns"]]
    column = "id" if "id" in names else "account_id"
    assert set(whole.column(f"SELECT {column} FROM accounts", token=token)) == {ONE, TWO}
    assert HIDDEN in whole.column(f"SELECT {column} FROM accounts")


def test_quarantine_is_scoped(whole):
    rows = whole.sql("SELECT account_id, raw_base64 FROM quarantine", token=whole.auditor)
    assert {row["account_id"] for row in rows} == {ONE}
    assert {HIDDEN, ONE} <= set(whole.column("SELECT account_id FROM quarantine"))


@pytest.mark.parametrize("path", [
    "/v1/status", "/v1/trails", "/v1/trails/everything", "/v1/trails/hidden_only", "/v1/whoami",
    "/v1/trails/everything/explain?event_id=zqh-003", "/v1/trails/hidden_only/explain?event_id=zqh-003",
    "/v1/accounts", "/v1/tokens", "/v1/organization"])
def test_other_calls_tell_nothing_of_others(whole, path):
    answer = whole.http("GET", path, token=whole.auditor)
    assert answer.status_code in (200, 403, 404), answer.text
    for marker in MARKERS:
        if marker not in path:
            assert marker not in answer.text


def test_explaining_a_hidden_event_is_like_one_that_never_was(whole):
    path = "/v1/trails/everything/explain"
    hidden = whole.http("GET", path, params={"event_id": "zqh-003"}, token=whole.auditor)
    never = whole.http("GET", path, params={"event_id": "zzz-003"}, token=whole.auditor)
    assert hidden.status_code == never.status_code == 404
    assert hidden.text.replace("zqh-003", "zzz-003") == never.text
    whole.http("GET", path, params={"event_id": "zqh-003"}, check=200)


def test_metrics_and_health_name_no_account(whole):
    for path in ("/metrics", "/healthz", "/readyz"):
        answer = whole.http("GET", path, token=False, check=200)
        for word in [*MARKERS, ONE, TWO, "alice", whole.admin, whole.auditor]:
            assert word not in answer.text


# -- roles --------------------------------------------------------------------

CHANGES = [
    ("POST", "/v1/trails", {"name": "mine"}),
    ("PATCH", "/v1/trails/writes", {"read_write": "All"}),
    ("POST", "/v1/trails/writes/stop", {}),
    ("POST", "/v1/trails/writes/start", {}),
    ("DELETE", "/v1/trails/writes", None),
    ("POST", "/v1/accounts", {"id": "444444444444"}),
    ("DELETE", f"/v1/accounts/{ONE}", None),
    ("GET", "/v1/tokens", None),
    ("POST", "/v1/tokens", {"role": "admin", "accounts": "all"}),
    ("PUT", "/v1/organization", {"name": "mine"}),
    ("POST", "/v1/quarantine/resubmit", {}),
]
READS = [
    ("POST", "/v1/sql", {"query": "SELECT 1"}),
    ("GET", "/v1/trails", None),
    ("GET", "/v1/trails/writes", None),
    ("GET", "/v1/trails/writes/explain?event_id=v-1-1", None),
    ("GET", "/v1/status", None),
]


@pytest.mark.parametrize("method, path, body", CHANGES, ids=lambda v: str(v))
def test_an_auditor_changes_nothing(whole, method, path, body):
    answer = whole.http(method, path, token=whole.auditor, json=body)
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "forbidden", answer.text


def test_an_auditor_sends_nothing(whole):
    answer = whole.http("POST", "/v1/events", token=whole.auditor, json=event("sneaked"), check=403)
    assert answer.json()["error"]["code"] == "forbidden"
    assert whole.one("SELECT count(*) FROM history WHERE event_id = 'sneaked'") == 0


@pytest.mark.parametrize("method, path, body", CHANGES + READS, ids=lambda v: str(v))
def test_a_sender_reads_and_changes_nothing(whole, method, path, body):
    token = whole.token("sender", [ONE])
    answer = whole.http(method, path, token=token, json=body)
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "forbidden", answer.text
    assert "v-1-1" not in answer.text.replace(path, "")


def test_a_sender_writes_for_its_own_accounts_only(cairn):
    token = cairn.token("sender", [ONE])
    answer = cairn.post([event("own", account=ONE), event("foreign", account=HIDDEN)], token=token)
    assert [e["status"] for e in answer["events"]] == ["accepted", "refused"]
    assert answer["events"][1]["code"] == "account_mismatch"
    assert cairn.column("SELECT event_id FROM history WHERE event_id IN ('own', 'foreign')") == ["own"]
    answer = cairn.http("POST", "/v1/events", params={"account": HIDDEN}, token=token,
                        json=event("foreign2", recipientAccountId=ABSENT))
    assert answer.status_code == 403 or answer.json()["refused"] == 1, answer.text
    assert cairn.one("SELECT count(*) FROM history WHERE event_id = 'foreign2'") == 0


def test_a_sender_cannot_plant_cairns_own_events(whole):
    """Nobody but Cairn writes events of the service cairn."""
    token = whole.token("sender", "all")
    forged = event("forged", account="000000000000", eventSource="cairn", serviceName="cairn", dialect="cairn")
    whole.post(forged, token=token)
    rows = whole.sql("SELECT dialect FROM history WHERE event_id = 'forged'")
    assert all(row["dialect"] != "cairn" for row in rows)


def test_revoked_unknown_and_missing_tokens(whole):
    made = whole.http("POST", "/v1/tokens", check=201,
                      json={"role": "auditor", "accounts": [ONE], "name": "short-lived"}).json()
    assert whole.ask("SELECT 1", token=made["token"]).status_code == 200
    whole.http("DELETE", f"/v1/tokens/{made['id']}", check=204)
    texts = set()
    for token in (made["token"], "cairn_" + "0" * 60, "x", made["token"][:-1], made["token"] + "0"):
        answer = whole.ask("SELECT 1", token=token)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthenticated"
        texts.add(answer.text)
    assert len(texts) == 1, "the answers tell an unknown token from a revoked one"
    assert whole.ask("SELECT 1", token=False).status_code == 401
    for header in ("Basic YTpi", "Bearer", "Bearer ", "bearer", "Token " + whole.admin):
        answer = whole.http("POST", "/v1/sql", token=False, json={"query": "SELECT 1"},
                            headers={"Authorization": header})
        assert answer.status_code == 401, header


def test_a_revoked_token_stays_revoked(cairn):
    made = cairn.http("POST", "/v1/tokens", check=201, json={"role": "auditor", "accounts": "all"}).json()
    cairn.http("DELETE", f"/v1/tokens/{made['id']}", check=204)
    cairn.restart(hard=True)
    assert cairn.ask("SELECT 1", token=made["token"]).status_code == 401


def test_whoami(whole):
    told = whole.http("GET", "/v1/whoami", token=whole.auditor, check=200).json()
    assert told["role"] == "auditor" and sorted(told["accounts"]) == [ONE, TWO]
    assert whole.http("GET", "/v1/whoami", check=200).json()["accounts"] == "all"


def test_tokens_are_shown_once(whole):
    listed = whole.http("GET", "/v1/tokens", check=200).text
    assert whole.auditor not in listed and whole.admin not in listed
    assert "sha256" not in listed


def test_a_former_members_events_stay(cairn):
    cairn.post([event("a", account=ONE), event("b", account=TWO)])
    cairn.cli("account", "remove", ONE)
    assert ONE not in [a["id"] for a in cairn.http("GET", "/v1/accounts").json()["accounts"] if a["member"]]
    assert cairn.one(f"SELECT count(*) FROM history WHERE account_id = '{ONE}'") == 1
