"""The attacks of tests/attacks by the other doors: Arrow Flight SQL, exports, queries that nobody waits for.

As in test_attacks.py, what an auditor of A is told by a server of three accounts has to be what a server of A's own
tells. `CAIRN_TEST_ATTACKS=long` takes all attacks; else some, chosen by `CAIRN_TEST_SEED`.
"""

import base64
import gzip
import io
import json
import pathlib
import time

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet
import pytest

from attacked import A, B, C, PATIENT, alone, chosen, whole  # noqa: F401 - fixtures
from flightwire import asking, bearer, client, command, prepare, prepared, rows, statement, ticket

pytestmark = PATIENT

WITHIN = 120
# What only B's and C's events hold.
MARKERS = ("secret-" + B, "secret-" + C, '"x":"secret"', '"x": "secret"')
# And what of A's own events the masked auditor may not see.
MASKED = ("10.0.0.", "acs:ram::" + A)


def plain(message):
    """An error's text without what the client's library says of the connection."""
    return message.split(". gRPC client debug context:")[0].split(". Client context:")[0]


def failed(error):
    text = plain(str(error))
    # Of several values on which a query fails, chance decides which is met first.
    return type(error).__name__, "value" if "TRY_CAST" in text else text


def shown(table, sql):
    """A table as two servers have to agree on it."""
    found = [json.dumps(row, default=str) for row in table.to_pylist()]
    return str(table.schema.remove_metadata()), found if "order by" in sql.lower() else sorted(found)


def leaks(text, sql, which):
    """The first hidden value in `text` that the statement does not hold itself."""
    markers = MARKERS + (MASKED if which == "masked" else ())
    return next((m for m in markers if m in text and m not in sql), None)


def compared(whole, alone, asks, told, which):
    """Asks both servers everything, and says where they differ or tell what is hidden."""
    wrong, answered = [], 0
    for kind, sql in asks:
        one, other = (told(server, getattr(server, which), sql) for server in (whole, alone))
        answered += not isinstance(one[1], str)
        if one != other:
            wrong.append(f"[{kind}] {sql}\n  {one}\n  {other}")
        elif leak := leaks(str(one), sql, which):
            wrong.append(f"[{kind}] {sql} tells {leak}")
    print(f"{len(asks)} attacks, {answered} answered, {len(wrong)} differences")
    assert not wrong, "\n".join(wrong)
    assert answered > len(asks) // 5, "hardly any attack is answered at all"


# -- Flight SQL ------------------------------------------------------------------


def by_flight(server, token, sql):
    """A statement as a client asks that prepares nothing."""
    try:
        info = client(server).get_flight_info(statement(sql), bearer(token))
        table = client(server).do_get(info.endpoints[0].ticket, bearer(token)).read_all()
        return "rows", [str(info.schema.remove_metadata()), *shown(table, sql)]
    except (flight.FlightError, pa.ArrowException) as error:
        return "error", str(failed(error))


def by_handle(server, token, sql):
    """The same, prepared."""
    try:
        ask = prepared(prepare(server, token, sql))
        info = client(server).get_flight_info(ask, bearer(token))
        table = client(server).do_get(info.endpoints[0].ticket, bearer(token)).read_all()
        return "rows", [str(info.schema.remove_metadata()), *shown(table, sql)]
    except (flight.FlightError, pa.ArrowException) as error:
        return "error", str(failed(error))


@pytest.mark.parametrize("which", ["auditor", "masked"])
def test_flight_tells_what_a_server_of_ones_own_would(whole, alone, which):
    compared(whole, alone, chosen(30), by_flight, which)


def test_a_prepared_statement_tells_what_a_server_of_ones_own_would(whole, alone):
    compared(whole, alone, chosen(20), by_handle, "auditor")


FACTS = [
    ("CommandGetCatalogs",), ("CommandGetDbSchemas",), ("CommandGetDbSchemas", (2, b"%")), ("CommandGetTableTypes",),
    ("CommandGetSqlInfo",), ("CommandGetXdbcTypeInfo",),
    ("CommandGetTables",), ("CommandGetTables", (5, True)), ("CommandGetTables", (2, b"trails"), (5, True)),
    ("CommandGetTables", (3, b"b-only")), ("CommandGetTables", (3, b"%only%"), (5, True)),
    ("CommandGetTables", (1, b"cairn"), (2, b"tr%"), (3, b"b%")), ("CommandGetTables", (2, b"' OR 1=1 --")),
    ("CommandGetTables", (4, b"VIEW"), (5, True)), ("CommandGetTables", (3, b"_-only")),
    *((name, (2, b"trails"), (3, b"b-only")) for name in (
        "CommandGetPrimaryKeys", "CommandGetExportedKeys", "CommandGetImportedKeys")),
    ("CommandGetCrossReference", (3, b"b-only"), (6, b"history")),
]


