"""The attacks of tests/attacks by the doors: what the engine's own tests ask in one process is asked here over the wire.

`CAIRN_TEST_ATTACKS=long` takes all of them; else some, chosen by `CAIRN_TEST_SEED`.
"""

import json
import queue
import threading

import psycopg
import pytest
import requests

from attacked import A, B, PATIENT, alone, chosen, fill, told, whole  # noqa: F401 - fixtures
from cairn import Cairn, action

pytestmark = PATIENT


@pytest.mark.parametrize("which", ["auditor", "masked"])
def test_http_tells_what_a_server_of_ones_own_would(whole, alone, which):
    wrong = []
    for kind, query in chosen():
        ordered = "order by" in query.lower()
        answers = [told(server.ask(query, token=getattr(server, which)), ordered) for server in (whole, alone)]
        if answers[0] != answers[1]:
            wrong.append(f"[{kind}] {query}\n  {answers[0]}\n  {answers[1]}")
    assert not wrong, "\n".join(wrong)


def test_the_two_servers_differ(whole, alone):
    """So that equal answers above mean something."""
    for query in ("SELECT count(*) FROM history WHERE dialect <> 'cairn'", "SELECT max(user_name) FROM history",
                  "SELECT count(*) FROM trails.everything"):
        assert told(whole.ask(query), True) != told(alone.ask(query), True), query


# -- withheld columns -----------------------------------------------------------

MASKED = ["source_ip", "user_name", "user_identity", "raw", "request_parameters", "principal_id", "principal_arn"]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv",
                                    "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"])
@pytest.mark.parametrize("table", ["history", "trails.everything", "trails.writes"])
def test_withheld_columns_are_in_no_form_and_no_table(whole, table, accept):
    answer = whole.ask(f"SELECT * FROM {table}", token=whole.masked, accept=accept, check=200)
    for marker in (b"10.0.0.", b"userName", b"secret", b"eventId", b"UserName"):
        assert marker not in answer.content, marker
    # And they are there for who may see them.
    answer = whole.ask(f"SELECT source_ip, raw FROM {table}", token=whole.auditor, accept="text/csv", check=200)
    assert b"10.0.0." in answer.content and b"userName" in answer.content


def test_withheld_columns_are_null_and_said_to_be_withheld(whole):
    row = whole.sql("SELECT * FROM history ORDER BY event_time LIMIT 1", token=whole.masked)[0]
    assert all(row[column] is None for column in MASKED), row
    assert row["event_id"] and row["account_id"] == A and row["event_name"]
    described = {r["column_name"]: r for r in whole.sql("DESCRIBE history", token=whole.masked)}
    for column in MASKED:
        assert described[column]["comment"].startswith("Withheld"), column
        assert described[column]["is_nullable"] == "YES"
    assert not described["event_id"]["comment"].startswith("Withheld")
    told = whole.http("GET", "/v1/whoami", token=whole.masked, check=200).json()
    assert set(MASKED) <= set(told["withheld"])
    assert "withheld" not in whole.http("GET", "/v1/whoami", token=whole.auditor, check=200).json()


def test_quarantine_withholds_the_bytes(cairn):
    sender = cairn.token("sender", [A])
    cairn.post(json.dumps(action("good", account=A)) + '\n{"broken": "by 10.9.8.7', token=sender)
    masked = cairn.cli("token", "create", "--role", "auditor", "--accounts", A, "--withhold", "source_ip").out.strip()
    plain = cairn.token("auditor", [A])
    query = "SELECT reason, raw_base64, detail FROM quarantine"
    assert cairn.sql(query, token=plain)[0]["raw_base64"]
    row = cairn.sql(query, token=masked)[0]
    assert row["reason"] and row["raw_base64"] is None and row["detail"] is None


def test_a_verdict_is_not_made_of_nulls(whole):
    path = "/v1/trails/Everything/explain?event_id=id-4"
    answer = whole.http("GET", path, token=whole.masked, check=403).json()["error"]
    assert "user_name" in answer["message"] and "withheld" in answer["message"]


def test_who_withholds_what_is_told_and_recorded(cairn):
    done = cairn.cli("token", "create", "--role", "auditor", "--accounts", "all", "--withhold", "mfa, source_ip")
    assert "withheld: additional_event_data, detail, error_message, mfa, raw" in done.err
    token_id = done.out.split("_")[1]
    listed = {t["id"]: t for t in cairn.http("GET", "/v1/tokens", check=200).json()["tokens"]}[token_id]
    assert listed["withhold"] == ["mfa", "source_ip"] and "raw" in listed["withheld"] and listed["version"] == 1
    assert "mfa" in cairn.cli("token", "list").out
    cairn.cli("token", "update", token_id, "--withhold", "raw", "--accounts", A)
    listed = {t["id"]: t for t in cairn.http("GET", "/v1/tokens", check=200).json()["tokens"]}[token_id]
    assert (listed["withhold"], listed["accounts"], listed["version"]) == (["raw"], [A], 2)
    cairn.cli("token", "update", token_id, "--withhold", "none", "--name", "seen again")
    cairn.restart()
    listed = {t["id"]: t for t in cairn.http("GET", "/v1/tokens", check=200).json()["tokens"]}[token_id]
    assert (listed["withhold"], listed["name"], listed["version"]) == ([], "seen again", 3)
    recorded = cairn.sql("SELECT event_name, request_parameters FROM history WHERE service_name = 'cairn' AND "
                         f"resource_name = '{token_id}' ORDER BY log_offset")
    assert [r["event_name"] for r in recorded] == ["CreateToken", "UpdateToken", "UpdateToken"]
    assert json.loads(recorded[1]["request_parameters"]) == {"tokenId": token_id, "accounts": [A], "withhold": ["raw"]}


