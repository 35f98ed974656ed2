"""Measures how long statements that would take a machine go on beyond their limit, and how others fare meanwhile.

Not a test: `CAIRN_BIN=… .venv/bin/python tests/e2e/contain.py` prints a table for docs/security.md.
"""

import pathlib
import tempfile
import threading
import time

from cairn import Cairn, event

LIMIT = 5
EVENTS = 4_000
BOMBS = [
    ("five-way cross join", "SELECT count(*) FROM history a, history b, history c, history d, history e"),
    ("a condition on each of ten billion pairs",
     "SELECT count(*) FROM history a JOIN history b ON a.raw <> b.raw JOIN history c ON b.raw || c.raw ~ '(x+x+)+y'"),
    ("a catastrophic regular expression",
     "SELECT count(*) FROM history a, history b, history c WHERE regexp_replace(a.raw || b.raw || c.raw, '(a|aa)+$', 'x') = ''"),
    ("levenshtein of everything",
     "SELECT count(*) FROM history a, history b, history c WHERE levenshtein(a.raw || b.raw, c.raw || a.raw) > 100"),
    ("a window over everything",
     "SELECT sum(a.log_offset) OVER (ORDER BY b.log_offset) AS s FROM history a, history b, history c ORDER BY 1 LIMIT 1"),
    ("string_agg of everything", "SELECT string_agg(a.raw, ',') FROM history a, history b, history c"),
    ("array_agg of everything", "SELECT array_agg(a.raw) FROM history a, history b, history c"),
    ("sort of everything", "SELECT a.raw || b.raw AS x FROM history a, history b, history c ORDER BY x OFFSET 1000000000"),
    ("distinct of everything", "SELECT count(DISTINCT a.raw || b.raw) FROM history a, history b"),
    ("rows without end, unread", "SELECT a.*, b.* FROM history a, history b, history c"),
    ("repeat('x', 2e9)", "SELECT repeat('x', 2000000000)"),
    ("repeat of a column", "SELECT max(repeat(raw, 2000000000)) FROM history"),
    ("recursive CTE", "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"),
    ("generate_series", "SELECT count(*) FROM generate_series(1, 1000000000000)"),
    ("5,000 parentheses", "SELECT " + "(" * 5000 + "1" + ")" * 5000),
    ("5,000 nested calls", "SELECT " + "upper(" * 5000 + "raw" + ")" * 5000 + " FROM history"),
    ("50,000 values in IN", f"SELECT count(*) FROM history WHERE log_offset IN ({','.join(map(str, range(50_000)))})"),
    ("a column doubled 60 times", "WITH a0 AS (SELECT log_offset AS x FROM history)" + "".join(
        f", a{n} AS (SELECT x + x AS x FROM a{n - 1})" for n in range(1, 61)) + " SELECT count(*) FROM a60 WHERE x > 5"),
    ("CUBE of 18 columns", f"SELECT count(*) FROM history GROUP BY CUBE ({','.join(f'log_offset % {n}' for n in range(2, 20))})"),
]


def main():
    with tempfile.TemporaryDirectory() as folder:
        with Cairn(pathlib.Path(folder) / "data", arguments=["--query-timeout", f"{LIMIT}s"]) as server:
            for start in range(0, EVENTS, 500):
                server.post([event(f"c-{n}") for n in range(start, start + 500)], receipts="refused")
            server.flush()
            other, greedy = server.token("auditor", "all"), server.token("auditor", "all")
            harmless = "SELECT event_name, count(*) FROM history GROUP BY 1"
            server.sql(harmless, token=other)
            waits = [timed(server, other, harmless)[0] for _ in range(10)]
            print(f"alone: {max(waits):.2f} s at most for a small question\n")
            print("| statement | ended after | error | others waited at most |\n|---|---|---|---|")
            for name, query in BOMBS:
                measure(server, greedy, other, harmless, name, query)
            print(f"\nanswered at last: {server.one('SELECT count(*) FROM history WHERE dialect <> ' + repr('cairn'))}")


def timed(server, token, query):
    began = time.monotonic()
    with server.http("POST", "/v1/sql", token=token, json={"query": query}, stream=True,
                     headers={"Accept": "application/x-ndjson"}) as answer:
        if answer.status_code != 200:
            return time.monotonic() - began, answer.json()["error"]["code"]
        try:
            for _ in answer.iter_content(1 << 16):
                time.sleep(0.05)
            return time.monotonic() - began, "answered"
        except Exception:  # noqa: BLE001 - an answer that breaks off is an outcome
            return time.monotonic() - began, "broken off"


def measure(server, greedy, other, harmless, name, query):
    outcome = []
    asking = threading.Thread(target=lambda: outcome.append(timed(server, greedy, query)))
    asking.start()
    waits = []
    while asking.is_alive() or not waits:
        waits.append(timed(server, other, harmless)[0])
    asking.join()
    took, code = outcome[0]
    print(f"| {name} | {took:.1f} s | `{code}` | {max(waits):.2f} s |", flush=True)


if __name__ == "__main__":
    main()
