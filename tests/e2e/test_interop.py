"""Other engines read Cairn's tables as they lie, and see the same rows as Cairn does."""

import datetime
import json
import re

import duckdb
import polars
import pyarrow.parquet
import pytest
from deltalake import DeltaTable

from cairn import ROOT, SENT, TESTDATA, Cairn, event
from conftest import ACTIONTRAIL_ACCOUNT


def page(language):
    """What docs/other-engines.md tells people to run."""
    text = (ROOT / "docs/other-engines.md").read_text()
    [block] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return block


PAGE = {}
exec(page("python"), PAGE)  # noqa: S102 - the page is what is tested
RECEIVED = page("sql")

# Enough of a row to tell it from every other.
COLUMNS = ["event_id", "account_id", "event_name", "event_rw", "region", "error_code", "log_offset", "raw"]


@pytest.fixture(scope="module")
def written(folders, tmp_path_factory):
    """A stopped server's folder: history, a trail inside it and a trail beside it, and what SQL said."""
    outside = tmp_path_factory.mktemp("outside") / "deep" / "writes"
    with Cairn(folders("interop")) as cairn:
        inside = cairn.trail("reads", "--rw", "Read")["table"]
        beside = cairn.trail("writes", "--rw", "Write", "--to", f"file://{outside}")["table"]
        cairn.ingest(TESTDATA / "cloudtrail/stratus")
        cairn.ingest(TESTDATA / "actiontrail", account=ACTIONTRAIL_ACCOUNT)
        cairn.flush()
        # A second commit, so that there is a log to follow.
        cairn.post([event(f"more-{n}", readOnly=n % 2 == 0) for n in range(10)])
        cairn.flush()
        names = ", ".join(COLUMNS)
        said = {
            table: sorted(
                (tuple(row[c] for c in COLUMNS)
                 for row in cairn.sql(f"SELECT {names} FROM {table} WHERE {SENT}")), key=repr)
            for table in ("history", "trails.reads", "trails.writes")
        }
        days = cairn.column(f"SELECT DISTINCT cast(ingest_date AS varchar) FROM history WHERE {SENT}")
        history = str(cairn.table("history"))
        cairn.stop()
        yield {"said": said, "days": days, "beside": outside, "places": {
            "history": history, "trails.reads": inside, "trails.writes": beside}}


TABLES = ["history", "trails.reads", "trails.writes"]


def normal(rows):
    """Rows of dictionaries as Cairn's SQL was kept."""
    whole = [{**row, "raw": PAGE["received"](row)} for row in rows if row["dialect"] != "cairn"]
    return sorted((tuple(row[c] for c in COLUMNS) for row in whole), key=repr)


@pytest.mark.parametrize("table", TABLES)
def test_deltalake(written, table):
    """delta-rs, the Python package of another version than the one that wrote."""
    rows = DeltaTable(written["places"][table]).to_pyarrow_table().to_pylist()
    assert normal(rows) == written["said"][table] and rows


@pytest.mark.parametrize("table", TABLES)
def test_polars(written, table):
    frame = polars.scan_delta(written["places"][table]).collect()
    assert normal(frame.to_dicts()) == written["said"][table]


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_over_the_files_that_delta_lists(written, table):
    """DuckDB's own Parquet reader; its Delta extension is a download, so delta-rs lists the files."""
    paths = [p.removeprefix("file://") for p in DeltaTable(written["places"][table]).file_uris()]
    # A table delivered elsewhere has `raw` as it is; one in Cairn's own store for the most part as an outline.
    raw = "raw" if table == "trails.writes" else f"{RECEIVED} AS raw"
    names = ", ".join([*(c for c in COLUMNS if c != "raw"), raw, "dialect"])
    found = duckdb.connect().execute(
        f"SELECT {names} FROM read_parquet($paths, hive_partitioning = true)", {"paths": paths})
    keys = [column[0] for column in found.description]
    rows = [dict(zip(keys, row)) for row in found.fetchall()]
    assert all(row["raw"] for row in rows) and normal(rows) == written["said"][table]


def test_received_bytes_are_stored_once(written):
    """History names columns where `raw` repeats them, in nearly every row; a trail with a destination of its own does not."""
    history = DeltaTable(written["places"]["history"]).to_pyarrow_table(columns=["raw", "raw_outline"]).to_pylist()
    assert all((row["raw"] is None) != (row["raw_outline"] is None) for row in history)
    assert sum(row["raw"] is None for row in history) > 0.95 * len(history) > 300
    trail = DeltaTable(written["places"]["trails.writes"]).to_pyarrow_table()
    assert trail["raw"].null_count == 0 and "raw_outline" not in trail.column_names


