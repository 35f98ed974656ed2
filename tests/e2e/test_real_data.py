"""Real events come in whole: every count equals that of a reader that shares no code with Cairn."""

import datetime
import gzip
import json
from collections import Counter

import pytest
import zstandard

import independent
from cairn import ABSENT, SENT, TESTDATA, action, counts, event
from conftest import ACTIONTRAIL_ACCOUNT


@pytest.fixture(scope="module")
def expected(real_events):
    """What history has to hold: repeats once."""
    return independent.distinct(real_events)


def test_the_counts_that_ingest_printed(real, real_events, expected):
    cloudtrail, actiontrail = real.first_counts
    assert cloudtrail["accepted"] == 2900 + 310 + 103
    assert (cloudtrail["duplicate"], cloudtrail["refused"]) == (0, 0)
    # Eleven lines, the same eleven in the log service's envelope, and one that repeats.
    assert actiontrail["accepted"] == 10
    assert (actiontrail["duplicate"], actiontrail["refused"]) == (12, 0)
    assert len(real_events) == 3335 and len(expected) == 3323


@pytest.mark.parametrize("columns, of", [
    (("event_name",), lambda e: e.name),
    (("region",), lambda e: e.region),
    (("account_id",), lambda e: e.account),
    (("error_code",), lambda e: e.error),
    (("event_category",), lambda e: e.category),
    (("user_name",), lambda e: e.user_name),
    (("access_key_id",), lambda e: e.access_key),
    (("source_ip",), lambda e: e.source_ip),
    (("mfa",), lambda e: e.mfa),
    (("account_id", "event_name", "region"), lambda e: (e.account, e.name, e.region)),
], ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_counts_equal_the_independent_reader(real, expected, columns, of):
    names = ", ".join(columns)
    rows = real.sql(f"SELECT {names}, count(*) AS n FROM history WHERE {SENT} GROUP BY {names}")
    assert counts(rows, *columns) == dict(Counter(map(of, expected)))


def test_read_and_write(real, expected):
    rows = real.sql(
        "SELECT event_rw, coalesce(array_has(flags, 'rw_derived'), false) AS derived, count(*) AS n "
        f"FROM history WHERE {SENT} GROUP BY 1, 2")
    assert counts(rows, "event_rw", "derived") == dict(Counter((e.rw, e.derived) for e in expected))


def test_every_event_is_there_byte_for_byte(real, expected):
    rows = real.sql(f"SELECT account_id, event_id, raw FROM history WHERE {SENT}")
    assert Counter((r["account_id"], r["event_id"], r["raw"]) for r in rows) == Counter(
        (e.account, e.id, e.raw) for e in expected)


def test_the_times_are_the_senders(real, expected):
    rows = real.sql(
        "SELECT event_id, date_part('epoch', event_time) AS t FROM history "
        f"WHERE {SENT} AND NOT coalesce(array_has(flags, 'event_time_missing'), false)")
    wanted = {e.id: datetime.datetime.fromisoformat(e.time).timestamp() for e in expected if e.time}
    assert {r["event_id"]: float(r["t"]) for r in rows} == wanted


def test_events_without_a_time_are_kept_and_flagged(real, expected):
    rows = real.sql(
        "SELECT event_id, event_time = ingest_time AS same FROM history "
        f"WHERE {SENT} AND array_has(flags, 'event_time_missing')")
    assert {r["event_id"] for r in rows} == {e.id for e in expected if e.time is None}
    assert len(rows) == 103 and all(r["same"] for r in rows)


def test_nothing_is_in_quarantine(real):
    assert real.one("SELECT count(*) FROM quarantine") == 0


def test_sent_twice_gives_no_row(cairn):
    """By the command line, from plain, gzip and zstd files and from standard input."""
    some = TESTDATA / "cloudtrail" / "stratus"
    first = cairn.ingest(some)
    assert first["accepted"] == 310
    again = cairn.ingest(some)
    assert (again["accepted"], again["duplicate"], again["refused"]) == (0, 310, 0)

    ndjson = b"".join(json.dumps(event(f"z{i}"), separators=(",", ":")).encode() + b"\n" for i in range(50))
    packed = cairn.data.parent / "more.ndjson.gz"
    packed.write_bytes(gzip.compress(ndjson))
    assert cairn.ingest(packed)["accepted"] == 50
    packed = cairn.data.parent / "more.ndjson.zst"
    packed.write_bytes(zstandard.compress(ndjson))
    assert cairn.ingest(packed)["duplicate"] == 50
    assert cairn.ingest("-", stdin=ndjson)["duplicate"] == 50
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 360


def test_sent_twice_across_a_restart_gives_no_row(cairn):
    some = TESTDATA / "cloudtrail" / "stratus"
    assert cairn.ingest(some)["accepted"] == 310
    cairn.restart()
    assert cairn.ingest(some)["duplicate"] == 310
    cairn.flush()
    cairn.restart(hard=True)
    assert cairn.ingest(some)["duplicate"] == 310
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 310


def test_the_same_id_with_other_bytes_is_kept_and_flagged(cairn):
    one = independent.load(TESTDATA / "actiontrail" / "events.ndjson", account=ACTIONTRAIL_ACCOUNT)[-1]
    other = one.raw.replace('"GetPasswordPolicy"', '"SetPasswordPolicy"')
    assert other != one.raw
    assert cairn.post(one.raw, account=ACTIONTRAIL_ACCOUNT)["accepted"] == 1
    assert cairn.post(other, account=ACTIONTRAIL_ACCOUNT)["accepted"] == 1
    # Each of the two, sent again, is recognised.
    assert cairn.post(one.raw, account=ACTIONTRAIL_ACCOUNT)["duplicate"] == 1
    assert cairn.post(other, account=ACTIONTRAIL_ACCOUNT)["duplicate"] == 1
    rows = cairn.sql(
        "SELECT raw, coalesce(array_has(flags, 'conflicting_duplicate'), false) AS conflict "
        f"FROM history WHERE event_id = '{one.id}' ORDER BY log_offset")
    assert [r["raw"] for r in rows] == [one.raw, other]
    assert [r["conflict"] for r in rows] == [False, True]


# -- the six kinds of oddity ------------------------------------------------

def test_event_version_as_number_and_as_text(shared):
    shared.post([action("v-number", eventVersion=1), action("v-text", eventVersion="1")])
    assert shared.column(
        "SELECT event_version FROM history WHERE event_id IN ('v-number', 'v-text')") == ["1", "1"]


@pytest.mark.parametrize("said, read", [
    ("true", True), ("false", False), (True, True), (False, False), (ABSENT, None)],
    ids=lambda v: repr(v) if v is not ABSENT else "absent")
def test_booleans_as_text(shared, said, read):
    attributes = {} if said is ABSENT else {"mfaAuthenticated": said}
    identity = {"type": "ram-user", "userName": "bob", "sessionContext": {"attributes": attributes}}
    event_id = f"mfa-{said!r}" if said is not ABSENT else "mfa-absent"
    shared.post(action(event_id, userIdentity=identity))
    escaped = event_id.replace("'", "''")
    assert shared.column(f"SELECT mfa FROM history WHERE event_id = '{escaped}'") == [read]


def test_booleans_as_text_in_real_data(real):
    rows = real.sql(
        "SELECT mfa, count(*) AS n FROM history WHERE dialect = 'actiontrail' GROUP BY mfa")
    assert counts(rows, "mfa") == {False: 10}


def test_parameter_keys_with_dots_can_be_reached(shared, real):
    shared.post(action("dots", requestParameters={
        "NetworkInterface.1.SecurityGroupId": "sg-1", "LookupAttribute.1.Key": "User",
        "X-Acs-Client-Tls-Version": "TLSv1.3"}))
    rows = shared.sql(
        "SELECT json_get_str(request_parameters, 'NetworkInterface.1.SecurityGroupId') AS f, "
        "request_parameters ->> 'LookupAttribute.1.Key' AS o, tls_version FROM history WHERE event_id = 'dots'")
    assert rows == [{"f": "sg-1", "o": "User", "tls_version": "TLSv1.3"}]
    # In the real data one such key lies three levels down.
    assert real.one(
        "SELECT count(*) FROM history WHERE request_parameters LIKE '%\"resource.resourceType\"%'") == 1


def test_missing_read_only_is_derived_and_flagged(real):
    rows = real.sql(
        "SELECT DISTINCT event_rw FROM history WHERE array_has(flags, 'rw_derived') AND event_name LIKE 'Describe%'")
    assert rows == [{"event_rw": "Read"}]
    assert real.one(f"SELECT count(*) FROM history WHERE {SENT} AND array_has(flags, 'rw_derived')") == 90


def test_an_unknown_name_without_read_only_counts_as_a_write(shared):
    shared.post(event("rw-unknown", eventName="FrobnicateThing", readOnly=ABSENT))
    rows = shared.sql(
        "SELECT event_rw, array_has(flags, 'rw_derived') AS derived FROM history WHERE event_id = 'rw-unknown'")
    assert rows == [{"event_rw": "Write", "derived": True}]


@pytest.mark.parametrize("address", [
    "Internal", "AWS Internal", "actiontrail.aliyuncs.com", "253.252.51.07", "255.18.064.253", "2001:db8::1", ""])
def test_addresses_that_are_none_stay_as_they_came(shared, address):
    event_id = f"ip-{address}"
    shared.post(event(event_id, sourceIPAddress=address))
    [kept] = shared.column(f"SELECT source_ip FROM history WHERE event_id = '{event_id}'")
    assert (kept or "") == address


def test_regions_that_are_none_stay_as_they_came(real, real_events):
    wanted = {e.region for e in real_events if e.region.endswith("r")}
    got = set(real.column("SELECT DISTINCT region FROM history WHERE region LIKE '%r'"))
    assert got == wanted and len(wanted) > 20


# -- fixtures of others, far from well formed ---------------------------------

def test_fixtures_of_others(cairn):
    """463 records that people wrote by hand: each becomes a row, a duplicate, or a quarantine row."""
    logs = [json.loads(line)["log"] for line in (TESTDATA / "other/AWS.CloudTrail.ndjson").read_text().splitlines()]
    assert len(logs) == 463
    lines = [json.dumps(log, separators=(",", ":")) for log in logs]
    sender = cairn.token("sender", "all")
    answer = cairn.ingest("-", stdin="\n".join(lines).encode(), token=sender, codes=(0, 3))
    assert answer["accepted"] + answer["duplicate"] + answer["refused"] == 463
    assert answer["accepted"] > 300 and answer["refused"] > 0

    history = cairn.sql(f"SELECT account_id, raw FROM history WHERE {SENT}")
    quarantine = cairn.sql("SELECT reason, raw_base64 FROM quarantine")
    assert len(history) == answer["accepted"]
    assert len(quarantine) == answer["refused"]
    kept = {r["raw"] for r in history} | {raw.decode() for raw in independent.quarantined(quarantine)}
    assert kept == set(lines), "something was dropped"
    # Whoever names a good account is in; account 1231231234 has too few digits.
    for row in history:
        assert str(independent.account_of(json.loads(row["raw"]))) == row["account_id"]
    reasons = Counter(r["reason"] for r in quarantine)
    assert reasons["account_invalid"] > 0 and reasons["account_missing"] > 0


def test_other_clouds_are_quarantined_not_guessed(cairn):
    """Kubernetes and Google Cloud audit records are none of the dialects."""
    lines = []
    for name in ("Amazon.EKS.Audit.ndjson", "GCP.AuditLog.ndjson"):
        rows = (TESTDATA / "other" / name).read_text().splitlines()
        lines += [json.dumps(json.loads(row)["log"], separators=(",", ":")) for row in rows[:40]]
    answer = cairn.ingest("-", stdin="\n".join(lines).encode(), codes=(3,))
    assert answer["accepted"] == 0
    rows = cairn.sql("SELECT reason, raw_base64 FROM quarantine")
    kept = {raw.decode() for raw in independent.quarantined(rows)}
    assert kept == set(lines)
