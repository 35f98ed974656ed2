#!/usr/bin/env python3
"""The same events and the same questions, in DuckDB and (optionally) in Cairn.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install duckdb
    /tmp/peers/bin/python deploy/scripts/bench_peers.py --cairn target/release/cairn --events 1000000

Ratios are worth something only when both sides ran on one machine, one after
the other, with nothing else running: so this script runs both. Each side's
loading is a process of its own, and its processor time is what the operating
system says the process took, user and system. See docs/benchmarks.md.

The files of events and of tables go into --work, which is left as it is.
"""

import argparse
import json
import math
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

# How DuckDB reads a CloudTrail record: typed, so that each line is parsed once.
# (Getting every column out of a JSON value with operators costs several times
# as much.)
FIELDS = {
    "eventID": "VARCHAR",
    "eventTime": "TIMESTAMP",
    "eventName": "VARCHAR",
    "eventSource": "VARCHAR",
    "eventType": "VARCHAR",
    "eventCategory": "VARCHAR",
    "eventVersion": "VARCHAR",
    "readOnly": "BOOLEAN",
    "awsRegion": "VARCHAR",
    "recipientAccountId": "VARCHAR",
    "userIdentity": (
        "STRUCT(type VARCHAR, principalId VARCHAR, arn VARCHAR, userName VARCHAR, "
        "accessKeyId VARCHAR, accountId VARCHAR, invokedBy VARCHAR, sessionContext STRUCT("
        "sessionIssuer STRUCT(userName VARCHAR), attributes STRUCT(mfaAuthenticated BOOLEAN)))"
    ),
    "sourceIPAddress": "VARCHAR",
    "userAgent": "VARCHAR",
    "requestID": "VARCHAR",
    "errorCode": "VARCHAR",
    "errorMessage": "VARCHAR",
    "resources": 'STRUCT("type" VARCHAR, ARN VARCHAR, accountId VARCHAR)[]',
    "sharedEventID": "VARCHAR",
    "tlsDetails": "STRUCT(tlsVersion VARCHAR)",
    "requestParameters": "JSON",
    "responseElements": "JSON",
    "additionalEventData": "JSON",
}

# The columns of `history` that the questions name and the ones beside them.
# Not among them is what Cairn keeps for evidence (`raw`, the log's offsets, the
# flags) and what only it uses: all that is in the peer's favour.
COLUMNS = """
    eventID AS event_id,
    eventTime AS event_time,
    eventName AS event_name,
    eventSource AS event_source,
    split_part(eventSource, '.', 1) AS service_name,
    eventType AS event_type,
    eventCategory AS event_category,
    eventVersion AS event_version,
    CASE WHEN coalesce(readOnly, regexp_matches(eventName, '^(Describe|Get|List|Lookup|Head)'))
         THEN 'Read' ELSE 'Write' END AS event_rw,
    awsRegion AS region,
    recipientAccountId AS account_id,
    userIdentity.type AS identity_type,
    userIdentity.principalId AS principal_id,
    userIdentity.arn AS principal_arn,
    coalesce(userIdentity.userName, userIdentity.sessionContext.sessionIssuer.userName)
        AS user_name,
    userIdentity.accessKeyId AS access_key_id,
    userIdentity.accountId AS identity_account_id,
    userIdentity.invokedBy AS invoked_by,
    coalesce(userIdentity.sessionContext.attributes.mfaAuthenticated,
             CASE WHEN eventName = 'ConsoleLogin'
                  THEN (additionalEventData->>'MFAUsed') = 'Yes' END) AS mfa,
    sourceIPAddress AS source_ip,
    userAgent AS user_agent,
    requestID AS request_id,
    errorCode AS error_code,
    errorMessage AS error_message,
    resources[1].type AS resource_type,
    resources[1].ARN AS resource_name,
    resources,
    sharedEventID AS shared_event_id,
    tlsDetails.tlsVersion AS tls_version,
    requestParameters AS request_parameters,
    responseElements AS response_elements,
    additionalEventData AS additional_event_data
"""


def reading(path, sort):
    fields = ", ".join(f"'{name}': '{kind}'" for name, kind in FIELDS.items())
    return (
        f"SELECT {COLUMNS} FROM read_json('{path}', format = 'newline_delimited', "
        f"columns = {{{fields}}}, maximum_object_size = 16777216)"
        + (" ORDER BY event_time" if sort else "")
    )


def connect(path, threads):
    import duckdb

    db = duckdb.connect(str(path))
    if threads:
        db.execute(f"SET threads = {threads}")
    return db


def load(kind, events, target, threads, sort):
    """Loads in this process; called in a child of its own."""
    query = reading(events, sort)
    if kind == "parquet":
        db = connect(":memory:", threads)
        db.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    else:
        db = connect(target, threads)
        db.execute(f"CREATE TABLE history AS {query}")
        db.execute("CHECKPOINT")
        db.close()


def ask(kind, target, questions, runs, threads):
    """Asks in this process; called in a child of its own."""
    if kind == "parquet":
        db = connect(":memory:", threads)
        db.execute(f"CREATE VIEW history AS SELECT * FROM read_parquet('{target}')")
    else:
        db = connect(target, threads)
    answers = []
    for question in questions:
        times, rows = [], 0
        for _ in range(runs):
            began = time.perf_counter()
            # Arrow would need one more package; fetching tuples of at most a
            # thousand rows costs little beside the query.
            rows = len(db.execute(question["sql"]).fetchall())
            times.append((time.perf_counter() - began) * 1000)
        answers.append({"name": question["name"], "rows": rows, "runs_ms": times})
    return answers


