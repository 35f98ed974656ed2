"""Programs that were made for PostgreSQL: each connects, lists the tables, describes one, asks with a
parameter, reads the types, and is told of an error."""

import asyncio
import datetime
import json
import pathlib
import re
import subprocess
import sys
import warnings

import adbc_driver_postgresql.dbapi
import asyncpg
import pandas
import psycopg
import pytest
import sqlalchemy
from psycopg.types import TypeInfo

from cairn import Cairn, clean_environment, event

HERE = pathlib.Path(__file__).parent
ACCOUNTS = ["111111111111", "222222222222"]
# Of the first account, whose auditor asks.
MINE = 30
LISTS = 10
TABLES = {"history", "events", "quarantine", "queries", "trails", "accounts", "cloudtrail", "actiontrail"}
WITHIN = 180


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    with Cairn(tmp_path_factory.mktemp("clients") / "data") as server:
        server.post([
            event(
                f"e-{n:03}", account=ACCOUNTS[n % 2],
                eventName="ListUsers" if n % 6 == 0 else "GetUser",
            )
            for n in range(2 * MINE)
        ])
        server.trail("writes-of-one", "--accounts", ACCOUNTS[0])
        server.trail("other", "--accounts", ACCOUNTS[1])
        yield server


@pytest.fixture(scope="module")
def auditor(cairn):
    return cairn.token("auditor", ACCOUNTS[:1])


@pytest.fixture(scope="module")
def programs():
    """The folder of what is in no Python environment."""
    made = subprocess.run(
        [HERE.parents[1] / "deploy/scripts/pgclients", "install"],
        check=True, stdout=subprocess.PIPE, timeout=400,
    )
    return pathlib.Path(made.stdout.decode().strip().splitlines()[-1])


def url(cairn, auditor, scheme="postgresql"):
    return f"{scheme}://anybody:{auditor}@127.0.0.1:{cairn.pg_port}/cairn"


def psql(cairn, auditor, *commands, codes=(0,)):
    arguments = [a for c in commands for a in ("-c", c)]
    done = subprocess.run(
        ["psql", "-X", "-h", "127.0.0.1", "-p", str(cairn.pg_port), "-U", "anybody", "-d", "cairn", *arguments],
        env=clean_environment({"PGPASSWORD": auditor}), capture_output=True, timeout=WITHIN,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode in codes, err
    return out, err


# -- psql ---------------------------------------------------------------------


def test_psql_lists_and_describes(cairn, auditor):
    out, err = psql(cairn, auditor, r"\d", r"\dt", r"\dv", r"\dn", r"\l", r"\du", r"\df now", r"\dx", r"\di")
    assert not err.replace('Did not find any relations.', '').strip(), err
    for table in TABLES:
        assert re.search(rf"public +\| {table} +\|", out), table
    assert re.search(r"^ trails +\| cairn", out, re.M) and re.search(r"^ cairn +\| cairn +\| UTF8", out, re.M)
    out, err = psql(cairn, auditor, r"\d history", r"\d+ queries", r"\dt trails.*", r"\d+")
    assert not err, err
    assert re.search(r"event_time +\| timestamp with time zone +\| +\| not null", out)
    assert re.search(r"flags +\| text\[\]", out)
    assert "The token's id." in out and "View definition:" in out
    # The trail of the other account is not told of, here as anywhere.
    assert "writes-of-one" in out and "other" not in out


def test_psql_asks(cairn, auditor):
    out, _ = psql(cairn, auditor, "SELECT count(*) FROM history WHERE event_name = 'ListUsers'")
    assert out.split("\n")[0].strip() == "count" and out.split("\n")[2].strip() == str(LISTS)
    out, _ = psql(
        cairn, auditor, "SET search_path TO trails, public", r'SELECT count(*) >= 0 AS "there" FROM "writes-of-one"',
        "SHOW search_path", "SELECT current_schemas(true)", "RESET ALL", "SHOW search_path",
    )
    assert "trails, public" in out and "{pg_catalog,trails,public}" in out and '"$user", public' in out
    _, err = psql(cairn, auditor, "SELECT no_such FROM history", codes=(1,))
    # The place is marked under the statement.
    assert "LINE 1: SELECT no_such FROM history" in err and "       ^" in err
    _, err = psql(cairn, auditor, "SET datafusion.catalog.location = '/etc'", codes=(1,))
    assert "unrecognized configuration parameter" in err


# -- Python -------------------------------------------------------------------


def test_psycopg(cairn, auditor):
    with psycopg.connect(url(cairn, auditor)) as c:
        rows = c.execute(
            "SELECT event_name, event_time, log_offset, late, flags FROM history WHERE event_name = %s AND event_time > %s",
            ("ListUsers", datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)),
        ).fetchall()
        assert len(rows) == LISTS and rows[0][0] == "ListUsers"
        assert isinstance(rows[0][1], datetime.datetime) and isinstance(rows[0][2], int) and isinstance(rows[0][3], bool)
        assert TypeInfo.fetch(c, "text").array_oid == 1009
        some = c.execute("SELECT count(*) FROM history WHERE event_name = ANY(%s)", (["ListUsers", "x"],))
        assert some.fetchone() == (LISTS,)
        with pytest.raises(psycopg.errors.UndefinedColumn) as wrong:
            c.execute("SELECT no_such FROM history")
        assert wrong.value.diag.statement_position == "8"
    with psycopg.connect(url(cairn, auditor)) as c, c.cursor("named") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT event_id FROM history ORDER BY 1")
        assert len(cursor.fetchall()) == MINE