def test_a_table_stays_as_it_was_made(folders):
    """Which tables are outlined is said before they are made; another setting later changes none, and SQL sees no difference."""
    folder = folders("interop-chosen")
    sent = [event(f"chosen-{n}", readOnly=False) for n in range(20)]

    places = {}
    for start, arguments in enumerate([["--history-outline-raw=false"], ["--trails-outline-raw=false"]]):
        with Cairn(folder, arguments=arguments) as cairn:
            if start == 0:
                places = {"trails.chosen": cairn.trail("chosen", "--rw", "Write")["table"],
                          "history": str(cairn.table("history"))}
            cairn.post(sent[start * 10:start * 10 + 10])
            cairn.flush()
            for table, whole in [("history", True), ("trails.chosen", False)]:
                rows = DeltaTable(places[table]).to_pyarrow_table().to_pylist()
                rows = [row for row in rows if row["dialect"] != "cairn"]
                assert len(rows) == start * 10 + 10
                assert all((row["raw"] is not None) == whole for row in rows)
                said = cairn.column(f"SELECT raw FROM {table} WHERE {SENT}")
                assert sorted(said) == sorted(PAGE["received"](row) for row in rows)
                assert {json.loads(raw)["eventID"] for raw in said} == {e["eventID"] for e in sent[:start * 10 + 10]}


def test_duckdb_over_arrow_joins_tables(written):
    """The usual road from Delta to DuckDB in Python, with a question over two tables."""
    history = DeltaTable(written["places"]["history"]).to_pyarrow_table()
    writes = DeltaTable(written["places"]["trails.writes"]).to_pyarrow_table()
    connection = duckdb.connect()
    connection.register("history", history)
    connection.register("writes", writes)
    [(missing,)] = connection.execute(
        f"SELECT count(*) FROM history h WHERE {SENT} AND event_rw = 'Write' AND NOT EXISTS "
        "(SELECT 1 FROM writes w WHERE w.log_offset = h.log_offset)").fetchall()
    assert missing == 0
    [(strange,)] = connection.execute(
        "SELECT count(*) FROM writes w WHERE event_rw <> 'Write'").fetchall()
    assert strange == 0


def test_the_trail_lies_where_it_was_told_to(written):
    assert (written["beside"] / "_delta_log").is_dir()
    assert list(written["beside"].rglob("*.parquet"))


def test_types_are_the_documented_ones(written):
    schema = {f.name: str(f.type) for f in DeltaTable(written["places"]["history"]).to_pyarrow_table().schema}
    assert "timestamp[us, tz=UTC]" in schema["event_time"]
    assert schema["mfa"] == "bool" and schema["late"] == "bool"
    assert schema["log_offset"] == "int64" and schema["log_partition"] == "int32"
    assert schema["ingest_date"] == "date32[day]"
    assert "struct" in schema["resources"] and "list" in schema["flags"]


def test_partitions_are_days(written):
    table = DeltaTable(written["places"]["history"])
    assert table.metadata().partition_columns == ["ingest_date"]
    days = {p["ingest_date"] for p in table.partitions()}
    assert {str(d) for d in days} >= set(written["days"])


def test_files_are_sorted_by_time_and_say_so(written):
    """Within each file event_time ascends, and the file's statistics hold for it."""
    table = DeltaTable(written["places"]["history"])
    for uri in table.file_uris():
        file = pyarrow.parquet.ParquetFile(uri.removeprefix("file://"))
        times = file.read(columns=["event_time"])["event_time"].to_pylist()
        assert times == sorted(times)
        assert all(isinstance(t, datetime.datetime) and t.tzinfo for t in times)


def test_the_commits_carry_the_logs_position(written):
    """What makes delivery exactly once is in the table itself, for anyone to read."""
    commits = sorted((written["beside"] / "_delta_log").glob("*.json"))
    assert any('"txn"' in commit.read_text() for commit in commits)


def test_cairns_own_parquet_answer_equals_its_table(real, tmp_path):
    """`cairn sql --format parquet` gives a file that pyarrow reads as the same rows."""
    out = tmp_path / "answer.parquet"
    query = f"SELECT event_id, account_id, event_name FROM history WHERE {SENT}"
    real.cli("sql", "--format", "parquet", "--out", out, query)
    rows = pyarrow.parquet.read_table(out).to_pylist()
    assert sorted(map(repr, rows)) == sorted(map(repr, real.sql(query)))