@pytest.mark.parametrize("body, says", [
    ({"role": "auditor", "accounts": "all", "withhold": ["account_id"]}, "cannot be withheld"),
    ({"role": "auditor", "accounts": "all", "withhold": ["sourceip"]}, "no column"),
    ({"role": "sender", "accounts": "all", "withhold": ["raw"]}, "auditors"),
    ({"role": "admin", "withhold": ["raw"]}, "auditors"),
    ({"role": "auditor", "accounts": "all", "withhold": "raw"}, "not what this call takes"),
])
def test_what_cannot_be_withheld_is_refused(shared, body, says):
    answer = shared.http("POST", "/v1/tokens", json=body, check=400).json()["error"]
    assert says in answer["message"], answer


def test_only_administrators_change_tokens(shared):
    token = shared.token("auditor", [A])
    path = f"/v1/tokens/{token.split('_')[1]}"
    for body in ({"accounts": "all"}, {"withhold": []}):
        shared.http("PATCH", path, token=token, json=body, check=403)
    shared.http("PATCH", path, json={}, check=400)
    shared.http("PATCH", path, json={"accounts": []}, check=400)
    shared.http("PATCH", path, json={"role": "admin"}, check=400)
    shared.http("PATCH", "/v1/tokens/0123456789abcdef", json={"withhold": ["raw"]}, check=404)


# -- a grant that changes while an answer is under way ---------------------------

ENDLESS = "SELECT a.event_id, b.event_name FROM history a CROSS JOIN history b CROSS JOIN history c CROSS JOIN history d"
WITHIN = 60


@pytest.mark.parametrize("change", [{"accounts": [A]}, {"withhold": ["source_ip"]}, None],
                         ids=["narrowed", "withheld", "revoked"])
def test_who_may_see_less_loses_the_answer_under_way(whole, change):
    made = whole.http("POST", "/v1/tokens", check=201, json={"role": "auditor", "accounts": [A, B]}).json()
    path = f"/v1/tokens/{made['id']}"
    answer = requests.post(f"{whole.url}/v1/sql", json={"query": ENDLESS}, stream=True, timeout=WITHIN,
                           headers={"Authorization": f"Bearer {made['token']}", "Accept": "application/x-ndjson"})
    parts = answer.iter_content(1 << 16)
    assert next(parts)
    if change:
        whole.http("PATCH", path, json=change, check=200)
    else:
        whole.http("DELETE", path, check=204)
    more = 0
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        for part in parts:
            more += len(part)
    assert more < 64 << 20, "the rows went on"
    if change:
        # A new question is answered, with less.
        count = whole.one("SELECT count(DISTINCT account_id) FROM history", token=made["token"])
        assert count == (1 if "accounts" in change else 2)


def test_who_may_see_more_keeps_the_answer_under_way(whole):
    made = whole.http("POST", "/v1/tokens", check=201,
                      json={"role": "auditor", "accounts": [A], "withhold": ["raw"]}).json()
    answer = requests.post(f"{whole.url}/v1/sql", json={"query": ENDLESS + " LIMIT 200000"}, stream=True,
                           timeout=WITHIN, headers={"Authorization": f"Bearer {made['token']}",
                                                    "Accept": "application/x-ndjson"})
    lines = answer.iter_lines(chunk_size=1 << 16)
    first = json.loads(next(lines))
    whole.http("PATCH", f"/v1/tokens/{made['id']}", json={"accounts": [A, B], "withhold": []}, check=200)
    assert sum(1 for _ in lines) == 199_999 and set(first) == {"event_id", "event_name"}


# -- by PostgreSQL's protocol, and sessions side by side --------------------------


def connect(server, token):
    return psycopg.connect(host="127.0.0.1", port=server.pg_port, user="auditor", password=token, dbname="cairn",
                           sslmode="disable", autocommit=True, connect_timeout=WITHIN)


def told_by_pg(server, token, query):
    """Rows as text, or the error's class and words."""
    with connect(server, token) as connection:
        try:
            cursor = connection.execute(query)
            return cursor.statusmessage.split(" ")[0], sorted(map(str, cursor.fetchall())) if cursor.description else None
        except psycopg.Error as error:
            words = error.diag.message_primary or type(error).__name__
            hint = error.diag.message_hint or ""
            return error.sqlstate, "value" if "TRY_CAST" in hint else words