def test_asyncpg(cairn, auditor):
    async def ask():
        async with asyncpg.create_pool(url(cairn, auditor), min_size=1, max_size=2) as pool:
            async with pool.acquire() as c:
                assert c.get_server_version()[0] == 15
                rows = await c.fetch(
                    "SELECT event_name, event_time, flags FROM history WHERE event_name = any($1) AND log_offset >= $2",
                    ["ListUsers"], 0,
                )
                assert len(rows) == LISTS and rows[0]["event_time"].tzinfo is not None
                # Types that the driver has to ask about first.
                row = await c.fetchrow("SELECT array[1, 2] AS a, array[true] AS b, array['x'] AS c")
                assert tuple(row) == ([1, 2], [True], ["x"])
                statement = await c.prepare("SELECT event_time, log_item FROM history WHERE event_id = $1")
                assert [a.type.name for a in statement.get_attributes()] == ["timestamptz", "int4"]
                async with c.transaction(isolation="repeatable_read", readonly=True):
                    found = [r["event_id"] async for r in c.cursor("SELECT event_id FROM history", prefetch=7)]
                assert len(found) == MINE
                with pytest.raises(asyncpg.UndefinedColumnError) as wrong:
                    await c.fetch("SELECT no_such FROM history")
                assert wrong.value.position == "8"
            # A connection that the pool has set back.
            async with pool.acquire() as c:
                assert await c.fetchval("SELECT 1") == 1

    asyncio.run(asyncio.wait_for(ask(), WITHIN))


def test_adbc(cairn, auditor):
    with adbc_driver_postgresql.dbapi.connect(url(cairn, auditor)) as c, c.cursor() as cursor:
        cursor.execute(
            "SELECT event_name, event_time, log_offset, late, flags, ingest_date, log_item FROM history"
            " WHERE event_name = $1", ("ListUsers",),
        )
        table = cursor.fetch_arrow_table()
        assert table.num_rows == LISTS
        types = {f.name: str(f.type) for f in table.schema}
        assert types["event_time"] == "timestamp[us, tz=UTC]" and types["log_offset"] == "int64"
        assert types["late"] == "bool" and types["flags"].startswith("list<")
        assert types["ingest_date"] == "date32[day]" and types["log_item"] == "int32"
        (catalog,) = c.adbc_get_objects(depth="all").read_all().to_pylist()
        schemas = {s["db_schema_name"]: s["db_schema_tables"] for s in catalog["catalog_db_schemas"]}
        assert TABLES <= {t["table_name"] for t in schemas["public"]}
        assert [t["table_name"] for t in schemas["trails"]] == ["writes-of-one"]
        history = next(t for t in schemas["public"] if t["table_name"] == "history")
        assert "event_time" in {column["column_name"] for column in history["table_columns"]}
        assert str(c.adbc_get_table_schema("queries").field("asked").type) == "timestamp[us, tz=UTC]"
        with pytest.raises(adbc_driver_postgresql.dbapi.Error, match="no_such"):
            cursor.execute("SELECT no_such FROM history")
            cursor.fetchall()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_sqlalchemy_and_pandas(cairn, auditor, driver):
    engine = sqlalchemy.create_engine(url(cairn, auditor, f"postgresql+{driver}"))
    inspected = sqlalchemy.inspect(engine)
    assert {"public", "trails"} <= set(inspected.get_schema_names())
    assert {"history", "events", "quarantine"} <= set(inspected.get_table_names())
    assert {"queries", "cloudtrail"} <= set(inspected.get_view_names())
    assert inspected.get_table_names(schema="trails") == ["writes-of-one"]
    columns = {c["name"]: c for c in inspected.get_columns("history")}
    assert str(columns["event_time"]["type"]) == "TIMESTAMP" and columns["event_time"]["type"].timezone
    assert not columns["event_time"]["nullable"] and columns["event_time"]["comment"].startswith("When it happened")
    assert inspected.get_pk_constraint("history")["constrained_columns"] == []
    assert inspected.get_indexes("history") == [] and inspected.get_foreign_keys("history") == []
    assert inspected.has_table("history") and not inspected.has_table("other")
    with warnings.catch_warnings():
        warnings.simplefilter("error", sqlalchemy.exc.SAWarning)
        history = sqlalchemy.Table("history", sqlalchemy.MetaData(), autoload_with=engine)
    asked = sqlalchemy.select(sqlalchemy.func.count()).where(history.c.event_name == "ListUsers")
    with engine.connect() as c:
        assert c.execute(asked).scalar() == LISTS
        with pytest.raises(sqlalchemy.exc.ProgrammingError):
            c.execute(sqlalchemy.text("SELECT no_such FROM history"))
    frame = pandas.read_sql("SELECT event_name, log_offset, event_time FROM history", engine)
    assert len(frame) == MINE and frame.dtypes["log_offset"] == "int64"
    assert str(frame.dtypes["event_time"]).startswith("datetime64")
    assert len(pandas.read_sql_table("quarantine", engine)) == 0
    engine.dispose()


