"""Bad events and bad requests: each has one required outcome, and the events beside it go in.

The numbers are those of the list in docs/testing.md.
"""

import base64
import datetime
import gzip
import hashlib
import json
import random
import socket
import threading

import pytest
import requests
import zstandard

from cairn import ABSENT, SENT, Cairn, action, event

ONE, TWO = "111111111111", "222222222222"

# An identity that names no account: the event's own field has to.
NOBODY = {"type": "IAMUser", "userName": "alice"}


@pytest.fixture(scope="module")
def shared(folders):
    """The server of this file: small limits, so that going beyond them is cheap."""
    with Cairn(folders("bad"), arguments=[
            "--server-max-body-bytes", "16MiB", "--server-max-decompressed-bytes", "32MiB",
            "--server-request-timeout", "5s"]) as server:
        yield server
        server.stop()


def lines(*events):
    """NDJSON of events (values, text or bytes)."""
    out = []
    for one in events:
        if isinstance(one, dict):
            one = json.dumps(one)
        out.append(one.encode() if isinstance(one, str) else one)
    return b"\n".join(out) + b"\n"


def statuses(answer):
    return [e["status"] for e in answer["events"]]


def quarantine(cairn, raw):
    """The quarantine rows that hold exactly these bytes."""
    text = base64.b64encode(raw).decode()
    return cairn.sql(f"SELECT reason, detail, size, sender, log_offset FROM quarantine WHERE raw_base64 = '{text}'")


def refused_alone(cairn, raw, reason, name):
    """Sends `raw` between two good events: those go in, `raw` lies in quarantine for `reason`."""
    before, after = event(f"{name}-before"), event(f"{name}-after")
    answer = cairn.post(lines(before, raw, after))
    assert statuses(answer) == ["accepted", "refused", "accepted"], answer
    wanted = reason if isinstance(reason, tuple) else (reason,)
    assert answer["events"][1]["code"] in wanted, answer
    rows = quarantine(cairn, raw)
    assert [row["reason"] in wanted for row in rows] == [True], rows
    assert rows[0]["size"] == len(raw)
    assert sorted(cairn.column(f"SELECT event_id FROM history WHERE event_id LIKE '{name}-%'")) == sorted(
        [f"{name}-before", f"{name}-after"])
    return answer["events"][1]


# 1
def test_invalid_utf8_goes_to_quarantine_with_its_bytes(shared):
    raw = b'{"eventID":"utf8","recipientAccountId":"111111111111","eventName":"\xff\xfe\xc3"}'
    refused_alone(shared, raw, "invalid_utf8", "n1")


# 2
@pytest.mark.parametrize("body", [b"", b"\n\n", b"   ", b"[]", b'{"Records": []}'])
def test_an_empty_body_is_no_crash_and_no_event(shared, body):
    answer = shared.http("POST", "/v1/events", data=body)
    if answer.status_code == 200:
        assert (answer.json()["accepted"], answer.json()["refused"]) == (0, 0)
    else:
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_body"


@pytest.mark.parametrize("raw", [b"{}", b"null", b"[]", b'""', b"17", b"true"])
def test_an_event_that_is_none_goes_to_quarantine(shared, raw):
    name = "n2" + hashlib.sha256(raw).hexdigest()[:6]
    body = b"[" + b",".join([json.dumps(event(name + "-a")).encode(), raw, json.dumps(event(name + "-b")).encode()]) + b"]"
    answer = shared.post(body)
    assert statuses(answer) == ["accepted", "refused", "accepted"], answer
    assert answer["events"][1]["code"] in ("empty", "not_an_object", "unknown_dialect", "account_missing")
    assert len(quarantine(shared, raw)) == 1


