"""Exports: files with a manifest that others can check.

Read back by readers that share nothing with Cairn (pyarrow, DuckDB, the csv, json
and gzip modules), compared with /v1/sql and with a count over the files that were
sent; cut off, taken back, tampered with; sent where they may not go.
"""

import collections
import csv
import gzip
import hashlib
import http.server
import io
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import duckdb
import pyarrow.parquet
import pytest

from cairn import SENT, TESTDATA, Cairn, binary, clean_environment, event
from conftest import ACTIONTRAIL_ACCOUNT
from stores import BUCKET, KEYS, Moto

ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
WITHIN = 180


@pytest.fixture(scope="module")
def full(folders):
    """A server with all the real data, and exports into a folder of its own."""
    data = folders("exports")
    with Cairn(data, arguments=["--history-commit-interval", "500ms"]) as server:
        server.ingest(TESTDATA / "cloudtrail")
        server.ingest(TESTDATA / "actiontrail", account=ACTIONTRAIL_ACCOUNT)
        server.flush()
        yield server
        server.stop()


def export(server, *arguments, token=None, codes=(0,)):
    """Makes an export, waits for it, and gives back its folder and its document."""
    made = server.cli("export", *arguments, "--wait", "--json", token=token, codes=codes)
    if made.returncode:
        return made
    document = json.loads(made.out)
    assert document["to"].startswith("file:///")
    return pathlib.Path(document["to"].removeprefix("file://")), document


def verify(server, folder, *arguments, codes=(0,)):
    # Nothing of the server is needed: neither its address nor a token.
    return server.cli("export", "verify", folder, *arguments, codes=codes,
                      env={"CAIRN_URL": "http://127.0.0.1:1", "CAIRN_TOKEN": ""})


def manifest(folder):
    """The manifest, checked here by hand: every file, its size and its hash, and no other."""
    raw = (folder / "manifest.json").read_bytes()
    said = (folder / "manifest.json.sha256").read_text()
    assert said == f"{hashlib.sha256(raw).hexdigest()}  manifest.json\n"
    parsed = json.loads(raw)
    # The canonical form, worked out by another program.
    assert raw.decode() == json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    there = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert set(there) == {f["name"] for f in parsed["files"]} | {"manifest.json", "manifest.json.sha256"}
    for file in parsed["files"]:
        content = there[file["name"]].read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert sum(f["rows"] for f in parsed["files"]) == parsed["rows"]
    return parsed


QUESTION = (f"SELECT event_id, event_time, account_id, region, event_name, user_name, mfa, late, log_offset, flags, "
            f"request_parameters FROM history WHERE {SENT} ORDER BY account_id, event_id, log_offset")


def test_parquet_is_what_sql_says(full):
    folder, document = export(full, "--sql", QUESTION, "--format", "parquet")
    told = manifest(folder)
    rows = full.sql(QUESTION)
    assert told["rows"] == len(rows) == document["rows"] > 1000
    assert told["question"] == {"sql": QUESTION, "filter": None}
    assert told["options"] == {"compression": "zstd", "neutralised": None}
    assert [c["name"] for c in told["columns"]] == list(rows[0])
    table = pyarrow.parquet.read_table(folder / told["files"][0]["name"])
    assert table.num_rows == len(rows)
    for name in ("event_id", "account_id", "event_name", "user_name", "mfa", "log_offset", "flags", "request_parameters"):
        assert table[name].to_pylist() == [row[name] for row in rows], name
    meta = pyarrow.parquet.ParquetFile(folder / told["files"][0]["name"]).metadata
    assert meta.row_group(0).column(0).compression == "ZSTD"
    counted = duckdb.sql(f"SELECT count(*), count(DISTINCT account_id) FROM '{folder}/*.parquet'").fetchall()[0]
    assert counted == (len(rows), len({row["account_id"] for row in rows}))
    assert "OK export" in verify(full, folder).out


def test_csv_is_what_sql_says(full):
    folder, _ = export(full, "--sql", QUESTION, "--format", "csv", "--keep-formulas")
    told = manifest(folder)
    assert told["options"] == {"compression": "none", "neutralised": False}
    text = (folder / told["files"][0]["name"]).read_bytes().decode()
    assert text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows == full.csv(QUESTION)
    verify(full, folder)