def test_names_and_types_are_those_of_a_server_of_ones_own(whole, alone):
    def told(server, token, ask):
        try:
            info = client(server).get_flight_info(asking(*ask), bearer(token))
            return shown(client(server).do_get(info.endpoints[0].ticket, bearer(token)).read_all(), "")
        except (flight.FlightError, pa.ArrowException) as error:
            return failed(error)

    for which in ("auditor", "masked"):
        for ask in FACTS:
            one, other = (told(server, getattr(server, which), ask) for server in (whole, alone))
            assert one == other, (ask, one, other)
            assert "b-only" not in str(one), ask
    assert "b-only" in str(told(whole, whole.admin, ("CommandGetTables",))), "the trail is there for who may know of it"


def test_tickets_and_handles_of_others_tell_nothing(whole):
    """Whoever gets hold of what somebody else was given has nothing, and learns not even that it was good."""
    sql = "SELECT account_id, count(*) AS n FROM history GROUP BY 1 ORDER BY 1"
    of_b = whole.token("auditor", [B])
    assert [row["account_id"] for row in rows(whole, of_b, ticket(whole, of_b, sql)).to_pylist()] == [B]
    handle = prepare(whole, of_b, sql)
    own = prepare(whole, whole.auditor, sql)
    stolen = [ticket(whole, of_b, sql), ticket(whole, whole.admin, sql), ticket(whole, whole.masked, sql),
              client(whole).get_flight_info(prepared(handle), bearer(of_b)).endpoints[0].ticket,
              # A handle where a ticket belongs, and a ticket of one's own for a handle of somebody else's.
              flight.Ticket(command("TicketStatementQuery", (1, handle))),
              flight.Ticket(command("TicketStatementQuery", (1, own))),
              flight.Ticket(command("TicketStatementQuery", (1, b"\x02" + sql.encode())))]
    refusals = set()
    for what in stolen:
        with pytest.raises(flight.FlightUnauthorizedError) as refused:
            rows(whole, whole.auditor, what)
        refusals.add(plain(str(refused.value)))
    for ask in (prepared(handle), prepared(handle[:-1] + b"x"), prepared(b"")):
        with pytest.raises(flight.FlightUnauthorizedError) as refused:
            client(whole).get_flight_info(ask, bearer(whole.auditor))
        refusals.add(plain(str(refused.value)))
    with pytest.raises(flight.FlightUnauthorizedError):
        rows(whole, whole.auditor, flight.Ticket(command("CommandPreparedStatementQuery", (1, handle))))
    assert len(refusals) == 1, refusals
    # To close somebody else's statement does nothing to it.
    close = command("ActionClosePreparedStatementRequest", (1, handle))
    list(client(whole).do_action(flight.Action("ClosePreparedStatement", close), bearer(whole.auditor)))
    assert client(whole).get_flight_info(prepared(handle), bearer(of_b)).endpoints
    # And nobody's parameters are bound by another.
    with pytest.raises(flight.FlightError):
        writer, _ = client(whole).do_put(prepared(handle), pa.schema([("$1", pa.string())]), bearer(whole.auditor))
        writer.write_batch(pa.record_batch([["x"]], ["$1"]))
        writer.done_writing()
        writer.close()


@pytest.mark.parametrize("change", [{"accounts": [A]}, {"withhold": ["raw"]}, None], ids=["narrowed", "withheld", "revoked"])
def test_a_ticket_is_worth_what_its_token_is_when_it_is_fetched(whole, change):
    made = whole.http("POST", "/v1/tokens", check=201, json={"role": "auditor", "accounts": [A, B]}).json()
    count = ticket(whole, made["token"], "SELECT count(*) AS n, count(raw) AS raws FROM history WHERE dialect <> 'cairn'")
    assert rows(whole, made["token"], count).to_pylist() == [{"n": 180, "raws": 180}]
    path = f"/v1/tokens/{made['id']}"
    whole.http("PATCH", path, json=change, check=200) if change else whole.http("DELETE", path, check=204)
    if change is None:
        with pytest.raises(flight.FlightUnauthenticatedError):
            rows(whole, made["token"], count)
    else:
        expected = {"n": 60, "raws": 60} if "accounts" in change else {"n": 180, "raws": 0}
        assert rows(whole, made["token"], count).to_pylist() == [expected]