# 3
@pytest.mark.parametrize("size", [2_000_000, 10_000_000])
def test_an_event_of_megabytes_is_too_large_and_its_neighbours_are_not(shared, size):
    raw = json.dumps(event(f"n3-{size}-huge", userAgent="x" * size)).encode()
    answer = shared.http("POST", "/v1/events", data=lines(event(f"n3-{size}-a"), raw, event(f"n3-{size}-b")))
    if answer.status_code == 413:
        # Beyond what a body may have: then nothing of it was taken.
        assert answer.json()["error"]["code"] == "too_large"
        assert shared.one(f"SELECT count(*) FROM history WHERE event_id LIKE 'n3-{size}-%'") == 0
    else:
        answer = answer.json()
        assert statuses(answer) == ["accepted", "refused", "accepted"]
        assert answer["events"][1]["code"] == "too_large"
        assert sorted(shared.column(f"SELECT event_id FROM history WHERE event_id LIKE 'n3-{size}-%'")) == [
            f"n3-{size}-a", f"n3-{size}-b"]


# 4
@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("depth", [100, 10_000, 100_000])
def test_deep_nesting_is_refused_without_a_crash(shared, opening, closing, depth):
    value = opening * depth + b"1" + closing * depth
    raw = json.dumps(event(f"n4-{depth}-{len(opening)}", requestParameters="@")).encode().replace(b'"@"', value)
    answer = shared.http("POST", "/v1/events", data=lines(event("n4-good"), raw))
    assert answer.status_code in (200, 400, 413), answer.text
    if answer.status_code == 200:
        assert answer.json()["events"][1]["status"] == "refused"
        assert answer.json()["events"][1]["code"] in ("too_deep", "too_large")
    assert shared.http("POST", "/v1/events", data=opening * depth).status_code in (200, 400, 413)
    assert shared.http("GET", "/healthz", token=False).status_code == 200


# 5
@pytest.mark.parametrize("raw", [
    b'{"eventID":"n5","recipientAccountId":"111111111111","recipientAccountId":"222222222222","eventName":"X"}',
    b'{"eventID":"n5","eventID":"n5b","recipientAccountId":"111111111111","eventName":"X"}',
    b'{"eventID":"n5","recipientAccountId":"111111111111","recipientAccount\\u0049d":"222222222222","eventName":"Y"}',
    b'{"eventID":"n5","recipientAccountId":"111111111111","readOnly":true,"eventName":"X","readOnly":false}',
], ids=["account", "id", "escaped", "readonly"])
def test_a_key_given_twice_is_refused_and_stored_under_no_account(shared, raw):
    name = "n5" + hashlib.sha256(raw).hexdigest()[:6]
    refused_alone(shared, raw, "duplicate_key", name)
    assert shared.one("SELECT count(*) FROM history WHERE event_id LIKE 'n5' OR event_id = 'n5b'") == 0


# 6
def test_an_event_of_another_account_is_refused_kept_and_reported(cairn):
    sender = cairn.token("sender", [ONE])
    raw = json.dumps(event("n6", account=TWO)).encode()
    answer = cairn.post(lines(event("n6-own", account=ONE), raw), token=sender)
    assert statuses(answer) == ["accepted", "refused"]
    assert answer["events"][1]["code"] == "account_mismatch" and answer["events"][1]["quarantined"] is True
    assert [row["reason"] for row in quarantine(cairn, raw)] == ["account_mismatch"]
    assert cairn.one(f"SELECT count(*) FROM history WHERE account_id = '{TWO}'") == 0
    # The attempt is not in the accounts, but it is on record.
    assert TWO not in [a["id"] for a in cairn.http("GET", "/v1/accounts").json()["accounts"]]


# 7
@pytest.mark.parametrize("account", [
    "../../x", "%2e%2e", "a/b", "", "1" * 300, "１２３４５６７８９０１２", "11111111111", "11111111111a", "111111111111\n",
    "111111111111/..", " 111111111111", "-11111111111", None, ["111111111111"], {"a": 1}, True],
    ids=lambda v: repr(v)[:24])
def test_an_account_id_that_is_none_is_refused_and_makes_no_object(shared, account):
    name = "n7" + hashlib.sha256(repr(account).encode()).hexdigest()[:6]
    before = {p.name for p in (shared.data / "store/control/account").glob("*")}
    raw = json.dumps(event(name, recipientAccountId=account, userIdentity=NOBODY)).encode()
    refused_alone(shared, raw, ("account_invalid", "account_missing"), name + "x")
    after = {p.name for p in (shared.data / "store/control/account").glob("*")}
    assert after - before <= {ONE}
    assert all(p.name.isdigit() for p in (shared.data / "store/control/account").glob("*"))