def test_ndjson_is_lossless(full):
    query = f"SELECT event_id, event_time, raw, resources, flags FROM history WHERE {SENT} ORDER BY event_id, log_offset"
    folder, _ = export(full, "--sql", query, "--format", "ndjson")
    told = manifest(folder)
    lines = [json.loads(line) for file in told["files"]
             for line in gzip.decompress((folder / file["name"]).read_bytes()).splitlines()]
    assert lines == full.sql(query)
    verify(full, folder)


def test_a_filter_takes_what_the_raw_files_hold(full, real_events):
    """Counted by a program that reads the same files and knows nothing of Cairn."""
    account = "123837392027"
    wanted = {e.id for e in real_events if e.account == account}
    assert len(wanted) > 100
    folder, document = export(full, "--accounts", account, "--format", "parquet")
    told = manifest(folder)
    assert told["question"]["filter"]["accounts"] == [account]
    table = pyarrow.parquet.read_table(folder / told["files"][0]["name"])
    assert set(table["event_id"].to_pylist()) == wanted
    assert table.num_rows == full.one(f"SELECT count(*) FROM history WHERE account_id = '{account}'")
    assert told["principal"]["role"] == "admin" and told["principal"]["accounts"] is None
    verify(full, folder)


def layout_files(folder, told):
    return {file["name"]: gzip.decompress((folder / file["name"]).read_bytes()) for file in told["files"]}


def test_cloudtrails_own_layout_holds_the_received_bytes(full):
    folder, _ = export(full, "--from", "2000-01-01", "--format", "cloudtrail")
    told = manifest(folder)
    rows = full.sql("SELECT account_id, region, event_time, raw FROM history WHERE dialect = 'cloudtrail'")
    left = full.one("SELECT count(*) FROM history WHERE dialect = 'actiontrail'")
    assert told["rows"] == len(rows) and told["left_out"] >= left > 0
    received = sorted(row["raw"] for row in rows)
    places = collections.defaultdict(set)
    for row in rows:
        places[row["raw"]].add((row["account_id"], row["region"] or "no-region", row["event_time"][:10]))
    exported = []
    for name, text in layout_files(folder, told).items():
        parts = name.split("/")
        root, account, kind, region, year, month, day, file = parts
        assert (root, kind) == ("AWSLogs", "CloudTrail")
        assert file.startswith(f"{account}_CloudTrail_{region}_{year}{month}{day}T") and file.endswith("Z_" + file[-24:])
        body = text.decode()
        assert json.loads(body)["Records"]
        # The bytes themselves: each received event stands in its file as it came.
        assert body.startswith('{"Records":[') and body.endswith("]}")
        decoder, at = json.JSONDecoder(), len('{"Records":[')
        while at < len(body) - 2:
            _, end = decoder.raw_decode(body, at)
            exported.append(body[at:end])
            assert (account, region, f"{year}-{month}-{day}") in places[body[at:end]]
            at = end + 1
    assert sorted(exported) == received
    verify(full, folder)


def test_cairn_takes_its_own_delivery_back(full, tmp_path):
    """What was exported in CloudTrail's layout comes in again as the same events."""
    folder, _ = export(full, "--accounts", "123837392027", "--format", "cloudtrail")
    told = manifest(folder)
    with Cairn(tmp_path / "second") as second:
        counts = second.ingest(folder / "AWSLogs")
        assert counts["accepted"] + counts["duplicate"] == told["rows"]
        query = "SELECT raw FROM history WHERE account_id = '123837392027' AND dialect = 'cloudtrail' ORDER BY raw"
        assert second.column(query) == full.column(query)


def test_actiontrails_own_layout(full):
    folder, _ = export(full, "--accounts", ACTIONTRAIL_ACCOUNT, "--format", "actiontrail")
    told = manifest(folder)
    received = sorted(full.column(
        f"SELECT raw FROM history WHERE dialect = 'actiontrail' AND account_id = '{ACTIONTRAIL_ACCOUNT}'"))
    events = []
    for name, text in layout_files(folder, told).items():
        root, kind, _, account, region, year, month, day, file = name.split("/")
        assert (root, kind, account) == ("AliyunLogs", "Actiontrail", ACTIONTRAIL_ACCOUNT)
        content = (folder / name).read_bytes()
        tag, named_region, second, code, count, size, sum_ = file.removesuffix(".gz").split("_")
        assert (tag, named_region, code) == ("Actiontrail", region, "1002")
        assert second.startswith(year + month + day) and len(second) == 14
        assert (int(size), sum_) == (len(content), hashlib.md5(content).hexdigest())
        assert len(json.loads(text)) == int(count)
        events += json.loads(text)
    assert told["rows"] == len(events) == len(received) > 0
    key = lambda e: json.dumps(e, sort_keys=True)
    assert sorted(map(key, events)) == sorted(key(json.loads(raw)) for raw in received)
    verify(full, folder)


