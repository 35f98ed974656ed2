"""Running it: wrong settings, a second server, stopping, logs, metrics, its own audit, quarantine."""

import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
import requests

from cairn import SENT, Cairn, binary, clean_environment, event, free_port
from fleet import wait_for

ONE, TWO = "111111111111", "222222222222"


def run(*arguments, env=None, within=60):
    """A `cairn` that is to end by itself."""
    return subprocess.run([binary(), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=clean_environment(env), timeout=within)


# -- settings -----------------------------------------------------------------

@pytest.mark.parametrize("arguments, word", [
    (["--listen", "nonsense"], "listen"),
    (["--listen", "127.0.0.1:99999"], "listen"),
    (["--no-such-setting", "1"], "no-such-setting"),
    (["--config", "/no/such/file.toml"], "/no/such/file.toml"),
])
def test_wrong_settings_are_named(tmp_path, arguments, word):
    done = run("serve", "--data", tmp_path / "data", *arguments)
    assert done.returncode != 0
    assert word in done.stderr, done.stderr
    assert "panicked" not in done.stderr and "RUST_BACKTRACE" not in done.stderr


def test_an_unknown_key_in_the_settings_file_is_named(tmp_path):
    file = tmp_path / "cairn.toml"
    file.write_text('surprising_key = "x"\n')
    done = run("serve", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{free_port()}", "--config", file)
    assert done.returncode != 0 and "surprising_key" in done.stderr, done.stderr


def test_a_data_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run("serve", "--data", tmp_path / "file", "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0 and str(tmp_path / "file") in done.stderr
    assert "panicked" not in done.stderr


def test_an_address_in_use_is_named(cairn, tmp_path):
    done = run("serve", "--data", tmp_path / "other", "--listen", f"127.0.0.1:{cairn.port}")
    assert done.returncode != 0 and str(cairn.port) in done.stderr


def test_a_second_server_on_the_same_folder_is_refused(cairn):
    done = run("serve", "--data", cairn.data, "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0
    assert str(cairn.data) in done.stderr or "LOCK" in done.stderr
    assert cairn.post(event("still-here"))["accepted"] == 1
    # The lock goes with the process, not with a file that a crash leaves behind.
    cairn.restart(hard=True)


@pytest.mark.parametrize("arguments", [
    ["sql"], ["trail", "create"], ["token", "create", "--role", "king", "--accounts", "all"],
    ["token", "create", "--role", "auditor", "--accounts", "12"], ["trail", "update", "no-such-trail", "--rw", "All"],
    ["trail", "create", "abc", "--rw", "Sometimes"], ["trail", "create", "abc", "--select", "colour=red"],
    ["ingest", "/no/such/file.json"], ["account", "add", "../x"], ["nonsense"]])
def test_wrong_commands_say_what_is_wrong(shared, arguments):
    done = shared.cli(*arguments, codes=range(1, 100))
    assert done.returncode not in (0, 3) and len(done.err) > 10
    assert "panicked" not in done.err


def test_without_a_server_or_a_token_the_command_line_says_so(shared):
    done = run("status", "--url", f"http://127.0.0.1:{free_port()}", "--token", "x")
    assert done.returncode not in (0, 3) and "127.0.0.1" in done.stderr
    done = run("status", "--url", shared.url)
    assert done.returncode not in (0, 3) and "token" in done.stderr.lower()
    done = run("status", "--url", shared.url, "--token", "cairn_wrong")
    assert done.returncode not in (0, 3) and "token" in done.stderr.lower()


# -- files ---------------------------------------------------------------------

def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_administrators_token_is_its_owners_alone(cairn):
    assert mode(cairn.data / "admin.token") == 0o600
    first = cairn.admin
    cairn.restart()
    assert cairn.admin == first and mode(cairn.data / "admin.token") == 0o600
    assert mode(cairn.data) & 0o077 == 0
    # Kept as a hash: the text stands in that one file only.
    for path in cairn.data.rglob("*"):
        if path.is_file() and path.name != "admin.token":
            assert first.encode() not in path.read_bytes(), path


def test_a_symbolic_link_in_the_store_is_refused(tmp_path):
    """Planted links must not lead the server out of its folder."""
    with Cairn(tmp_path / "data") as cairn:
        cairn.post(event("before"))
        cairn.stop()
    outside = tmp_path / "outside"
    outside.mkdir()
    history = tmp_path / "data/store/tables/history"
    history.rename(outside / "history")
    history.symlink_to(outside / "history")
    done = run("serve", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0 and "link" in done.stderr.lower()


# -- stopping ------------------------------------------------------------------

def test_sigterm_ends_it_in_time_and_loses_nothing(cairn):
    """Stopped again and again under load: each stop within 10 s, exit 0, every receipt honoured."""
    acknowledged = []
    ended = threading.Event()

    def send():
        session = requests.Session()
        session.trust_env = False
        number = 0
        while not ended.is_set():
            names = [f"t{number}-{n}" for n in range(10)]
            number += 1
            body = json.dumps([event(name) for name in names])
            while not ended.is_set():
                try:
                    answer = session.post(cairn.url + "/v1/events", data=body, timeout=60,
                                          headers={"Authorization": "Bearer " + token})
                except requests.RequestException:
                    time.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    acknowledged.extend(names)
                    break
                assert answer.status_code in (429, 503), answer.text
                time.sleep(0.05)

    token = cairn.token("sender")
    thread = threading.Thread(target=send)
    thread.start()
    try:
        for _ in range(4):
            time.sleep(1)
            assert cairn.stop() == 0
            cairn.start()
    finally:
        ended.set()
        thread.join(timeout=120)
    there = cairn.column(f"SELECT event_id FROM history WHERE {SENT}")
    assert len(there) == len(set(there))
    assert set(acknowledged) <= set(there) and len(acknowledged) > 50


def test_sigterm_with_open_connections_ends_it_all_the_same(cairn):

    idle = [socket.create_connection(("127.0.0.1", cairn.port)) for _ in range(20)]
    idle[0].sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert cairn.stop() == 0
    for connection in idle:
        connection.close()
    cairn.start()


def test_interrupt_is_like_terminate(cairn):
    cairn.post(event("kept"))
    cairn.process.send_signal(signal.SIGINT)
    assert cairn.process.wait(timeout=30) == 0
    cairn.start()
    assert cairn.column(f"SELECT event_id FROM history WHERE {SENT}") == ["kept"]


# -- what it tells of itself -----------------------------------------------------

def test_health_readiness_and_metrics(shared):
    shared.post([event("m-1"), event("m-2")])
    assert shared.http("GET", "/healthz", token=False).status_code == 200
    assert shared.http("GET", "/readyz", token=False).status_code == 200
    answer = shared.http("GET", "/metrics", token=False, check=200)
    assert answer.headers["Content-Type"].startswith("text/plain")
    samples = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert samples and all(re.fullmatch(r'[a-zA-Z_:][\w:]*(\{[^{}]*\})? \S+', line) for line in samples)
    assert any(line.startswith("cairn_") for line in samples)


def test_status_tells_positions_and_lags(shared):
    shared.post(event("s-1"))
    shared.flush()
    told = shared.cli_json("status")
    assert {"log", "history", "trails"} <= set(told)
    assert shared.cli("status").out.strip()


def test_no_token_and_no_event_in_the_log(cairn):
    secret = "very-private-user-name"
    token = cairn.token("sender", [ONE])
    cairn.post([event("l-1", userIdentity={"type": "IAMUser", "userName": secret})], token=token)
    cairn.http("POST", "/v1/events", data=json.dumps(event("l-2", account=TWO, userAgent=secret)), token=token)
    cairn.http("POST", "/v1/events", data=('{"broken": "' + secret).encode(), token=token)
    cairn.ask(f"SELECT * FROM history WHERE user_name = '{secret}'")
    cairn.ask(f"SELECT {secret.replace('-', '_')} FROM nowhere")
    cairn.http("GET", "/v1/whoami", token="cairn_not-a-real-token-but-a-secret")
    cairn.flush()
    admin = cairn.admin
    cairn.restart()
    log = cairn.log()
    assert log.strip(), "the server says nothing at all"
    for word in (secret, token, admin, "cairn_not-a-real-token-but-a-secret", "recipientAccountId"):
        assert word not in log


# -- its own audit ---------------------------------------------------------------

def own(cairn, where="true"):
    """Cairn's own events, oldest first, once all that were recorded can be seen."""
    cairn.flush()
    return cairn.sql("SELECT event_name, event_rw, user_name, principal_id, account_id, error_code, "
                     "request_parameters, request_id, resource_name, "
                     f"raw FROM history WHERE service_name = 'cairn' AND dialect = 'cairn' AND {where} ORDER BY log_offset")


def test_every_change_and_every_question_is_on_record(cairn):
    made = cairn.http("POST", "/v1/tokens", check=201,
                      json={"role": "auditor", "accounts": "all", "name": "somebody"}).json()
    cairn.cli("account", "add", ONE)
    cairn.trail("watched", "--rw", "Write")
    cairn.cli("trail", "update", "watched", "--rw", "All")
    cairn.cli("trail", "stop", "watched")
    cairn.cli("trail", "start", "watched")
    cairn.cli("trail", "delete", "watched")
    cairn.sql("SELECT count(*) AS asked_by_somebody FROM history", token=made["token"])
    cairn.ask("SELECT no_such_column FROM history", token=made["token"])
    cairn.http("DELETE", f"/v1/tokens/{made['id']}", check=204)
    cairn.cli("account", "remove", ONE)
    cairn.cli("organization", "set", "--name", "Example")
    rows = own(cairn)
    text = "\n".join(row["raw"] for row in rows)
    for word in ("watched", "somebody", ONE, "asked_by_somebody", "no_such_column", made["id"], "Example"):
        assert word in text, f"nothing on record says {word}"
    assert made["token"] not in text and cairn.admin not in text
    changes = [row for row in rows if row["event_rw"] == "Write"]
    assert len(changes) >= 9, [row["event_name"] for row in rows]
    assert len({row["event_name"] for row in changes}) >= 8
    questions = [row for row in rows if "asked_by_somebody" in row["raw"]]
    assert questions and questions[0]["event_rw"] == "Read"
    assert made["id"] in questions[0]["raw"], "the record does not say who asked"
    failed = [row for row in rows if "no_such_column" in row["raw"]]
    assert failed and failed[0]["error_code"]
    assert {row["account_id"] for row in rows} == {"000000000000"}


def test_the_record_survives_and_is_delivered(cairn):
    """Cairn's own events go the same way as all others: into trails, through a crash."""
    cairn.trail("audit", "--select", "service=cairn")
    cairn.trail("other", "--accounts", ONE)
    cairn.cli("trail", "stop", "other")
    cairn.restart(hard=True)
    cairn.flush()
    raws = cairn.column("SELECT raw FROM trails.audit")
    assert any("other" in raw for raw in raws)
    assert cairn.one("SELECT count(*) FROM trails.other") == 0


def test_refused_calls_are_on_record(cairn):
    auditor = cairn.token("auditor", [ONE])
    cairn.http("POST", "/v1/trails/anything/stop", token=auditor, check=403)
    cairn.http("POST", "/v1/trails", token=auditor, json={"name": "forbidden"}, check=403)
    rows = own(cairn, "error_code IS NOT NULL")
    tried = {(r["event_name"], r["event_rw"], r["request_parameters"]) for r in rows if r["error_code"] == "forbidden"}
    assert tried == {("StopLogging", "Write", '{"call":"POST /v1/trails/anything/stop"}'),
                     ("CreateTrail", "Write", '{"call":"POST /v1/trails"}')}
    assert any("forbidden" in row["raw"] or "forbidden" in row["error_code"].lower() for row in rows)


def test_a_change_that_failed_is_told_from_one_that_was_made(cairn):
    """Both are recorded before they are made; the failure has the same request."""
    for status in (201, 409):
        cairn.http("POST", "/v1/trails", json={"name": "twice"}, check=status)
    rows = [r for r in own(cairn) if r["event_name"] == "CreateTrail"]
    failed, = [r for r in rows if r["error_code"]]
    assert [r["error_code"] for r in rows if r["request_id"] == failed["request_id"]].count(None) == 1
    assert len(rows) == 3 and len({r["request_id"] for r in rows}) == 2


def test_a_new_token_is_named_by_the_id_that_its_events_tell(cairn):
    made = cairn.http("POST", "/v1/tokens", json={"role": "auditor", "accounts": "all"}, check=201).json()
    row, = [r for r in own(cairn) if r["resource_name"] == made["id"]]
    assert row["event_name"] == "CreateToken" and made["id"] in row["request_parameters"]


def test_the_account_of_its_own_events_can_be_set(cairn):
    cairn.http("PUT", "/v1/organization", json={"management_account": "999999999999"}, check=200)
    cairn.sql("SELECT 'after' AS x")
    assert "999999999999" in {row["account_id"] for row in own(cairn)}
    assert "999999999999" in cairn.cli("organization", "show").out


# -- accounts --------------------------------------------------------------------

def test_accounts_come_in_by_their_first_event_and_by_hand(cairn):
    cairn.post(event("first", account=TWO))
    cairn.cli("account", "add", ONE)

    def members():
        """Once both are registered: the first event's account is noted beside its answer."""
        found = {a["id"]: a for a in cairn.http("GET", "/v1/accounts", check=200).json()["accounts"]}
        return {ONE, TWO} <= set(found) and found

    found = wait_for(members, "not registered")
    assert all(found[a]["member"] for a in (ONE, TWO))
    cairn.restart(hard=True)
    assert {ONE, TWO} <= {a["id"] for a in cairn.cli_json("account", "list")["accounts"]}


# -- quarantine --------------------------------------------------------------------

def test_quarantined_bytes_can_be_sent_in_again(cairn):
    """What was refused for a reason that has gone comes in, once, with its own bytes."""
    sender = cairn.token("sender", [ONE, TWO])
    raw = json.dumps({k: v for k, v in event("later").items() if k not in ("recipientAccountId", "userIdentity")})
    assert cairn.post(raw, token=sender)["refused"] == 1
    assert cairn.post('{"hopeless": 1}\n{"hopeless": 2}', token=sender)["refused"] == 2
    cairn.flush()
    cairn.restart()
    assert cairn.one("SELECT count(*) FROM quarantine") == 3
    told = cairn.http("POST", "/v1/quarantine/resubmit", json={"account": ONE}, check=200).json()
    assert told["accepted"] == 1 and told["refused"] == 2
    assert cairn.column(f"SELECT raw FROM history WHERE {SENT}") == [raw]
    # What is refused once more does not come to lie there twice.
    assert cairn.one("SELECT count(*) FROM quarantine") == 3
    again = cairn.http("POST", "/v1/quarantine/resubmit", json={"account": ONE}, check=200).json()
    assert again["accepted"] == 0
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 1


def test_what_its_sender_had_no_right_to_say_needs_to_be_named_to_come_in(cairn):
    """Under an administrator's rights it would go through unnoticed."""
    cairn.post(event("foreign", account=TWO), token=cairn.token("sender", [ONE]))
    told = cairn.http("POST", "/v1/quarantine/resubmit", json={}, check=200).json()
    assert told["accepted"] == told["refused"] == 0
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 0


def test_one_record_of_the_quarantine_can_be_sent_in_again(cairn):
    sender = cairn.token("sender", [ONE])
    cairn.post([event("q-1", account=TWO), event("q-2", account=TWO)], token=sender)
    first = cairn.sql("SELECT log_source, log_partition, log_offset FROM quarantine ORDER BY log_offset")[0]
    told = cairn.http("POST", "/v1/quarantine/resubmit", check=200, json={
        "source": first["log_source"], "partition": first["log_partition"], "offset": first["log_offset"]}).json()
    assert told["accepted"] == 1
    assert cairn.column(f"SELECT event_id FROM history WHERE {SENT}") == ["q-1"]


# -- what lies on disk --------------------------------------------------------------

def test_derived_files_may_be_deleted(cairn):
    """The duplicate index is made anew from history; nothing comes in twice."""
    made = [event(f"d-{n}") for n in range(50)]
    cairn.post(made, receipts="refused")
    cairn.flush()
    cairn.stop()
    for path in sorted((cairn.data / "seen").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    cairn.start()
    assert cairn.post(made, receipts="refused")["duplicate"] == 50
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 50


def newest_segment(cairn):
    return max((p for p in (cairn.data / "log").rglob("*") if p.is_file() and p.stat().st_size), key=lambda p: p.name)


def test_a_log_of_yesterday_does_not_fit_the_tables_of_today(cairn):
    """49: part of a backup was put back. Offsets would be given out twice."""
    cairn.post(event("yesterday"))
    cairn.flush()
    cairn.stop()
    shutil.copytree(cairn.data / "log", cairn.data.parent / "backup")
    cairn.start()
    cairn.post(event("today"))
    cairn.flush()
    cairn.stop()
    shutil.rmtree(cairn.data / "log")
    shutil.copytree(cairn.data.parent / "backup", cairn.data / "log")
    with pytest.raises(RuntimeError, match="older than the tables.*same backup"):
        cairn.start()


@pytest.mark.parametrize("tail", [b"\x00" * 4096, b"garbage that was never a record", b"\xff"], ids=["zeros", "garbage", "byte"])
def test_a_torn_tail_of_the_log_is_cut_off(cairn, tail):
    """What a crash can leave at the end of the log was never acknowledged."""
    cairn.post([event(f"k-{n}") for n in range(10)])
    cairn.kill()
    segment = newest_segment(cairn)
    with open(segment, "ab") as file:
        file.write(tail)
    cairn.start()
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 10
    assert cairn.post(event("after"))["accepted"] == 1
    cairn.restart(hard=True)
    assert cairn.one(f"SELECT count(*) FROM history WHERE {SENT}") == 11