@pytest.mark.parametrize("account", ["../../x", "%2e%2e", "a%2fb", "", "１２３４５６７８９０１２"])
def test_the_account_of_the_request_is_checked_too(shared, account):
    answer = shared.http("POST", "/v1/events", params={"account": account},
                         json=event("n7-query", recipientAccountId=ABSENT, userIdentity=NOBODY))
    assert answer.status_code in (400, 403) or answer.json()["accepted"] == 0
    assert shared.one("SELECT count(*) FROM history WHERE event_id = 'n7-query'") == 0


# 8
@pytest.mark.parametrize("text", [
    '"\\ud800"', '"\\udc00\\ud800"', '"a\\u0000b"', '"\\ufeffa"', '"\u202Eabc\u202D"', '"\\u001b[35;47mred"',
    '"\U0001F512 \u4e2d\u6587"', '"\\"; DROP TABLE history; --"'],
    ids=["lone", "reversed", "nul", "bom", "rtl", "escape", "wide", "quote"])
def test_strange_text_is_kept_losslessly_or_quarantined(shared, text):
    name = "n8" + hashlib.sha256(text.encode()).hexdigest()[:6]
    raw = json.dumps(event(name, userAgent="@"), ensure_ascii=False).replace('"@"', text).encode()
    answer = shared.post(lines(event(name + "-a"), raw))
    status = answer["events"][1]["status"]
    if status == "accepted":
        rows = shared.sql(f"SELECT raw, user_agent FROM history WHERE event_id = '{name}'")
        assert [row["raw"].encode() for row in rows] == [raw]
        try:
            wanted = json.loads(text).encode().decode()
        except UnicodeEncodeError:
            wanted = None
        if wanted is not None:
            assert rows[0]["user_agent"] == wanted
            # By every road out the same.
            table = shared.csv(f"SELECT raw FROM history WHERE event_id = '{name}'")
            assert table[1][0].encode() == raw
    else:
        assert len(quarantine(shared, raw)) == 1
    assert "\x1b[35;47m" not in shared.log()


def test_a_byte_order_mark_before_the_body(shared):
    answer = shared.http("POST", "/v1/events", data=b"\xef\xbb\xbf" + json.dumps(event("n8-bom")).encode())
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        kept = shared.one("SELECT count(*) FROM history WHERE event_id = 'n8-bom'") + shared.one(
            "SELECT count(*) FROM quarantine WHERE raw_base64 LIKE '77u/%'")
        assert kept == 1


# 9
@pytest.mark.parametrize("number", ["1e400", "18446744073709551616", "-0", "0.1000000000000000055511151231257827",
                                    "123456789012345678901234567890", "1E-400"])
def test_numbers_are_never_rounded(shared, number):
    name = "n9" + hashlib.sha256(number.encode()).hexdigest()[:6]
    raw = json.dumps(event(name, requestParameters={"n": "@"})).replace('"@"', number)
    assert statuses(shared.post(raw)) == ["accepted"]
    [row] = shared.sql(f"SELECT raw, request_parameters FROM history WHERE event_id = '{name}'")
    assert row["raw"] == raw
    assert number in row["request_parameters"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "01", "1.", "+1", "0x10", "1_000"])
def test_numbers_that_json_does_not_have_go_to_quarantine(shared, number):
    name = "n9" + hashlib.sha256(number.encode()).hexdigest()[:6]
    raw = json.dumps(event(name, requestParameters={"n": "@"})).replace('"@"', number).encode()
    refused_alone(shared, raw, "invalid_json", name + "x")


@pytest.mark.parametrize("field, value, column", [
    ("readOnly", "perhaps", "event_rw"), ("readOnly", 7, "event_rw"), ("managementEvent", "x", "event_category"),
    ("eventName", 5, "event_name"), ("eventName", {"a": 1}, "event_name"), ("awsRegion", ["x"], "region"),
    ("userIdentity", "root", "user_identity"), ("userIdentity", [1], "user_identity"),
    ("resources", "none", "resources"), ("resources", [1, None, {"ARN": 5}], "resources"),
    ("requestParameters", "text", "request_parameters"), ("errorCode", 404, "error_code"),
    ("additionalEventData", [], "additional_event_data"), ("tlsDetails", "x", "tls_version")],
    ids=lambda v: str(v)[:16])