def child(arguments):
    """Runs this script again; returns (wall, processor seconds, peak bytes, output)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], check=True, stdout=subprocess.PIPE
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    # The greatest of all children so far: true of this one if it is the greatest.
    return wall, cpu, after.ru_maxrss * 1024, done.stdout.decode()


def geometric_mean_of_best(answers):
    best = [max(min(a["runs_ms"]), 1e-6) for a in answers]
    return math.exp(sum(map(math.log, best)) / len(best))


def run_duckdb(kind, options, events, questions_file, count):
    target = options.work / ("history.parquet" if kind == "parquet" else "history.duckdb")
    if target.exists():
        target.unlink()
    common = ["--kind", kind, "--target", target, "--threads", options.threads]
    sort = ["--sort"] if options.sort else []
    wall, cpu, peak, _ = child(["--child", "load", "--file", events, *sort, *common])
    asked = child(
        ["--child", "ask", "--questions", questions_file, "--runs", options.runs, *common]
    )
    answers = json.loads(asked[3])
    return {
        "engine": f"DuckDB, {kind}",
        "events_per_second": count / wall,
        "cpu_seconds_per_million": cpu / (count / 1e6),
        "peak_memory": peak,
        "bytes_per_event": target.stat().st_size / count,
        "geometric_mean_of_best_ms": geometric_mean_of_best(answers),
        "answers": answers,
    }


def run_cairn(options, shape):
    data = options.work / "cairn-data"
    if data.exists():
        shutil.rmtree(data)
    done = subprocess.run(
        [options.cairn, "bench", "run", *shape, "--runs", str(options.runs), "--json",
         "--data", str(data)],
        check=True,
        stdout=subprocess.PIPE,
    )
    report = json.loads(done.stdout)
    summary = report["summary"]
    return {
        "engine": "Cairn, log to history and two trails",
        "events_per_second": summary["events_per_second"],
        "cpu_seconds_per_million": summary["cpu_seconds_per_million"],
        "peak_memory": report["peak_memory"],
        "bytes_per_event": summary["history_bytes_per_event"],
        "geometric_mean_of_best_ms": summary["geometric_mean_of_best_ms"],
        "answers": [
            {"name": a["name"], "rows": a["rows"], "runs_ms": a["runs_ms"]}
            for a in report["answers"]
        ],
    }


def show(results):
    print(f"{'engine':<38}{'events/s':>10}{'CPU s/M':>9}{'B/event':>9}{'geomean ms':>12}")
    for r in results:
        print(
            f"{r['engine']:<38}{r['events_per_second']:>10.0f}{r['cpu_seconds_per_million']:>9.2f}"
            f"{r['bytes_per_event']:>9.1f}{r['geometric_mean_of_best_ms']:>12.2f}"
        )
    print(f"\n{'question, ms: best (median)':<24}" + "".join(f"{r['engine'][:20]:>24}" for r in results))
    for i, first in enumerate(results[0]["answers"]):
        line = f"{first['name']:<24}"
        for r in results:
            runs = r["answers"][i]["runs_ms"]
            line += f"{min(runs):>14.2f} ({statistics.median(runs):>7.2f})"
        counts = {r["answers"][i]["rows"] for r in results}
        # Different counts mean that the engines were not asked the same thing.
        print(line + ("" if len(counts) == 1 else f"  ROWS DIFFER: {sorted(counts)}"))


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--cairn", default="target/release/cairn", help="the binary")
    p.add_argument("--events", type=int, default=1_000_000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--threads", type=int, default=0, help="of DuckDB; 0: as it likes")
    p.add_argument("--sort", action="store_true", help="let DuckDB sort by event time")
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("cairn-bench-peers"))
    p.add_argument("--peers-only", action="store_true", help="leave Cairn out")
    p.add_argument("--json", action="store_true")
    # What the children are told.
    p.add_argument("--child", choices=["load", "ask"], help=argparse.SUPPRESS)
    p.add_argument("--kind", help=argparse.SUPPRESS)
    p.add_argument("--file", help=argparse.SUPPRESS)
    p.add_argument("--target", help=argparse.SUPPRESS)
    p.add_argument("--questions", help=argparse.SUPPRESS)
    return p.parse_args()


def main():
    options = arguments()
    if options.child == "load":
        return load(options.kind, options.file, options.target, options.threads, options.sort)
    if options.child == "ask":
        questions = json.loads(pathlib.Path(options.questions).read_text())["questions"]
        answers = ask(options.kind, options.target, questions, options.runs, options.threads)
        return print(json.dumps(answers))
    options.work.mkdir(parents=True, exist_ok=True)
    shape = ["--events", str(options.events), "--seed", str(options.seed)]
    events = options.work / "events.ndjson"
    subprocess.run(
        [options.cairn, "bench", "generate", *shape, "--out", str(events)], check=True
    )
    questions_file = options.work / "questions.json"
    with questions_file.open("wb") as out:
        subprocess.run([options.cairn, "bench", "questions", *shape], check=True, stdout=out)
    # The file is read once, so that no side pays for a cold disk.
    with events.open("rb") as lines:
        while lines.read(1 << 24):
            pass
    results = [
        run_duckdb(kind, options, events, questions_file, options.events)
        for kind in ("parquet", "native")
    ]
    if not options.peers_only:
        results.append(run_cairn(options, shape))
    print(json.dumps(results, indent=2)) if options.json else show(results)


if __name__ == "__main__":
    main()