# -- others -------------------------------------------------------------------

DUCKDB = """
import duckdb, glob, json, sys
place, to = sys.argv[1:]
c = duckdb.connect()
c.execute("SET enable_progress_bar = false")
extension = glob.glob(place + "/**/postgres_scanner.duckdb_extension", recursive=True)[0]
c.execute(f"LOAD '{extension}'")
c.execute(f"ATTACH '{to}' AS cairn (TYPE postgres, READ_ONLY)")
ask = lambda sql: c.execute(sql).fetchall()
tables = [r[0] for r in ask("SELECT table_name FROM duckdb_tables() WHERE database_name = 'cairn'")]
types = dict(ask("SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'cairn' AND table_name = 'history'"))
count = ask("SELECT count(*) FROM cairn.public.history WHERE event_name = 'ListUsers' AND log_offset >= 0")
nothing = ask("SELECT event_id FROM cairn.public.history WHERE event_name = 'nothing'")
rows = ask("SELECT event_name, event_time::VARCHAR, late, ingest_date::VARCHAR FROM cairn.public.history LIMIT 2")
through = ask("SELECT * FROM postgres_query('cairn', 'SELECT count(*) AS n FROM history')")
try:
    ask("SELECT * FROM postgres_query('cairn', 'SELECT no_such FROM history')")
    error = ""
except Exception as e:
    error = str(e)
print(json.dumps([tables, types, count, nothing, rows, through, error]))
"""


def test_duckdb_scans(cairn, auditor, programs):
    to = f"host=127.0.0.1 port={cairn.pg_port} user=anybody password={auditor} dbname=cairn"
    done = subprocess.run(
        [sys.executable, "-c", DUCKDB, str(programs), to],
        env=clean_environment({"PYTHONPATH": str(programs / "duckdb")}), capture_output=True, timeout=WITHIN,
    )
    assert done.returncode == 0, done.stderr.decode()
    tables, types, count, nothing, rows, through, error = json.loads(done.stdout.splitlines()[-1])
    assert TABLES <= set(tables) and "other" not in tables
    assert types["event_time"] == "TIMESTAMP WITH TIME ZONE" and types["log_offset"] == "BIGINT"
    assert types["flags"] == "VARCHAR[]" and types["late"] == "BOOLEAN"
    assert count == [[LISTS]] and nothing == [] and len(rows) == 2 and through == [[MINE]]
    assert "no_such" in error


def test_jdbc(cairn, auditor, programs):
    done = subprocess.run(
        [
            "java", "-XX:TieredStopAtLevel=1", "-cp", f"{programs}/jars/*", HERE / "clients/Jdbc.java",
            f"jdbc:postgresql://127.0.0.1:{cairn.pg_port}/cairn", "anybody", auditor,
        ],
        # A zone that is not UTC: the driver sends it unasked.
        env=clean_environment({"TZ": "Europe/Berlin"}), capture_output=True, timeout=WITHIN,
    )
    out = done.stdout.decode()
    assert done.returncode == 0, out + done.stderr.decode()
    told = dict(line.split(": ", 1) for line in out.splitlines())
    listed = {name: set(told[name].strip("[]").split(", ")) for name in ["schemas", "tables", "columns", "catalogs"]}
    assert listed["catalogs"] == {"cairn"} and {"public", "trails"} <= listed["schemas"]
    assert TABLES <= listed["tables"]
    assert {"event_time:timestamptz:NO", "flags:_text:YES", "log_offset:int8:NO"} <= listed["columns"]
    for nothing in ["primary keys", "indexes", "imported keys", "exported keys", "own types"]:
        assert told[nothing] == "[]", nothing
    assert told["types"] == "true" and told["functions"] == "1" and told["keywords"] == "true"
    assert "event_time:timestamptz" in told["result"] and "flags:_text" in told["result"]
    # The first as text, the last as binary.
    assert told["rows 0"] == told["rows 6"] and told["rows 0"].count("ListUsers") == LISTS
    assert told["by twos"] == str(MINE)
    assert told["error"] == "42703 at 8" and told["delete"] != "done"