def test_fields_of_the_wrong_kind_do_not_lose_the_event(shared, field, value, column):
    name = "n9" + hashlib.sha256(f"{field}{value}".encode()).hexdigest()[:6]
    raw = json.dumps(event(name, **{field: value}))
    assert statuses(shared.post(raw)) == ["accepted"]
    [row] = shared.sql(f"SELECT raw, {column} FROM history WHERE event_id = '{name}'")
    assert row["raw"] == raw


# 10
@pytest.mark.parametrize("time, flag", [
    (ABSENT, "event_time_missing"), (None, "event_time_missing"), ("", None), ("2026-13-45T00:00:00Z", "event_time_invalid"),
    ("yesterday", "event_time_invalid"), ({"a": 1}, "event_time_invalid"),
    ("2026-02-30T00:00:00Z", "event_time_invalid"), ("99999-01-01T00:00:00Z", "event_time_invalid"),
    ("-292277-01-01T00:00:00Z", "event_time_invalid")],
    ids=lambda v: "absent" if v is ABSENT else repr(v)[:26])
def test_a_time_that_is_none_gives_way_to_the_ingest_time(shared, time, flag):
    name = "n10" + hashlib.sha256(("absent" if time is ABSENT else repr(time)).encode()).hexdigest()[:6]
    assert statuses(shared.post(event(name, eventTime=time))) == ["accepted"]
    [row] = shared.sql(
        f"SELECT event_time = ingest_time AS same, flags FROM history WHERE event_id = '{name}'")
    if flag is not None:
        assert row["same"] and flag in row["flags"]
    else:
        # An empty text: said to be none in one way or the other.
        assert {"event_time_missing", "event_time_invalid"} & set(row["flags"] or [])


@pytest.mark.parametrize("time, epoch", [
    ("1601-01-01T00:00:00Z", -11644473600), ("9999-12-31T23:59:59Z", 253402300799),
    ("2016-12-31T23:59:60Z", None), ("2026-01-02T03:04:05.123456789Z", None),
    ("2026-01-02T03:04:05+08:00", 1767294245), ("2026-01-02T03:04:05", None), ("0001-01-01T00:00:00Z", -62135596800)])
def test_times_at_the_edge_are_no_panic_and_no_overflow(shared, time, epoch):
    name = "n10e" + hashlib.sha256(time.encode()).hexdigest()[:6]
    assert statuses(shared.post(event(name, eventTime=time))) == ["accepted"]
    [row] = shared.sql(
        f"SELECT date_part('epoch', event_time) AS t, flags, raw FROM history WHERE event_id = '{name}'")
    if epoch is not None:
        assert float(row["t"]) == epoch or "event_time_invalid" in (row["flags"] or [])
    assert time in row["raw"]
    shared.flush()
    assert shared.one(f"SELECT count(*) FROM history WHERE event_id = '{name}'") == 1


# 11
def test_an_event_91_days_late_is_kept_and_flagged(cairn):
    late = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=91)).strftime("%Y-%m-%dT%H:%M:%SZ")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    cairn.post([event("n11", eventTime=late), event("n11-now", eventTime=now)])
    cairn.flush()
    cairn.restart()
    rows = {r["event_id"]: r["late"] for r in cairn.sql(f"SELECT event_id, late FROM history WHERE {SENT}")}
    assert rows == {"n11": True, "n11-now": False}


# 12
def test_an_event_from_the_future_is_flagged_and_holds_up_nothing(cairn):
    cairn.post(event("n12-future", eventTime="2036-01-01T00:00:00Z"))
    cairn.flush()
    cairn.post([event(f"n12-{n}") for n in range(3)])
    cairn.flush()
    rows = cairn.sql("SELECT event_id, flags, late FROM history WHERE event_id LIKE 'n12-%' ORDER BY event_time DESC")
    assert rows[0]["event_id"] == "n12-future" and "event_time_future" in rows[0]["flags"]
    assert rows[0]["late"] is False and len(rows) == 4


