"""The questions that come with Cairn, asked over the real events, and saved queries."""

import datetime
import json
import re

import pytest

import answers
import independent
from cairn import action
from answers import GROUPS, OF_CAIRN, PARAMETERS, ROWS, SINCE, UNTIL


@pytest.fixture(scope="module")
def events(real_events):
    return answers.within(independent.distinct(real_events))


def run(server, question, token=None, **parameters):
    """The rows of a saved query's answer."""
    arguments = [f"--param={key}={value}" for key, value in parameters.items()]
    answer = json.loads(server.cli("query", "run", question, "--format", "json", *arguments, token=token).out)
    names = [c["name"] for c in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def library(server):
    listed = server.cli_json("query", "list")["saved_queries"]
    return [q["name"] for q in listed if q["origin"] == "library"]


def given(name):
    return {"since": SINCE, "until": UNTIL} | PARAMETERS.get(name, {})


def test_every_question_has_an_answer_to_compare_with(real):
    names = library(real)
    assert len(names) == len(set(names)) >= 40
    assert set(names) == set(ROWS) | set(GROUPS) | OF_CAIRN


@pytest.mark.parametrize("name", sorted(ROWS))
def test_chosen_events(real, events, name):
    wanted = [e for e in events if ROWS[name](e, PARAMETERS.get(name, {}))]
    wanted.sort(key=lambda e: (answers.moment(e), e.id))
    assert [r["event_id"] for r in run(real, name, **given(name))] == [e.id for e in wanted]


def value(cell):
    """Times as times; everything else as it is."""
    if isinstance(cell, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", cell):
        return datetime.datetime.fromisoformat(cell)
    return cell


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_tables(real, events, name):
    keys, columns, work_out = GROUPS[name]
    rows = run(real, name, **given(name))
    got = {tuple(value(r[k]) for k in keys): tuple(value(r[c]) for c in columns) for r in rows}
    assert len(got) == len(rows)
    assert got == work_out(events, PARAMETERS.get(name, {}))


def test_most_questions_have_something_to_find(events):
    """An answer without rows proves little: of those there are few."""
    empty = [n for n, choose in ROWS.items() if not any(choose(e, PARAMETERS.get(n, {})) for e in events)]
    empty += [n for n, (_, _, work_out) in GROUPS.items() if not work_out(events, PARAMETERS.get(n, {}))]
    assert len(empty) <= 12, empty


def test_what_was_done_to_cairn_itself(cairn):
    server = cairn
    server.cli("token", "create", "--role", "auditor", "--accounts", "all", "--name", "eve")
    server.one("SELECT 1")
    changes = run(server, "cairn-changes")
    assert "CreateToken" in [r["event_name"] for r in changes]
    asked = run(server, "who-asked-what")
    assert any(r["query"] == "SELECT 1" and r["rows"] == 1 for r in asked)


def test_saved_queries_from_the_first_to_the_last(cairn):
    server = cairn
    server.post("\n".join(json.dumps(action(f"e{i}", eventName=n)) for i, n in enumerate(["A", "A", "B"])))
    server.flush()
    sql = "SELECT event_name, count(*) AS n FROM history WHERE event_name = :name AND event_time < :until GROUP BY 1"
    server.cli("query", "save", "by-name", "--sql", sql, "--title", "Events of a name.",
               "--param", "name:text=A", "--param", "until:timestamp=now")
    assert run(server, "by-name") == [{"event_name": "A", "n": 2}]
    assert run(server, "by-name", name="B", until="2100-01-01") == [{"event_name": "B", "n": 1}]
    # A value is a value, whatever stands in it.
    assert run(server, "by-name", name="B' OR 'a' = 'a") == []
    assert run(server, "by-name", name="B", until="-36500d") == []
    shown = server.cli_json("query", "show", "by-name")
    assert shown["sql"] == sql and shown["version"] == 1 and shown["parameters"][0]["default"] == "A"

    # Others ask it over their own accounts, and do not change it.
    bob = server.token("auditor", "999999999999")
    assert run(server, "by-name", token=bob) == []
    refused = server.cli("query", "save", "by-name", "--sql", "SELECT 1", token=bob, codes=(1,))
    assert "saved by somebody else" in refused.err
    assert "somebody else" in server.cli("query", "delete", "by-name", token=bob, codes=(1,)).err
    server.cli("query", "save", "own", "--sql", "SELECT 1 AS one", token=bob)
    assert run(server, "own") == [{"one": 1}]

    # Each change is an event before it is made, and what is refused is followed by a second one that says so.
    server.cli("query", "save", "by-name", "--sql", "SELECT 2 AS two")
    server.cli("query", "delete", "by-name")
    assert "no saved query" in server.cli("query", "run", "by-name", codes=(1,)).err
    changes = server.sql(
        "SELECT event_name, resource_name, error_code FROM history WHERE resource_type = 'Cairn::SavedQuery' "
        "ORDER BY event_time, log_offset")
    assert [tuple(c.values()) for c in changes] == [
        ("SaveQuery", "by-name", None),
        ("SaveQuery", "by-name", None), ("SaveQuery", "by-name", "forbidden"),
        ("DeleteSavedQuery", "by-name", None), ("DeleteSavedQuery", "by-name", "forbidden"),
        ("SaveQuery", "own", None),
        ("SaveQuery", "by-name", None),
        ("DeleteSavedQuery", "by-name", None)]

    # They outlive the server.
    server.restart()
    names = [q["name"] for q in server.cli_json("query", "list")["saved_queries"] if q["origin"] != "library"]
    assert names == ["own"]


@pytest.mark.parametrize("arguments, says", [
    (("save", "Bad Name", "--sql", "SELECT 1"), "lower-case"),
    (("save", "a-query", "--sql", "SELEC 1"), "SELEC"),
    (("save", "a-query", "--sql", "DELETE FROM history"), "DELETE"),
    (("save", "a-query", "--sql", "SELECT :x"), "not declared"),
    (("save", "a-query", "--sql", "SELECT 1", "--param", "x"), "no :x"),
    (("save", "a-query", "--sql", "SELECT :x", "--param", "x:bigint=many"), "no bigint"),
    (("save", "root-use", "--sql", "SELECT 1"), "library"),
    (("delete", "root-use"), "library"),
    (("run", "root-use", "--param", "nothing=1"), "no parameter"),
    (("run", "root-use", "--param", "since=yesterday"), "no timestamp"),
    (("run", "nothing-here"), "no saved query"),
])
def test_what_does_not_fit_is_told(real, arguments, says):
    failed = real.cli("query", *arguments, codes=(1, 2))
    assert says in failed.err


def test_senders_do_not_read_queries(real):
    sender = real.token("sender", "111111111111")
    assert "auditor" in real.cli("query", "list", token=sender, codes=(1,)).err