# value -> whether a spreadsheet could run it
CELLS = {
    "=HYPERLINK(\"http://x\",\"y\")": True, "=1+1": True, "+1": True, "-1+1": True, "@SUM(A1)": True, "\t=cmd": True,
    "\r=cmd": True, " =x": True, "\"=x\"": True, "'=x": True, "＝1": True, "＋1": True, "－1": True, "＠x": True,
    "\u00a0=x": True, "\ufeff=x": True, "a=b": False, "user@host": False, "1-1": False, "'quoted'": False,
    "two\r\nlines, \"quoted\"": False, "": False, " ": False,
}


def test_cells_that_a_spreadsheet_would_run_are_text(shared):
    shared.post([event(f"cell-{n}", account=THREE, eventName=f"Cell{n:02d}", userAgent=text)
                 for n, text in enumerate(CELLS)])
    query = (f"SELECT event_name, user_agent, -5 AS number, user_agent AS \"=cmd\" FROM history "
             f"WHERE account_id = '{THREE}' AND event_name LIKE 'Cell%' ORDER BY event_name")
    values = [row["user_agent"] for row in shared.sql(query)]
    assert len(values) == len(CELLS)

    def read(*more):
        folder, _ = export(shared, "--sql", query, "--format", "csv", *more)
        told = manifest(folder)
        text = (folder / told["files"][0]["name"]).read_bytes().decode()
        verify(shared, folder)
        return told, list(csv.reader(io.StringIO(text, newline=""), strict=True))

    told, rows = read()
    assert told["options"]["neutralised"] is True
    assert rows[0] == ["event_name", "user_agent", "number", "'=cmd"]
    for value, row in zip(values, rows[1:], strict=True):
        text = value or ""
        assert row[1] == ("'" + text if CELLS[text] else text), repr(text)
        assert row[2] == "-5", "a number is no formula"
    told, rows = read("--keep-formulas")
    assert told["options"]["neutralised"] is False
    assert [row[1] for row in rows[1:]] == [value or "" for value in values]