# 13
def test_the_same_event_three_times_in_one_body_and_again(cairn):
    raw = json.dumps(event("n13"))
    answer = cairn.post(lines(raw, raw, raw))
    assert statuses(answer) == ["accepted", "duplicate", "duplicate"]
    assert len({e["offset"] for e in answer["events"]}) == 1
    assert statuses(cairn.post("[" + raw + "]")) == ["duplicate"]
    cairn.flush()
    assert statuses(cairn.post('{"Records": [' + raw + "]}")) == ["duplicate"]
    cairn.restart(hard=True)
    assert statuses(cairn.post(raw)) == ["duplicate"]
    assert statuses(cairn.post(gzip.compress(raw.encode()), headers={"Content-Encoding": "gzip"})) == ["duplicate"]
    assert cairn.one("SELECT count(*) FROM history WHERE event_id = 'n13'") == 1


def test_the_same_event_from_many_senders_at_once(cairn):
    bodies = lines(*[event(f"n13c-{n}") for n in range(40)])
    answers = []

    def send():
        answers.append(requests.post(
            cairn.url + "/v1/events", data=bodies, headers={"Authorization": "Bearer " + cairn.admin}, timeout=120).json())
    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=150)
    assert len(answers) == 8
    assert sum(a["accepted"] for a in answers) == 40 and sum(a["duplicate"] for a in answers) == 280
    offsets = {tuple(e["offset"] for e in a["events"]) for a in answers}
    assert len(offsets) == 1, "receipts of one event name different places"
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 40


# 14
def test_the_same_id_with_another_body_is_kept_and_flagged(cairn):
    cairn.post([event("n14"), event("n14", eventName="Other")])
    cairn.flush()
    cairn.restart(hard=True)
    assert statuses(cairn.post(event("n14", eventName="Third"))) == ["accepted"]
    assert statuses(cairn.post(event("n14", eventName="Other"))) == ["duplicate"]
    rows = cairn.sql("SELECT event_name, flags FROM history WHERE event_id = 'n14' ORDER BY log_offset")
    assert [r["event_name"] for r in rows] == ["GetObject", "Other", "Third"]
    assert ["conflicting_duplicate" in (r["flags"] or []) for r in rows] == [False, True, True]


# 15
def test_a_missing_id_is_made_from_the_place_in_the_log(cairn):
    answer = cairn.post([event(ABSENT), event(ABSENT, eventName="Other")])
    made = [e["event_id"] for e in answer["events"]]
    assert len(set(made)) == 2 and statuses(answer) == ["accepted", "accepted"]
    rows = cairn.sql(f"SELECT event_id, flags FROM history WHERE {SENT} ORDER BY log_offset")
    assert [r["event_id"] for r in rows] == made
    assert all("event_id_generated" in r["flags"] for r in rows)
    cairn.restart(hard=True)
    assert cairn.column(f"SELECT event_id FROM history WHERE {SENT} ORDER BY log_offset") == made


# 16
def test_one_id_in_two_accounts_is_two_events(cairn):
    assert statuses(cairn.post([event("n16", account=ONE), event("n16", account=TWO)])) == ["accepted", "accepted"]
    rows = cairn.sql("SELECT account_id, flags FROM history WHERE event_id = 'n16' ORDER BY account_id")
    assert [r["account_id"] for r in rows] == [ONE, TWO]
    assert all("conflicting_duplicate" not in (r["flags"] or []) for r in rows)


# 17
def memory(cairn):
    """Peak resident memory of the server, in bytes."""
    text = open(f"/proc/{cairn.process.pid}/status").read()
    return next(int(l.split()[1]) * 1024 for l in text.splitlines() if l.startswith("VmHWM"))