def test_pg_tells_what_a_server_of_ones_own_would(whole, alone):
    wrong = []
    for kind, query in chosen(25):
        if "%" in query or "copy" in query.lower():
            continue
        one, other = (told_by_pg(server, server.auditor, query) for server in (whole, alone))
        if one != other:
            wrong.append(f"[{kind}] {query}\n  {one}\n  {other}")
    assert not wrong, "\n".join(wrong)


def test_a_prepared_statement_sees_no_more_than_its_token_does_now(whole):
    made = whole.http("POST", "/v1/tokens", check=201, json={"role": "auditor", "accounts": [A, B]}).json()
    query = "SELECT count(*) FROM history WHERE account_id <> %s"
    with connect(whole, made["token"]) as connection:
        before = connection.execute(query, [A], prepare=True).fetchone()[0]
        assert before == 120
        whole.http("PATCH", f"/v1/tokens/{made['id']}", json={"accounts": [A]}, check=200)
        try:
            assert connection.execute(query, [A], prepare=True).fetchone()[0] == 0
        except psycopg.Error:
            pass
    with connect(whole, made["token"]) as connection:
        assert connection.execute(query, [A], prepare=True).fetchone()[0] == 0


@pytest.mark.parametrize("change", [{"accounts": [A]}, {"withhold": ["raw"]}, None], ids=["narrowed", "withheld", "revoked"])
def test_an_open_cursor_ends_with_the_right_to_its_rows(whole, change):
    made = whole.http("POST", "/v1/tokens", check=201, json={"role": "auditor", "accounts": [A, B]}).json()
    path = f"/v1/tokens/{made['id']}"
    connection = connect(whole, made["token"])
    try:
        connection.autocommit = False
        cursor = connection.cursor(name="rows")
        cursor.execute(ENDLESS)
        assert len(cursor.fetchmany(100)) == 100
        whole.http("PATCH", path, json=change, check=200) if change else whole.http("DELETE", path, check=204)
        # What the door had taken before may still be there: a batch or two, not an answer.
        with pytest.raises(psycopg.Error):
            for _ in range(200):
                assert cursor.fetchmany(1000)
    finally:
        connection.close()


def test_two_tokens_on_one_connection_and_two_connections_side_by_side(whole):
    of_b = whole.token("auditor", [B])
    count = "SELECT count(*) AS n, min(account_id) AS a FROM history"
    session = requests.Session()
    session.trust_env = False
    for _ in range(5):
        for token, account, n in ((whole.auditor, A, 60), (of_b, B, 120), (whole.masked, A, 60)):
            answer = session.post(f"{whole.url}/v1/sql", json={"query": count}, timeout=WITHIN,
                                  headers={"Authorization": f"Bearer {token}"}).json()
            assert answer["rows"] == [[n, account]]
    with connect(whole, whole.auditor) as one, connect(whole, of_b) as other:
        for _ in range(3):
            # The same words, prepared under the same name by the client.
            assert one.execute(count, prepare=True).fetchone() == (60, A)
            assert other.execute(count, prepare=True).fetchone() == (120, B)


# -- one auditor and the others --------------------------------------------------

def test_one_token_cannot_take_every_place(folders):
    with Cairn(folders("places"), arguments=["--query-max-concurrent", "3", "--query-timeout", "10m", "--query-max-concurrent-per-principal", "2",
                                             "--query-max-waiting", "2"]) as server:
        fill(server, (A,))
        greedy, other = server.token("auditor", [A]), server.token("auditor", [A])
        held = []
        try:
            for _ in range(2):
                answer = requests.post(f"{server.url}/v1/sql", json={"query": ENDLESS}, stream=True, timeout=WITHIN,
                                       headers={"Authorization": f"Bearer {greedy}", "Accept": "application/x-ndjson"})
                # Kept: a stream that is thrown away closes its connection, and its query ends.
                parts = answer.iter_content(1 << 10)
                next(parts)
                held.append((answer, parts))
            # Their own places are taken, and one may wait: two of three are refused, and others are served.
            answers = queue.Queue()

            def ask():
                answers.put(requests.post(f"{server.url}/v1/sql", json={"query": "SELECT 1"}, timeout=WITHIN,
                                          headers={"Authorization": f"Bearer {greedy}"}))

            asking = [threading.Thread(target=ask) for _ in range(3)]
            for thread in asking:
                thread.start()
            for _ in range(2):
                refused = answers.get(timeout=WITHIN)
                assert refused.status_code == 429 and refused.json()["error"]["code"] == "busy", refused.text
            for _ in range(3):
                assert server.one("SELECT count(*) FROM history", token=other) == 60
        finally:
            for answer, _ in held:
                answer.close()
        assert answers.get(timeout=WITHIN).status_code == 200
        assert server.one("SELECT count(*) FROM history", token=greedy) == 60
        server.stop()