# -- exports ---------------------------------------------------------------------

FORMATS = ["parquet", "csv", "ndjson"]


def begun(server, token, body):
    """The document of an export, or the refusal as it is told."""
    answer = server.http("POST", "/v1/exports", token=token, json=body)
    if answer.status_code != 201:
        error = answer.json()["error"]
        text = error["message"].replace(server.where, "")
        return None, (answer.status_code, error["code"], "value" if "TRY_CAST" in error.get("hint", "") else text)
    return answer.json(), None


def over(server, token, id):
    end = time.monotonic() + WITHIN
    while True:
        now = server.http("GET", f"/v1/exports/{id}", token=token, check=200).json()
        if now["state"] not in ("queued", "running", "finishing"):
            return now
        assert time.monotonic() < end, now
        time.sleep(0.05)


def content(folder, file, sql):
    """What is in a file of an export, in an order of its own where the statement has none."""
    raw = (folder / file["name"]).read_bytes()
    if file["name"].endswith(".parquet"):
        return shown(pa.parquet.read_table(io.BytesIO(raw)), sql)
    text = (gzip.decompress(raw) if file["name"].endswith("gz") else raw).decode()
    return text if "order by" in sql.lower() else sorted(text.splitlines())


def by_export(server, token, body):
    """The rows and the manifest of an export, or how it failed."""
    made, refusal = begun(server, token, body)
    if refusal:
        return "refused", str(refusal)
    now = over(server, token, made["id"])
    if now["state"] != "done":
        error = now["error"]
        return "failed", str((error["code"], "value" if "TRY_CAST" in error["message"] else error["message"]))
    folder = pathlib.Path(now["to"].removeprefix("file://"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for table in manifest["tables"]:
        # Of the state itself nothing is told that the two servers could agree on.
        assert table["state"] is None or table["state"].startswith("sealed:"), table
    about = {key: manifest[key] for key in ("columns", "rows", "left_out", "options", "question", "format")}
    about["tables"] = [table["name"] for table in manifest["tables"]]
    about["accounts"] = manifest["principal"]["accounts"]
    if body["format"] in ("actiontrail", "cloudtrail"):
        return "done", [about, delivered(folder, manifest)]
    files = [(file["name"], file["rows"], content(folder, file, body.get("sql", ""))) for file in manifest["files"]]
    return "done", [about, files]


def delivered(folder, manifest):
    """The events of a delivery by folder. In no order, and so the names of the files, which hold their hashes, differ."""
    found = {}
    for file in manifest["files"]:
        events = json.loads(gzip.decompress((folder / file["name"]).read_bytes()))
        events = events["Records"] if isinstance(events, dict) else events
        assert len(events) == file["rows"]
        found.setdefault(file["name"].rsplit("/", 1)[0], []).extend(json.dumps(e, sort_keys=True) for e in events)
    return {place: sorted(events) for place, events in sorted(found.items())}


@pytest.fixture(scope="module", autouse=True)
def places(whole, alone):
    """Where each server's exports lie, which refusals name."""
    for server in (whole, alone):
        server.where = f"file://{server.data}/exports"


@pytest.mark.parametrize("which", ["auditor", "masked"])
def test_exports_hold_what_those_of_a_server_of_ones_own_would(whole, alone, which):
    asks = chosen(24)
    form = {sql: FORMATS[n % len(FORMATS)] for n, (_, sql) in enumerate(asks)}
    compared(whole, alone, asks, lambda server, token, sql: by_export(
        server, token, {"sql": sql, "format": form[sql]}), which)


def test_the_delivery_layout_holds_what_that_of_a_server_of_ones_own_would(whole, alone):
    """An attack as a condition on which events are delivered, and as the events."""
    asks = []
    for kind, sql in chosen(16):
        if sql.lower().startswith(("select", "with")):
            asks.append((kind, "SELECT account_id, region, event_time, dialect, raw FROM history "
                               f"WHERE (SELECT count(*) FROM ({sql}) attack) % 2 = 0"))
    wrong, answered = [], 0
    for kind, sql in asks:
        one, other = (by_export(s, s.auditor, {"sql": sql, "format": "actiontrail"}) for s in (whole, alone))
        answered += one[0] == "done"
        if one != other:
            wrong.append(f"[{kind}] {sql}\n  {one}\n  {other}")
        elif leak := leaks(str(one), sql, "auditor"):
            wrong.append(f"[{kind}] {sql} tells {leak}")
    print(f"{len(asks)} attacks, {answered} answered, {len(wrong)} differences")
    assert not wrong, "\n".join(wrong)


LAYOUT = "region, event_time, dialect, raw FROM"
FORGED = [
    f"SELECT account_id, {LAYOUT} history",
    f"SELECT account_id, {LAYOUT} trails.everything",
    f"SELECT account_id, {LAYOUT} trails.writes WHERE account_id <> '{A}'",
    f"SELECT account_id, {LAYOUT} history WHERE account_id = '{B}' OR 1 = 1",
    f"SELECT '{B}' AS account_id, {LAYOUT} history",
    f"SELECT '../../../{B}' AS account_id, {LAYOUT} history",
    f"SELECT '..' AS account_id, {LAYOUT} history",
    f"SELECT '' AS account_id, {LAYOUT} history",
    "SELECT account_id, '../../../../x' AS region, event_time, dialect, raw FROM history",
    "SELECT account_id, '/etc' AS region, event_time, dialect, raw FROM history",
    "SELECT account_id, region, event_time, dialect, '{\"forged\": true}' AS raw FROM history",
    "SELECT account_id, region, event_time, dialect, '],[' AS raw FROM history",
    "SELECT account_id, region, event_time, dialect, user_name AS raw FROM history",
    "SELECT account_id, region, event_time, 'actiontrail' AS dialect, raw FROM history WHERE dialect = 'cairn'",
    "SELECT account_id, region, event_time, 'cloudtrail' AS dialect, raw FROM history",
    "SELECT account_id, region, to_timestamp_micros(9223372036854775807) AS event_time, dialect, raw FROM history",
    f"SELECT account_id, {LAYOUT} history UNION ALL SELECT account_id, {LAYOUT} trails.everything",
]


@pytest.mark.parametrize("format", ["actiontrail", "cloudtrail"])
@pytest.mark.parametrize("which", ["auditor", "masked"])
def test_no_forged_delivery_holds_or_goes_more_than_one_of_ones_own(whole, alone, which, format):
    for sql in FORGED:
        one, other = (by_export(s, getattr(s, which), {"sql": sql, "format": format}) for s in (whole, alone))
        assert one == other, sql
        assert not leaks(str(one), sql, which), sql
        if which == "masked":
            # It consists of bytes that are withheld.
            assert one[0] != "done" or one[1][0]["rows"] == 0 or "AS raw" in sql, (sql, one)
    for server in (whole, alone):
        # Each token's files lie in its own folder, whatever a statement wrote into a name.
        folder = pathlib.Path(server.where.removeprefix("file://"))
        tokens = {t["id"] for t in server.http("GET", "/v1/tokens", check=200).json()["tokens"]}
        assert {p.name for p in folder.iterdir()} <= tokens
        assert not list(server.data.glob("x")) and not (server.data.parent / "x").exists()


def test_filters_are_those_of_a_server_of_ones_own(whole, alone):
    filters = [
        {}, {"accounts": [A]}, {"accounts": [B]}, {"accounts": [A, B]}, {"accounts": ["999999999999"]},
        {"trail": "everything"}, {"trail": "WRITES"}, {"trail": "my-trail"}, {"trail": "no-such-trail"},
        {"from": "2026-11-20", "until": "2026-11-21"}, {"from": "2026-11-20T02:00:00Z"}, {"until": "1970-01-01"},
    ]
    for asked in filters:
        for format in ("ndjson", "actiontrail"):
            def told(server, asked=asked, format=format):
                kind, said = by_export(server, server.auditor, {"filter": asked, "format": format})
                if kind == "done":
                    about, files = said
                    # The statement that is made of a filter names the moment and the rows their places.
                    about = {**about, "question": about["question"]["filter"]}
                    if format == "ndjson":
                        # Whole rows hold their places, in which the two differ by nature.
                        files = sorted(json.loads(line)["event_id"] for _, _, lines in files for line in lines)
                    return kind, about, files
                return kind, said
            one, other = told(whole), told(alone)
            assert one == other, (asked, one, other)
            assert not leaks(str(one), "", "auditor")


def test_other_peoples_exports_are_not_there(whole, alone):
    """By id, in lists, as a destination: as on a server where nobody else ever exported anything."""
    of_b = whole.token("auditor", [B])
    theirs, _ = begun(whole, of_b, {"sql": "SELECT raw FROM history", "format": "ndjson"})
    assert over(whole, of_b, theirs["id"])["state"] == "done"
    owner = of_b.split("_")[1]
    never = "0" * 32
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/resume")):
        for id in (theirs["id"], theirs["id"].upper(), never):
            answers = [server.http(method, f"/v1/exports/{id}{path}", token=server.auditor) for server in (whole, alone)]
            assert [a.status_code for a in answers] == [404, 404], (method, path, id)
            assert answers[0].json() == answers[1].json()
    for server in (whole, alone):
        listed = server.http("GET", "/v1/exports", token=server.auditor, check=200).json()
        assert all(export["principal"]["id"] == server.auditor.split("_")[1] for export in listed["exports"])
    assert theirs["id"] in {e["id"] for e in whole.http("GET", "/v1/exports", check=200).json()["exports"]}
    nobody = "0123456789abcdef"
    for below in ("{0}", "{0}/{1}", "{0}/../{0}", "./{0}", "%2e/{0}", "{0}%2f{1}", "x/../{0}", "{0}/x/..", "{0}/{0}"):
        def refused(server, who):
            to = f"{server.where}/{below.format(who, theirs['id'])}"
            made, refusal = begun(server, server.auditor, {"sql": "SELECT 1 AS x", "format": "csv", "to": to})
            assert made is None and refusal[1] == "destination_refused", (to, refusal)
            # But for what was written, the same for somebody who is there and for nobody.
            return refusal[0], refusal[2].replace(who, "WHO")
        assert refused(whole, owner) == refused(whole, nobody) == refused(alone, owner), below
    # What they wrote is as they wrote it.
    folder = pathlib.Path(theirs["to"].removeprefix("file://"))
    assert whole.cli("export", "verify", folder).out.startswith("OK export")


# -- queries that nobody waits for ----------------------------------------------------


def by_waiting(server, token, sql):
    answer = server.http("POST", "/v1/queries", token=token, json={"query": sql})
    if answer.status_code != 202:
        error = answer.json()["error"]
        return "refused", str((answer.status_code, error["code"],
                               "value" if "TRY_CAST" in error.get("hint", "") else error["message"]))
    id, end = answer.json()["id"], time.monotonic() + WITHIN
    while (now := server.http("GET", f"/v1/queries/{id}", token=token, check=200).json())["state"] == "running":
        assert time.monotonic() < end, now
        time.sleep(0.03)
    if now["state"] != "done":
        error = now["error"]
        told = "value" if "TRY_CAST" in (error["hint"] or "") else error["message"]
        server.http("DELETE", f"/v1/queries/{id}", token=token, check=204)
        return "failed", str((error["code"], told))
    assert all(state.startswith("sealed:") for state in now["versions"].values()), now["versions"]
    body = server.http("GET", f"/v1/queries/{id}/results", token=token, check=200).json()
    server.http("DELETE", f"/v1/queries/{id}", token=token, check=204)
    found = [json.dumps(row) for row in body["rows"]]
    return "rows", [body["columns"], found if "order by" in sql.lower() else sorted(found)]


def test_kept_answers_are_those_of_a_server_of_ones_own(whole, alone):
    compared(whole, alone, chosen(15), by_waiting, "auditor")
    theirs = whole.http("POST", "/v1/queries", token=whole.admin, json={"query": "SELECT raw FROM history"}, check=202).json()
    for path, method in (("", "GET"), ("/results", "GET"), ("", "DELETE")):
        for id in (theirs["id"], "0" * 32):
            assert whole.http(method, f"/v1/queries/{id}{path}", token=whole.auditor).status_code == 404


def test_the_masked_bytes_are_in_no_file(whole):
    """Of what is withheld no file of any format holds a byte, encoded or not."""
    for format in FORMATS:
        made, _ = begun(whole, whole.masked, {"filter": {}, "format": format})
        now = over(whole, whole.masked, made["id"])
        assert now["state"] == "done" and now["rows"] >= 60, now
        folder = pathlib.Path(now["to"].removeprefix("file://"))
        for file in folder.iterdir():
            raw = file.read_bytes()
            raw = gzip.decompress(raw) if file.name.endswith(".gz") else raw
            if format == "parquet" and file.name.endswith(".parquet"):
                raw = str(pa.parquet.read_table(file).to_pylist()).encode()
            for marker in (*MASKED, *MARKERS, "userName"):
                assert marker.encode() not in raw, (file, marker)
                assert base64.b64encode(marker.encode())[:8] not in raw, (file, marker)