@pytest.mark.parametrize("name, body", [
    ("gzip", lambda: gzip.compress(b" " * 400_000_000, 1)),
    ("gzip-members", lambda: gzip.compress(b" " * 10_000_000) * 100),
    ("zstd", lambda: zstandard.compress(b" " * 400_000_000)),
    ("zstd-window", lambda: zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compress(random.Random(1).randbytes(300_000) * 1000)),
], ids=lambda v: v if isinstance(v, str) else "")
def test_a_bomb_is_refused_within_bounded_memory(shared, name, body):
    body = body()
    before = memory(shared)
    answer = shared.http("POST", "/v1/events", data=body, headers={"Content-Encoding": name.split("-")[0]})
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["code"] in ("too_large", "invalid_body")
    assert memory(shared) - before < 150_000_000


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_compression_cut_short_or_wrong_takes_nothing(shared, name):
    pack = gzip.compress if name == "gzip" else zstandard.compress
    raw = lines(*[event(f"n17-{name}-{n}") for n in range(200)])
    whole = pack(raw)
    for body in (whole[:-10], whole[:len(whole) // 2], whole[:20], pack(raw)[:-4] + b"\0\0\0\1" if name == "gzip" else whole[:-1]):
        answer = shared.http("POST", "/v1/events", data=body, headers={"Content-Encoding": name})
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_body", answer.text
    answer = shared.http("POST", "/v1/events", data=b"not compressed at all", headers={"Content-Encoding": name})
    assert answer.status_code == 400
    assert shared.one(f"SELECT count(*) FROM history WHERE event_id LIKE 'n17-{name}-%'") == 0
    answer = shared.http("POST", "/v1/events", data=whole, headers={"Content-Encoding": name}, check=200)
    assert answer.json()["accepted"] == 200


def test_compression_is_recognised_and_may_have_members(shared):
    members = gzip.compress(lines(event("n17-m1"))) + gzip.compress(lines(event("n17-m2")))
    assert shared.post(members)["accepted"] == 2
    assert shared.post(zstandard.compress(lines(event("n17-z"))))["accepted"] == 1


def test_compression_in_compression_is_not_opened(shared):
    nested = gzip.compress(gzip.compress(lines(event("n17-nested"))))
    answer = shared.http("POST", "/v1/events", data=nested, headers={"Content-Encoding": "gzip"})
    assert answer.status_code in (200, 400)
    assert shared.one("SELECT count(*) FROM history WHERE event_id = 'n17-nested'") == 0


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "nonsense"])
def test_other_encodings_are_named_as_such(shared, encoding):
    answer = shared.http("POST", "/v1/events", data=b"xx", headers={"Content-Encoding": encoding}, check=415)
    assert answer.json()["error"]["code"] == "unsupported_encoding"


# 18
def talk(cairn, data, within=120):
    """Raw bytes to the server, and the start of its answer: empty where it just hangs up, None where it never ends."""
    with socket.create_connection(("127.0.0.1", cairn.port), timeout=within) as connection:
        received = b""
        try:
            connection.sendall(data)
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received and b"HTTP/1.1" in received:
                    break
        except TimeoutError:
            return None
        except ConnectionError:
            pass
        return received


def head(cairn, *more):
    return "\r\n".join([
        "POST /v1/events HTTP/1.1", "Host: cairn", f"Authorization: Bearer {cairn.admin}", *more, "", ""]).encode()


def test_a_body_that_does_not_come_to_an_end_is_timed_out(shared):
    """Half a body, then silence: the server does not wait for ever, and takes nothing."""
    body = json.dumps(event("n18-half")).encode()
    answer = talk(shared, head(shared, f"Content-Length: {len(body) + 100}") + body)
    assert answer is not None, "the server waits for ever"
    assert answer == b"" or b" 408 " in answer or b" 400 " in answer
    assert shared.one("SELECT count(*) FROM history WHERE event_id = 'n18-half'") == 0


def test_chunks_without_an_end_are_timed_out(shared):
    body = json.dumps(event("n18-chunk")).encode()
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    answer = talk(shared, head(shared, "Transfer-Encoding: chunked") + chunk)
    assert answer is not None, "the server waits for ever"
    assert answer == b"" or b" 408 " in answer or b" 400 " in answer
    assert shared.one("SELECT count(*) FROM history WHERE event_id = 'n18-chunk'") == 0


