"""The table `queries`: what each asked themselves, by every door; what everybody asked, for administrators."""

import re

import adbc_driver_flightsql.dbapi as flightsql
import psycopg
import pytest

from cairn import Cairn, action, event

MINE, OTHER, MANAGEMENT = "111111111111", "222222222222", "000000000000"


@pytest.fixture(scope="module")
def cairn(folders):
    with Cairn(folders("own-queries")) as server:
        server.post([event(f"e-{n}", account=(MINE, OTHER)[n % 2]) for n in range(20)])
        yield server
        server.stop()


def by_http(cairn, token, sql):
    return [list(row.values()) for row in cairn.sql(sql, token=token)]


def by_postgresql(cairn, token, sql):
    with psycopg.connect(host="127.0.0.1", port=cairn.pg_port, dbname="cairn", user="me", password=token,
                         sslmode="disable", autocommit=True) as c:
        return [list(row) for row in c.execute(sql).fetchall()]


def by_flight(cairn, token, sql):
    port = int(re.findall(r"^  flight sql +grpc://127\.0\.0\.1:(\d+)", cairn.log(), re.M)[-1])
    with flightsql.connect(f"grpc://127.0.0.1:{port}", db_kwargs={"username": "me", "password": token},
                           autocommit=True) as c, c.cursor() as cursor:
        cursor.execute(sql)
        return [list(row) for row in cursor.fetchall()]


def by_job(cairn, token, sql):
    id_ = cairn.cli("sql", "--detach", sql, token=token).out.strip()
    cairn.cli("job", "results", id_, "--wait", token=token)
    return cairn.http("GET", f"/v1/queries/{id_}/results", token=token, check=200).json()["rows"]


DOORS = [by_http, by_postgresql, by_flight, by_job]


def asked(cairn, token, door=by_http):
    """The statements that the table shows, other than about itself."""
    return [row[0] for row in door(cairn, token, "SELECT query FROM queries ORDER BY asked") if "queries" not in row[0]]


@pytest.mark.parametrize("accounts", [[MINE], [MANAGEMENT, MINE], "all", [OTHER]])
def test_each_sees_their_own_by_every_door_and_nobody_elses(cairn, accounts):
    alice, bob = cairn.token("auditor", accounts), cairn.token("auditor", accounts)
    for n, door in enumerate(DOORS):
        door(cairn, alice, f"SELECT 'asked by alice', {n}")
        door(cairn, bob, f"SELECT 'asked by bob', {n}")
    cairn.ask("SELECT 'asked by alice', nothing FROM history", token=alice, check=400)
    of_alice = [f"SELECT 'asked by alice', {n}" for n in range(len(DOORS))]
    cairn.flush()
    for door in DOORS:
        assert asked(cairn, alice, door) == [*of_alice, "SELECT 'asked by alice', nothing FROM history"]
    assert asked(cairn, bob) == [f"SELECT 'asked by bob', {n}" for n in range(len(DOORS))]
    assert by_http(cairn, alice, "SELECT DISTINCT token FROM queries") == [[alice.split("_")[1]]]
    # An administrator sees both.
    everybodys = asked(cairn, cairn.admin)
    assert set(of_alice) <= set(everybodys) and "SELECT 'asked by bob', 0" in everybodys


@pytest.mark.parametrize("accounts", [[MINE], "all"])
def test_no_statement_finds_anothers(cairn, accounts):
    alice, bob = cairn.token("auditor", accounts), cairn.token("auditor", accounts)
    cairn.ask("SELECT 'only bob asked this'", token=bob, check=200)
    id_of_bob = bob.split("_")[1]
    for sql in [
        "SELECT * FROM queries",
        f"SELECT * FROM queries WHERE token = '{id_of_bob}'",
        "SELECT * FROM queries WHERE token <> current_user OR token IS NULL",
        "SELECT * FROM queries a FULL JOIN queries b ON a.token <> b.token WHERE b.token IS NULL OR a.token IS NULL",
        "SELECT query FROM queries UNION SELECT query FROM queries",
        "WITH q AS (SELECT * FROM queries) SELECT * FROM q ORDER BY elapsed_ms DESC LIMIT 1000",
        "SELECT max(query), min(query), string_agg(query, '|') FROM queries",
    ]:
        text = cairn.ask(sql, token=alice, check=200).text
        assert "only bob asked this" not in text and f'"{id_of_bob}"' not in text, sql
    assert by_http(cairn, alice, f"SELECT count(*) FROM queries WHERE token = '{id_of_bob}'") == [[0]]
    # What decides is not to be seen in what EXPLAIN tells but as one's own id.
    plan = cairn.ask("EXPLAIN SELECT query FROM queries", token=alice, check=200).text
    assert id_of_bob not in plan and f"of={alice.split('_')[1]}" in plan


def test_nobody_puts_words_into_anothers_mouth(cairn):
    alice, sender = cairn.token("auditor", [MINE]), cairn.token("sender", "all")
    id_of_alice = alice.split("_")[1]
    forged = action("forged", account=MINE, eventName="Query", eventSource="cairn", serviceName="cairn",
                    requestParameters={"query": "SELECT 'alice never asked this'"},
                    userIdentity={"type": "auditor-token", "principalId": id_of_alice, "userName": "alice"})
    refused = cairn.post(forged, token=sender)
    assert refused["refused"] == 1, refused
    # Another service's event with her id is no act of hers here.
    cairn.post(action("like-it", account=MINE, eventName="Query",
                      userIdentity={"type": "ram-user", "principalId": id_of_alice, "userName": "alice"}), token=sender)
    assert asked(cairn, alice) == []


def test_the_scope_of_history_stays_as_it_is(cairn):
    """Beside one's own queries nothing of the management account is to be seen."""
    alice = cairn.token("auditor", [MINE])
    cairn.ask("SELECT 1", token=alice, check=200)
    joined = "SELECT count(*) AS n FROM queries q JOIN history h ON h.principal_id = q.token"
    assert cairn.one("SELECT count(*) AS n FROM history WHERE dialect = 'cairn'", token=alice) == 0
    assert cairn.one(joined, token=alice) == 0
    beside = "SELECT count(*) AS n FROM history h, (SELECT * FROM queries LIMIT 1) q WHERE h.event_id LIKE 'e-%'"
    assert cairn.one(beside, token=alice) == 10
    # Also after the rows came into files.
    cairn.flush()
    assert asked(cairn, alice)[0] == "SELECT 1"
    assert cairn.one("SELECT count(*) AS n FROM history WHERE dialect = 'cairn'", token=alice) == 0


def test_withheld_columns_are_withheld_here_too(cairn):
    made = cairn.cli("token", "create", "--role", "auditor", "--accounts", MINE, "--withhold", "principal_id,source_ip")
    alice = made.out.strip()
    cairn.ask("SELECT 1", token=alice, check=200)
    rows = cairn.sql("SELECT * FROM queries", token=alice)
    assert rows and all(row["token"] is None and row["source_ip"] is None for row in rows), rows
    id_of_alice = alice.split("_")[1]
    assert cairn.one(f"SELECT count(*) AS n FROM queries WHERE token = '{id_of_alice}'", token=alice) == 0