def test_verify_names_what_was_changed(full, tmp_path):
    original, document = export(full, "--from", "2000-01-01", "--format", "cloudtrail")
    told = manifest(original)
    handed = document["manifest_sha256"]
    names = sorted(f["name"] for f in told["files"])
    assert len(names) > 3
    assert "OK export" in verify(full, original, "--sha256", handed).out

    def changed(change, named, *arguments):
        copy = tmp_path / "copy"
        shutil.copytree(original, copy)
        change(copy)
        answer = verify(full, copy, *arguments, codes=(1,))
        assert f"INVALID {named}: " in answer.out, answer.out
        assert "OK" not in answer.out
        shutil.rmtree(copy)

    def flip(name):
        def change(folder):
            content = bytearray((folder / name).read_bytes())
            content[len(content) // 2] ^= 1
            (folder / name).write_bytes(content)
        return change

    def swap(folder):
        a, b = (folder / names[0]), (folder / names[1])
        content = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(content)

    def forge(folder):
        """Another export of it, whole in itself: only the hash that was handed over tells."""
        parsed = json.loads((folder / "manifest.json").read_bytes())
        gone = parsed["files"].pop()
        parsed["rows"] -= gone["rows"]
        (folder / gone["name"]).unlink()
        raw = json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        (folder / "manifest.json").write_bytes(raw)
        (folder / "manifest.json.sha256").write_text(f"{hashlib.sha256(raw).hexdigest()}  manifest.json\n")

    for name in (names[0], names[len(names) // 2], names[-1]):
        changed(flip(name), name)
        changed(lambda folder, name=name: (folder / name).unlink(), name)
    changed(flip("manifest.json"), "manifest.json")
    changed(lambda folder: (folder / "manifest.json").unlink(), "manifest.json")
    changed(lambda folder: (folder / "manifest.json.sha256").unlink(), "manifest.json.sha256")
    changed(swap, names[0])
    extra = names[0].rsplit("/", 1)[0] + "/forged.json.gz"
    changed(lambda folder: shutil.copy(folder / names[0], folder / extra), extra)
    changed(lambda folder: (folder / names[0]).rename(folder / extra), names[0])
    changed(forge, "manifest.json", "--sha256", handed)

    def link(folder):
        outside = tmp_path / "outside"
        shutil.copy(folder / names[0], outside)
        (folder / names[0]).unlink()
        (folder / names[0]).symlink_to(outside)
    changed(link, names[0])
    # A copy elsewhere is as good as the first.
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    assert json.loads(verify(full, copy, "--json").out)["valid"] is True


# -- where exports may go -------------------------------------------------


class Canary:
    """Listens, and must never be connected to."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def connected(self):
        self.listening.settimeout(0.5)
        try:
            self.listening.accept()[0].close()
            return True
        except TimeoutError:
            return False


@pytest.fixture
def canary():
    canary = Canary()
    yield canary
    canary.listening.close()


def refused(server, body, token=None, code="destination_refused"):
    answer = server.http("POST", "/v1/exports", token=token, json={"format": "csv", "sql": "SELECT 1 AS x", **body})
    assert answer.status_code in (400, 403), answer.text
    assert answer.json()["error"]["code"] == code, answer.text
    return answer


def test_no_export_goes_where_nobody_allowed_it(shared, canary, tmp_path):
    listed = shared.http("GET", "/v1/exports", check=200).json()
    places, before = listed["places"], listed["exports"]
    assert places == [{"url": f"file://{shared.data}/exports", "endpoint": None}]
    port = canary.port
    for to in [
        f"http://127.0.0.1:{port}/x", f"https://127.0.0.1:{port}/x", f"http://[::1]:{port}/", f"http://2130706433:{port}/",
        f"http://0x7f.1:{port}/", f"http://localhost:{port}/", "http://169.254.169.254/latest/meta-data/",
        "s3://bucket/x", f"s3://127.0.0.1:{port}/x", "ftp://127.0.0.1/x", "gs://x/y", "az://x/y",
        "file:///etc", "file:///etc/passwd", f"file://{tmp_path}", f"file://{shared.data}", f"file://{shared.data}/store",
        f"file://{shared.data}/exports/../store", f"file://{shared.data}/exports/%2e%2e/store",
        f"file://{shared.data}/exports/a%2f..%2f..%2fstore", f"file://{shared.data}/exports/.x",
        f"file://{shared.data}/exports/" + "b" * 16,
    ]:
        refused(shared, {"to": to})
        refused(shared, {"to": to, "endpoint": f"http://127.0.0.1:{port}"})
    refused(shared, {"endpoint": f"http://127.0.0.1:{port}"})
    assert not canary.connected()
    assert shared.http("GET", "/v1/exports", check=200).json()["exports"] == before
    # Who tries is seen.
    assert shared.one("SELECT count(*) FROM history WHERE service_name = 'cairn' AND event_name = 'StartExport' "
                      "AND error_code = 'destination_refused'") >= 40


def test_a_name_that_leads_inside_is_not_connected_to(tmp_path, canary):
    """The settings name an endpoint by its name, which leads to the loopback: nothing is sent."""
    with Cairn(tmp_path / "data", env={**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"}, arguments=[
            "--export-allow", f"s3://bucket/x=http://localhost:{canary.port}"]) as cairn:
        made = export(cairn, "--sql", "SELECT 1 AS x", "--to", "s3://bucket/x", "--format", "csv", codes=(1,))
        assert "inside the network" in made.err or "cannot be used" in made.err
        assert not canary.connected()


class Redirecting(http.server.BaseHTTPRequestHandler):
    target = None

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(307)
        self.send_header("Location", self.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, *_):
        pass


def test_redirects_are_not_followed(tmp_path, canary):
    handler = type("Handler", (Redirecting,), {"target": f"http://127.0.0.1:{canary.port}"})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        with Cairn(tmp_path / "data", env={**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"}, arguments=[
                "--export-allow", f"s3://bucket/x={endpoint}"]) as cairn:
            made = export(cairn, "--sql", "SELECT 1 AS x", "--format", "csv", codes=(1,))
            assert "failed" in made.err
            assert not canary.connected()
    finally:
        server.shutdown()


def test_links_below_an_allowed_folder_are_refused(tmp_path):
    place, outside = tmp_path / "place", tmp_path / "outside"
    place.mkdir(), outside.mkdir()
    (place / "q1").mkdir()
    with Cairn(tmp_path / "data", arguments=["--export-allow", f"file://{place}"]) as cairn:
        folder, _ = export(cairn, "--sql", "SELECT 1 AS x", "--to", f"file://{place}/q1", "--format", "csv")
        mine = folder.relative_to(place).parts[0]
        assert folder.relative_to(place).parts[1] == "q1"
        (place / mine / "q2").symlink_to(outside)
        made = export(cairn, "--sql", "SELECT 1 AS x", "--to", f"file://{place}/q2", "--format", "csv", codes=(1,))
        assert "symbolic link" in made.err
        refused(cairn, {"to": f"file://{tmp_path}/data"})
    assert list(outside.iterdir()) == []


def test_the_servers_own_folders_are_no_place_for_exports(tmp_path):
    data = tmp_path / "data"
    for place in (data, data / "store", tmp_path):
        server = Cairn(data, arguments=["--export-allow", f"file://{place}"])
        with pytest.raises(RuntimeError, match="export.allow"):
            server.start()


def test_an_export_into_a_bucket(tmp_path):
    with Moto(tmp_path / "moto.log") as store:
        place = f"s3://{BUCKET}/handed/over"
        with Cairn(tmp_path / "data", env={**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"}, arguments=[
                "--export-allow", f"{place}={store.endpoint}"]) as cairn:
            cairn.post([event(f"b-{n}", account=[ONE, TWO][n % 2]) for n in range(50)])
            auditor = cairn.token("auditor", [ONE], name="alice")
            made = json.loads(cairn.cli(
                "export", "--accounts", ONE, "--to", f"{place}/q1", "--format", "ndjson", "--wait", "--json",
                token=auditor).out)
            owner = auditor.split("_")[1]
            assert made["to"] == f"{place}/{owner}/q1/{made['id']}"
            prefix = made["to"].removeprefix(f"s3://{BUCKET}/")
            keys = store.keys("")
            assert {k.removeprefix(prefix + "/") for k in keys} == {
                "manifest.json", "manifest.json.sha256", "part-00000.ndjson.gz"}
            body = store.client().get_object(Bucket=BUCKET, Key=f"{prefix}/part-00000.ndjson.gz")["Body"].read()
            rows = [json.loads(line) for line in gzip.decompress(body).splitlines()]
            assert sorted(r["event_id"] for r in rows) == sorted(f"b-{n}" for n in range(0, 50, 2))
            s3 = {**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"}
            answer = cairn.cli("export", "verify", made["to"], "--endpoint", store.endpoint, env=s3)
            assert "OK export" in answer.out and made["manifest_sha256"] in answer.out
            store.client().put_object(Bucket=BUCKET, Key=f"{prefix}/more", Body=b"x")
            answer = cairn.cli("export", "verify", made["to"], "--endpoint", store.endpoint, env=s3, codes=(1,))
            assert "INVALID more: " in answer.out
            # Another principal's folder, and another bucket.
            other = cairn.token("auditor", [TWO])
            refused(cairn, {"to": f"{place}/{owner}/q1"}, token=other)
            refused(cairn, {"to": f"s3://{BUCKET}/handed"}, token=other)
            refused(cairn, {"to": f"s3://{BUCKET}/handed/overx"}, token=other)


# -- jobs -----------------------------------------------------------------

EVENTS = 320
# Many rows from few, so that an export takes its time.
SLOW = ("SELECT a.event_id AS a, b.event_id AS b, a.raw AS raw FROM history a CROSS JOIN history b "
        "WHERE a.dialect <> 'cairn' AND b.dialect <> 'cairn'")


@pytest.fixture
def slow(tmp_path):
    """A server of this test's own on which SLOW takes long, with files while it runs."""
    with Cairn(tmp_path / "data") as server:
        padding = "x" * 2000
        server.post([event(f"s-{n:04d}", account=[ONE, TWO][n % 2], requestParameters={"p": padding})
                     for n in range(EVENTS)])
        server.flush()
        yield server


def begun(server, token=None, sql=SLOW, format="csv"):
    """Starts an export and returns once it has written a file, with its id and folder."""
    made = server.http("POST", "/v1/exports", token=token, json={"sql": sql, "format": format}, check=201).json()
    end = time.monotonic() + WITHIN
    while True:
        now = server.http("GET", f"/v1/exports/{made['id']}", check=200).json()
        assert now["state"] in ("queued", "running"), now
        if now["files"]:
            return made["id"], pathlib.Path(made["to"].removeprefix("file://"))
        assert time.monotonic() < end, "no file is written"
        time.sleep(0.02)


def ended(server, id, state, within=WITHIN):
    end = time.monotonic() + within
    while True:
        now = server.http("GET", f"/v1/exports/{id}", check=200).json()
        if now["state"] == state:
            return now
        assert now["state"] in ("queued", "running", "finishing"), now
        assert time.monotonic() < end, now
        time.sleep(0.05)


def gone(folder):
    end = time.monotonic() + WITHIN
    while folder.exists() and any(p.is_file() for p in folder.rglob("*")):
        assert time.monotonic() < end, list(folder.rglob("*"))
        time.sleep(0.05)


def test_killed_half_way_it_is_begun_again_and_whole(slow):
    id, folder = begun(slow)
    assert not (folder / "manifest.json").exists()
    slow.kill()
    assert list(folder.rglob("part-*")), "it was cut off before its first file"
    # Without a manifest there is no export, and verify says so, with no server there.
    cut = subprocess.run([binary(), "export", "verify", folder], stdout=subprocess.PIPE, env=clean_environment(), text=True)
    assert cut.returncode == 1 and "INVALID manifest.json: it is missing" in cut.stdout
    slow.start()
    done = ended(slow, id, "done", within=600)
    assert done["attempt"] == 2
    told = manifest(folder)
    assert told["rows"] == EVENTS * EVENTS == done["rows"]
    assert done["manifest_sha256"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    verify(slow, folder)


def test_taken_back_nothing_is_left(slow):
    id, folder = begun(slow)
    slow.cli("export", "cancel", id)
    assert slow.cli_json("export", "show", id)["state"] == "canceled"
    gone(folder)
    slow.cli("export", "cancel", id, codes=(1,))
    slow.cli("export", "resume", id, codes=(1,))
    slow.restart()
    assert slow.cli_json("export", "show", id)["state"] == "canceled"
    assert not (folder / "manifest.json").exists()


def test_a_revoked_token_gets_no_export(slow):
    token = slow.token("auditor", [ONE, TWO])
    id, folder = begun(slow, token=token)
    slow.http("DELETE", f"/v1/tokens/{token.split('_')[1]}", check=204)
    failed = ended(slow, id, "failed")
    assert failed["error"]["code"] == "access_withdrawn"
    gone(folder)
    # Nor when it is begun again.
    slow.cli("export", "resume", id)
    assert ended(slow, id, "failed")["error"]["code"] == "access_withdrawn"
    gone(folder)


def test_who_sees_which_exports(slow):
    mine, theirs = slow.token("auditor", [ONE, TWO], name="mine"), slow.token("auditor", [ONE], name="theirs")
    folder, made = export(slow, "--from", "2000-01-01", "--format", "parquet", token=theirs)
    assert set(pyarrow.parquet.read_table(folder / "part-00000.parquet")["account_id"].to_pylist()) == {ONE}
    told = manifest(folder)
    assert told["principal"] == {"id": theirs.split("_")[1], "name": "theirs", "role": "auditor", "accounts": [ONE],
                                 "withheld": []}
    own, _ = export(slow, "--sql", "SELECT account_id, count(*) AS n FROM history GROUP BY 1 ORDER BY 1",
                    "--format", "ndjson", token=mine)
    lines = gzip.decompress((own / "part-00000.ndjson.gz").read_bytes()).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"account_id": ONE, "n": EVENTS // 2}, {"account_id": TWO, "n": EVENTS // 2}]
    # Each their own, the administrator all.
    ids = lambda token: {e["id"] for e in slow.http("GET", "/v1/exports", token=token, check=200).json()["exports"]}
    assert made["id"] not in ids(mine) and ids(theirs) == {made["id"]}
    assert ids(None) == ids(mine) | ids(theirs)
    for path, method in (("", "GET"), ("/cancel", "POST"), ("/resume", "POST")):
        foreign = slow.http(method, f"/v1/exports/{made['id']}{path}", token=mine)
        never = slow.http(method, f"/v1/exports/{'0' * 32}{path}", token=mine)
        assert foreign.status_code == never.status_code == 404
        assert foreign.json()["error"]["code"] == never.json()["error"]["code"]
    slow.http("POST", "/v1/exports", token=slow.token("sender", [ONE]), json={}, check=403)
    # An account that is not theirs is refused and not silently left out.
    refused(slow, {"sql": None, "filter": {"accounts": [TWO]}}, token=theirs, code="forbidden")


def test_withheld_columns_are_empty_in_every_format(slow):
    token = slow.cli("token", "create", "--role", "auditor", "--accounts", ONE, "--withhold", "request_parameters",
                     "--withhold", "source_ip").out.strip()
    folder, _ = export(slow, "--accounts", ONE, "--format", "parquet", token=token)
    told = manifest(folder)
    table = pyarrow.parquet.read_table(folder / "part-00000.parquet")
    assert table.num_rows == EVENTS // 2
    assert {"request_parameters", "source_ip", "raw"} <= set(told["principal"]["withheld"])
    for name in told["principal"]["withheld"]:
        if name in table.column_names:
            assert set(table[name].to_pylist()) == {None}, name
    for file in told["files"]:
        assert b"192.0.2.1" not in (folder / file["name"]).read_bytes()
    # A layout that consists of the received bytes cannot be had without them.
    made = export(slow, "--accounts", ONE, "--format", "cloudtrail", token=token, codes=(1,))
    assert "withheld" in made.err


def test_what_cannot_be_exported_is_told_at_once(slow):
    for body, code in [
        ({}, "invalid_request"), ({"format": "xml"}, "invalid_request"),
        ({"format": "csv", "sql": "SELECT 1", "filter": {}}, "invalid_request"),
        ({"format": "csv", "sql": "SELECT nothing FROM history"}, "invalid_query"),
        ({"format": "csv", "sql": "DROP TABLE history"}, None),
        ({"format": "csv", "sql": "COPY history TO '/tmp/x'"}, None),
        ({"format": "ndjson", "sql": "SELECT a.event_id, b.event_id FROM history a, history b"}, "invalid_request"),
        ({"format": "cloudtrail", "sql": "SELECT event_id FROM history"}, "invalid_request"),
        ({"format": "csv", "filter": {"from": "yesterday"}}, "invalid_request"),
        ({"format": "csv", "filter": {"from": "2026-01-02", "until": "2026-01-01"}}, "invalid_request"),
        ({"format": "csv", "filter": {"accounts": ["../x"]}}, "invalid_request"),
        ({"format": "csv", "filter": {"trail": "not-there"}}, None),
        ({"format": "csv", "filter": {"trail": "x\" --"}}, "invalid_request"),
    ]:
        answer = slow.http("POST", "/v1/exports", json=body)
        assert answer.status_code in (400, 403, 404), (body, answer.text)
        assert code in (None, answer.json()["error"]["code"]), (body, answer.text)
    assert slow.http("GET", "/v1/exports", check=200).json()["exports"] == []


def test_every_export_leaves_events(slow):
    folder, made = export(slow, "--accounts", ONE, "--format", "csv")
    rows = slow.sql("SELECT event_name, event_rw, resource_name, response_elements FROM history WHERE service_name = 'cairn' "
                    "AND event_name LIKE '%Export' ORDER BY log_offset")
    assert [(r["event_name"], r["resource_name"]) for r in rows] == [
        ("StartExport", made["id"]), ("EndExport", made["id"])]
    end = json.loads(rows[1]["response_elements"])
    assert end["manifestSha256"] == made["manifest_sha256"] and end["rows"] == EVENTS // 2
    assert (folder.stat().st_mode & 0o077) == 0, "others may read it"
