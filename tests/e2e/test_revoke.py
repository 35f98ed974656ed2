"""Who loses the right loses the rows: a token that is revoked while its query runs; calls without a valid token."""

import re
import subprocess
import time

import pytest
import requests

from cairn import binary, clean_environment, event

ACCEPT = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
# Millions of rows: nobody is at their end when the token goes.
ENDLESS = "SELECT a.event_id, b.raw FROM history a CROSS JOIN history b CROSS JOIN history c -- "
WITHIN = 60


@pytest.fixture(scope="module")
def rows(shared):
    shared.post([event(f"revoke-{n:03d}", account="111111111111") for n in range(300)])
    return shared


def auditor(server):
    """An auditor's token and its id."""
    text = server.token("auditor", ["111111111111"])
    return text, text.split("_")[1]


def event_of(server, mark):
    """The error code of the query that carries the mark, once its event is there."""
    query = ("SELECT error_code, principal_id FROM history WHERE service_name = 'cairn' AND event_name = 'Query' "
             f"AND request_parameters LIKE '%-- {mark}\"%' AND request_parameters NOT LIKE '%LIKE%'")
    end = time.monotonic() + WITHIN
    while True:
        found = server.sql(query)
        if found:
            assert len(found) == 1, found
            return found[0]["error_code"], found[0]["principal_id"]
        assert time.monotonic() < end, f"no event of {mark}"
        time.sleep(0.1)


@pytest.mark.parametrize("form", list(ACCEPT))
def test_a_revoked_token_loses_the_answer_under_way(rows, form):
    token, token_id = auditor(rows)
    answer = requests.post(
        f"{rows.url}/v1/sql", json={"query": f"{ENDLESS}mark-{form}"}, stream=True, timeout=WITHIN,
        headers={"Authorization": f"Bearer {token}", "Accept": ACCEPT[form]})
    assert answer.status_code == 200
    parts = answer.iter_content(1 << 16)
    assert next(parts)
    rows.http("DELETE", f"/v1/tokens/{token_id}", check=204)
    more = 0
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)) as broken:
        for part in parts:
            more += len(part)
    assert not isinstance(broken.value, requests.exceptions.Timeout)
    # What was on its way may still come: a few batches, not an answer.
    assert more < 64 << 20, "the rows went on"
    assert event_of(rows, f"mark-{form}") == ("access_withdrawn", token_id)


@pytest.mark.parametrize("to_file", [False, True])
def test_cairn_sql_says_that_the_token_was_revoked(rows, tmp_path, to_file):
    token, token_id = auditor(rows)
    file = tmp_path / "out.ndjson"
    mark = f"cli-{to_file}"
    more = ["--out", file] if to_file else []
    asking = subprocess.Popen(
        [binary(), "sql", "--format", "ndjson", *more, f"{ENDLESS}{mark}"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=clean_environment({"CAIRN_URL": rows.url, "CAIRN_TOKEN": token}))
    try:
        if to_file:
            end = time.monotonic() + WITHIN
            while not any(p.stat().st_size > 100_000 for p in tmp_path.iterdir()):
                assert time.monotonic() < end and asking.poll() is None, "nothing is written"
                time.sleep(0.02)
        else:
            assert len(asking.stdout.read(100_000)) == 100_000
        rows.http("DELETE", f"/v1/tokens/{token_id}", check=204)
        _, said = asking.communicate(timeout=WITHIN)
    finally:
        asking.kill()
    assert asking.returncode == 1, said
    assert b"the token was revoked while the query ran; what came is incomplete" in said
    assert list(tmp_path.iterdir()) == [], "a part of an answer was left"
    assert event_of(rows, mark) == ("access_withdrawn", token_id)


REJECTED = ("SELECT source_ip, user_agent, error_code, request_parameters, raw, identity_type, "
            "CAST(json_get_int(request_parameters, 'calls') AS BIGINT) AS calls "
            "FROM history WHERE service_name = 'cairn' AND event_name = 'RejectedCall' ORDER BY log_offset")


def test_calls_without_a_valid_token_are_events_and_do_not_fill_the_log(cairn):
    token, token_id = auditor(cairn)
    cairn.http("DELETE", f"/v1/tokens/{token_id}", check=204)
    guess = "cairn_0123456789abcdef_" + "s3cret" * 8
    assert cairn.http("GET", "/v1/whoami", token=guess).status_code == 401
    end = time.monotonic() + WITHIN
    while not cairn.sql(REJECTED):
        assert time.monotonic() < end, "no event of a refused call"
        time.sleep(0.1)
    # Now the address has had its event: a flood is put together, and told by the end at the latest.
    for n in range(300):
        with_token = [token, guess, False][n % 3]
        assert cairn.http("POST", "/v1/sql", token=with_token, json={"query": "SELECT 1"}).status_code == 401
    assert len(cairn.sql(REJECTED)) == 1, "a flood fills the log"
    cairn.restart()
    told = cairn.sql(REJECTED)
    assert [row["calls"] for row in told] == [1, 300]
    for row in told:
        assert (row["source_ip"], row["error_code"], row["identity_type"]) == (
            "127.0.0.1", "unauthenticated", "anonymous")
        assert guess not in row["raw"] and token not in row["raw"] and "s3cret" not in row["raw"]
        assert not re.search(r"cairn_[0-9a-f]{16}_", row["raw"])
    assert '"withoutToken":100' in told[1]["request_parameters"].replace(" ", "")
    assert token_id in told[1]["request_parameters"]
    assert "0123456789abcdef" not in told[1]["request_parameters"]
    assert "POST /v1/sql" in told[1]["request_parameters"]