def test_a_body_longer_than_it_said(shared):
    body = json.dumps(event("n18-longer")).encode()
    answer = talk(shared, head(shared, "Content-Length: 10") + body)
    assert answer is not None and (b" 400 " in answer or b" 200 " in answer)
    assert shared.one("SELECT count(*) FROM history WHERE event_id = 'n18-longer'") == 0


def test_a_hundred_thousand_headers(shared):
    many = "\r\n".join(f"X-{n}: {n}" for n in range(100_000))
    answer = talk(shared, head(shared, many, "Content-Length: 0"))
    assert answer is not None
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"431")
    assert shared.http("GET", "/healthz", token=False).status_code == 200


def test_requests_in_a_pipeline_are_answered_in_order(shared):
    first, second = (json.dumps(event(f"n18-pipe{n}")).encode() for n in (1, 2))
    data = b"".join(head(shared, f"Content-Length: {len(b)}") + b for b in (first, second))
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as connection:
        connection.sendall(data)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 or b"n18-pipe2" not in received:
            chunk = connection.recv(65536)
            assert chunk, received
            received += chunk
    assert received.index(b"n18-pipe1") < received.index(b"n18-pipe2")


def test_many_slow_connections_do_not_hold_up_others(shared):
    slow = [socket.create_connection(("127.0.0.1", shared.port), timeout=30) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: cairn\r\nX-Slow: ")
        assert shared.post(event("n18-among-slow"))["accepted"] == 1
    finally:
        for connection in slow:
            connection.close()


# 19
def test_one_bad_among_a_hundred_and_the_whole_again(cairn):
    made = [json.dumps(event(f"n19-{n:03d}")) for n in range(100)]
    made[57] = '{"eventID": "n19-057", "recipientAccountId": "12"}'
    body = lines(*made)
    first = cairn.post(body)
    assert (first["accepted"], first["duplicate"], first["refused"]) == (99, 0, 1)
    assert [e["index"] for e in first["events"] if e["status"] == "refused"] == [57]
    again = cairn.post(body)
    assert (again["accepted"], again["duplicate"], again["refused"]) == (0, 99, 1)
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 99
    short = cairn.post(body, receipts="refused")
    assert [e["index"] for e in short["events"]] == [57] and short["duplicate"] == 99


def test_the_command_line_says_so_by_its_exit_code(cairn):
    body = lines(event("n19-cli"), b'{"broken": ')
    done = cairn.cli("ingest", "-", stdin=body, codes=(3,))
    last = done.out.strip().splitlines()[-1]
    assert "1" in last and ("refused" in last or "quarantine" in last)
    assert cairn.ingest("-", stdin=lines(event("n19-cli")))["duplicate"] == 1


# 20
def test_a_connection_dropped_before_the_answer_gives_the_same_receipts_later(cairn):
    body = lines(*[event(f"n20-{n}") for n in range(30)])
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", cairn.port), timeout=30) as connection:
            connection.sendall(head(cairn, f"Content-Length: {len(body)}") + body)
    first = cairn.post(body)
    second = cairn.post(body)
    assert first["accepted"] + first["duplicate"] == 30 and second["duplicate"] == 30
    assert [e["offset"] for e in first["events"]] == [e["offset"] for e in second["events"]]
    rows = cairn.sql(f"SELECT event_id, log_offset FROM history WHERE {SENT}")
    assert {r["event_id"]: r["log_offset"] for r in rows} == {
        e["event_id"]: e["offset"] for e in second["events"]} and len(rows) == 30


# 21
@pytest.mark.parametrize("version", ["9.99", "2.0", "", 3, 1.5, None, "ten"], ids=repr)
def test_an_unknown_version_and_unknown_fields_are_kept(shared, version):
    name = "n21" + hashlib.sha256(repr(version).encode()).hexdigest()[:6]
    raw = json.dumps(event(name, eventVersion=version, notYetInvented={"a": [1, {"b": "c"}]}, ünï="ø"), ensure_ascii=False)
    assert statuses(shared.post(raw)) == ["accepted"]
    rows = shared.sql(
        f"SELECT raw, json_get_str(raw, 'notYetInvented', 'a', 1, 'b') AS c FROM history WHERE event_id = '{name}'")
    assert rows == [{"raw": raw, "c": "c"}]


def test_whitespace_and_order_of_keys_are_kept(shared):
    raw = '{ "eventVersion" :"1.08",  "recipientAccountId":"111111111111","eventName": "X" ,\t"eventID":"n21-space" }'
    assert statuses(shared.post(raw)) == ["accepted"]
    assert shared.column("SELECT raw FROM history WHERE event_id = 'n21-space'") == [raw]


# 22
def test_filters_at_their_edges(cairn):
    cairn.trail("one_region", "--regions", "eu-west-1")
    cairn.trail("unknown_region", "--regions", "atlantis-1")
    cairn.trail("all_regions")
    cairn.trail("reads", "--rw", "Read")
    cairn.trail("writes", "--rw", "Write")
    cairn.post([
        event("case", awsRegion="EU-WEST-1"), event("plain"), event("none", awsRegion=ABSENT),
        event("unknown", awsRegion="atlantis-1"), event("spaced", awsRegion="eu-west-1 "),
        event("derived-read", readOnly=ABSENT, eventName="DescribeThings"),
        event("derived-write", readOnly=ABSENT, eventName="FrobnicateThings"),
    ])
    cairn.flush()

    def ids(name):
        return set(cairn.column(f"SELECT event_id FROM trails.{name} WHERE {SENT}"))
    everything = {"case", "plain", "none", "unknown", "spaced", "derived-read", "derived-write"}
    assert ids("one_region") == {"case", "plain", "derived-read", "derived-write"}
    assert ids("unknown_region") == {"unknown"}
    assert ids("all_regions") == everything
    assert ids("writes") == {"derived-write"}
    assert ids("reads") == everything - {"derived-write"}


# -- the body as a whole ------------------------------------------------------

@pytest.mark.parametrize("body", [
    b"hello", b"<xml/>", b"[", b'[{"a": 1}', b'{"Records": [', b'{"Records": 5}', b'{"Records": {"a": 1}}', b"\x00" * 100,
    b"eventID=1&recipientAccountId=111111111111"])
def test_a_body_that_is_none_is_refused_whole(shared, body):
    answer = shared.http("POST", "/v1/events", data=body)
    assert answer.status_code in (400, 200), answer.text
    if answer.status_code == 200:
        # One unreadable line may count as one bad event; it is never lost without a word.
        told = answer.json()
        assert told["accepted"] == 0 and told["refused"] >= 1
    else:
        assert answer.json()["error"]["code"] == "invalid_body"


def test_forms_of_a_body(shared):
    one, two = json.dumps(event("form-1")), json.dumps(action("form-2", account=ONE))
    for body in (one, "[" + two + "]", '{"Records":[' + one + "," + two + "]}", one + "\r\n" + two + "\r\n",
                 '  \n[ ' + one + ' ,\n' + two + ' ]\n', json.dumps({"contents": {"event": two}})):
        answer = shared.post(body)
        assert answer["refused"] == 0
    assert shared.one("SELECT count(*) FROM history WHERE event_id LIKE 'form-%'") == 2


def test_random_bytes_do_no_harm(shared):
    """A thousand mutations of a good event: each accepted, refused or quarantined, none a fault of the server."""
    seed = random.Random(20260102)
    good = json.dumps(event("mutant")).encode()
    batch = []
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(seed.choice([1, 1, 2, 8])):
            at = seed.randrange(len(data))
            data[at:at + seed.choice([0, 1, 1, 5])] = seed.choice([b"", b"\xff", b'"', b"{", b"}", b"\\", b"[", b"\x00", b"\\u0000", b"e9"])
        batch.append(bytes(data).replace(b"\n", b" "))
    for start in range(0, 1000, 100):
        answer = shared.http("POST", "/v1/events", data=good + b"\n" + b"\n".join(batch[start:start + 100]))
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["accepted"] + told["duplicate"] + told["refused"] >= 90
    assert shared.http("GET", "/readyz", token=False).status_code == 200
