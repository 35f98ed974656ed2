"""The door for PostgreSQL's clients, spoken to by psycopg and, for what no driver would send, by hand."""

import base64
import csv
import datetime
import hashlib
import hmac
import io
import os
import socket
import ssl
import struct
import threading
import time

import psycopg
import pytest

from cairn import SENT, Cairn, binary, clean_environment, event
from fleet import wait_for

ACCOUNTS = ["111111111111", "222222222222"]
EVENTS = 3000
# Bounds, so that nothing hangs for ever.
WITHIN = 60


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    """A server with a few thousand events of two accounts."""
    with Cairn(tmp_path_factory.mktemp("pg") / "data") as server:
        for start in range(0, EVENTS, 1000):
            server.post([
                event(f"e-{n:05}", account=ACCOUNTS[n % 2], userAgent="a,b \"c\"\n\td" if n == 7 else "test")
                for n in range(start, start + 1000)
            ])
        yield server


@pytest.fixture(scope="module")
def auditor(cairn):
    """A token for the first account alone."""
    return cairn.token("auditor", ACCOUNTS[:1])


def token_id(token):
    return token.split("_")[1]


def connect(cairn, token=None, user="anybody", **options):
    options = {"dbname": "cairn", "sslmode": "disable", "connect_timeout": WITHIN, "autocommit": True, **options}
    return psycopg.connect(host="127.0.0.1", port=cairn.pg_port, user=user, password=token or cairn.admin, **options)


# -- logins -------------------------------------------------------------------


def test_any_user_name_with_a_token_and_a_tokens_id_by_scram(cairn, auditor):
    for user in ["anybody", "ünïcode", token_id(auditor)]:
        with connect(cairn, auditor, user) as c:
            assert c.execute("SELECT count(*) FROM history WHERE " + SENT).fetchone() == (EVENTS // 2,)
    # The client itself insists that the token never travels.
    with connect(cairn, auditor, token_id(auditor), require_auth="scram-sha-256") as c:
        assert c.execute("SELECT 1").fetchone() == (1,)


def refusal(cairn, *args, **options):
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(cairn, *args, **options)
    return str(refused.value)


def test_refusals_tell_nothing_apart_and_leave_events(cairn, auditor):
    other = cairn.token("auditor", ACCOUNTS[:1])
    known, unknown = token_id(auditor), "0123456789abcdef"
    wrong = auditor[:-1] + ("0" if auditor[-1] != "0" else "1")
    words = {
        refusal(cairn, token, user).replace(f'"{user}"', '"X"')
        for token, user in [
            (wrong, known), (other, known), ("nonsense", known), (auditor, unknown),
            (wrong, "alice"), ("nonsense", "alice"),
        ]
    }
    assert len(words) == 1, words
    assert "password authentication failed" in words.pop()
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        rows = cairn.sql("SELECT request_parameters FROM history WHERE event_name = 'RejectedCall'")
        text = str(rows)
        if "PostgreSQL login" in text and known in text:
            break
        time.sleep(0.2)
    assert "PostgreSQL login" in text and known in text
    assert wrong.split("_")[2] not in text


def test_roles_databases_and_revoked_tokens(cairn):
    assert "role auditor or admin" in refusal(cairn, cairn.token("sender", ACCOUNTS[:1]))
    with pytest.raises(psycopg.OperationalError, match='database "other" does not exist'):
        connect(cairn, dbname="other")
    gone = cairn.token("auditor")
    cairn.cli("token", "revoke", token_id(gone))
    for user in ["anybody", token_id(gone)]:
        assert "password authentication failed" in refusal(cairn, gone, user)


# -- by hand ------------------------------------------------------------------


class Raw:
    """A connection without a driver."""

    def __init__(self, cairn, port=None):
        self.socket = socket.create_connection(("127.0.0.1", port or cairn.pg_port), timeout=WITHIN)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def message(self, kind, body=b""):
        self.send(kind + struct.pack("!i", len(body) + 4) + body)

    def start(self, user="anybody", code=196608, **more):
        body = struct.pack("!i", code)
        for key, value in {"user": user, "database": "cairn", **more}.items():
            body += key.encode() + b"\0" + value.encode() + b"\0"
        body += b"\0"
        self.send(struct.pack("!i", len(body) + 4) + body)

    def read(self):
        """The next message, or None at the end."""
        try:
            head = self.file.read(5)
            if len(head) < 5:
                return None
            return head[:1], self.file.read(struct.unpack("!i", head[1:])[0] - 4)
        except ConnectionResetError:
            return None

    def until(self, kind):
        """All messages up to the first of `kind`."""
        found = []
        while True:
            message = self.read()
            assert message is not None, found
            found.append(message)
            if message[0] == kind:
                return found

    def login(self, token, **options):
        self.start(**options)
        assert self.read() == (b"R", struct.pack("!i", 3))
        self.message(b"p", token.encode() + b"\0")
        return dict((m[0], m[1]) for m in self.until(b"Z"))

    def query(self, sql):
        self.message(b"Q", sql.encode() + b"\0")
        return self.until(b"Z")


def fields(body):
    """An ErrorResponse's fields."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def scram(raw, user, token, nonce="clientnonce", replay=None):
    """Logs in by SCRAM with no driver's help. Gives what was sent last, and the answer to it."""
    raw.start(user=user)
    kind, body = raw.read()
    assert kind == b"R" and body[4:].split(b"\0")[0] == b"SCRAM-SHA-256"
    bare = f"n=,r={nonce}".encode()
    first = b"n,," + bare
    raw.message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
    kind, body = raw.read()
    assert kind == b"R" and struct.unpack("!i", body[:4]) == (11,)
    server = body[4:]
    parts = dict(p.split(b"=", 1) for p in server.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", token.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
    assert int(parts[b"i"]) >= 4096
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without = b"c=biws,r=" + parts[b"r"]
    signature = hmac.digest(hashlib.sha256(client_key).digest(), bare + b"," + server + b"," + without, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    last = replay or without + b",p=" + base64.b64encode(proof)
    raw.message(b"p", last)
    return last, raw.read()


def test_a_scram_exchange_cannot_be_replayed(cairn, auditor):
    user = token_id(auditor)
    with Raw(cairn) as raw:
        last, (kind, body) = scram(raw, user, auditor)
        assert kind == b"R" and struct.unpack("!i", body[:4]) == (12,)
    with Raw(cairn) as raw:
        _, (kind, body) = scram(raw, user, auditor, replay=last)
        assert kind == b"E" and fields(body)["S"] == "FATAL"
        assert raw.read() is None


def test_an_unknown_id_gets_the_same_beginning(cairn, auditor):
    def beginning(user):
        with Raw(cairn) as raw:
            raw.start(user=user)
            mechanisms = raw.read()
            first = b"n,,n=,r=abc"
            raw.message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
            kind, body = raw.read()
            parts = dict(p.split(b"=", 1) for p in body[4:].split(b","))
            return mechanisms, kind, len(parts[b"r"]), parts[b"s"], parts[b"i"]
    known, unknown = beginning(token_id(auditor)), beginning("0123456789abcdef")
    assert known[:3] == unknown[:3] and known[4] == unknown[4]
    assert len(known[3]) == len(unknown[3])
    # And the same salt each time, as a real one has.
    assert unknown == beginning("0123456789abcdef")


HOSTILE_FIRST = [
    struct.pack("!ii", 0x7FFFFFFF, 196608),
    struct.pack("!ii", -1, 196608),
    struct.pack("!ii", 4, 196608),
    struct.pack("!ii", 10001, 196608) + b"x" * 20000,
    struct.pack("!ii", 8, 131072),
    struct.pack("!ii", 8, 196608),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    os.urandom(64),
    b"Q" + struct.pack("!i", 13) + b"SELECT 1\0",
    struct.pack("!iiii", 16, 80877102, 1, 1),
    struct.pack("!iii", 12, 80877102, 1),
    struct.pack("!ii", 8, 80877103) * 3,
]


def test_hostile_beginnings_end_the_connection_and_nothing_else(cairn):
    for first in HOSTILE_FIRST:
        with Raw(cairn) as raw:
            raw.send(first)
            answer = b""
            try:
                raw.socket.shutdown(socket.SHUT_WR)
                while part := raw.socket.recv(4096):
                    answer += part
            except OSError:
                # It was closed already.
                pass
            # An error, a no to TLS, or nothing: never an authentication request.
            assert b"R\0\0\0" not in answer, (first, answer)
    with connect(cairn) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)


def test_nothing_is_answered_before_the_login(cairn, auditor):
    for kind, body in [
        (b"P", b"\0SELECT 1\0\0\0"), (b"Q", b"SELECT 1\0"), (b"S", b""), (b"B", b"\0\0\0\0\0\0\0\0"),
    ]:
        with Raw(cairn) as raw:
            raw.start()
            raw.read()
            raw.message(kind, body)
            kind, body = raw.read()
            assert kind == b"E" and fields(body)["C"] == "08P01"
            assert raw.read() is None
    # A length that is not believed: neither before the login nor after.
    with Raw(cairn) as raw:
        raw.start()
        raw.read()
        raw.send(b"p" + struct.pack("!i", 0x7FFFFFFF) + b"x" * 100_000)
        message = raw.read()
        assert message is None or message[0] == b"E"
    with Raw(cairn) as raw:
        raw.login(auditor)
        raw.send(b"Q" + struct.pack("!i", 0x7FFFFFFF) + b"x" * 100_000)
        message = raw.read()
        assert message is None or fields(message[1])["S"] == "FATAL"


def test_broken_messages_are_errors_of_their_own_session(cairn, auditor):
    with Raw(cairn) as raw:
        raw.login(auditor)
        # Extended: skipped until Sync.
        raw.message(b"P", b"s\0SELECT 1")
        raw.message(b"B", b"\0s\0\0\0\0\0\0\0")
        raw.message(b"S")
        messages = raw.until(b"Z")
        assert [m[0] for m in messages] == [b"E", b"Z"]
        assert fields(messages[0][1])["C"] == "08P01"
        raw.message(b"Q", b"SELECT '\xff'\0")
        messages = raw.until(b"Z")
        assert fields(messages[0][1])["C"] == "22021"
        raw.message(b"F", b"\0\0\0\1")
        assert fields(raw.until(b"Z")[0][1])["C"] == "0A000"
        assert [m[0] for m in raw.query("SELECT 1")] == [b"T", b"D", b"C", b"Z"]
        raw.message(b"!", b"")
        assert fields(raw.read()[1])["S"] == "FATAL"
        assert raw.read() is None


def test_newer_protocols_are_negotiated_down(cairn, auditor):
    with Raw(cairn) as raw:
        raw.start(code=(3 << 16) | 99, **{"_pq_.something": "1"})
        kind, body = raw.read()
        assert (kind, struct.unpack("!ii", body[:8])) == (b"v", ((3 << 16) | 2, 1))
        assert body[8:] == b"_pq_.something\0"
        raw.read()
        raw.message(b"p", auditor.encode() + b"\0")
        key = dict((m[0], m[1]) for m in raw.until(b"Z"))[b"K"]
        assert len(key) == 4 + 32


# -- questions ----------------------------------------------------------------


def test_types_come_out_alike_in_text_and_binary(cairn):
    sql = """
        SELECT event_time, event_name, late, CAST(5 AS BIGINT) AS big, CAST(-7 AS SMALLINT) AS small,
               CAST(1.5 AS DOUBLE) AS d, CAST('12.340' AS DECIMAL(10, 3)) AS n, CAST(NULL AS BIGINT) AS nothing,
               CAST('2024-02-29' AS DATE) AS day, make_array('a', 'b c', NULL) AS list,
               CAST('2024-01-02T03:04:05.678' AS TIMESTAMP) AS local, INTERVAL '1 day 2 hours' AS span
        FROM history WHERE event_id = 'e-00001'"""
    utc = datetime.timezone.utc
    with connect(cairn) as c:
        text, binary_row = (c.cursor(binary=b).execute(sql).fetchone() for b in (False, True))
        names = [d.name for d in c.execute(sql).description]
    assert text == binary_row
    row = dict(zip(names, text))
    assert row["event_time"] == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=utc)
    assert (row["event_name"], row["big"], row["small"], row["d"]) == ("GetObject", 5, -7, 1.5)
    assert str(row["n"]) == "12.340" and row["nothing"] is None
    assert row["day"] == datetime.date(2024, 2, 29) and row["list"] == ["a", "b c", None]
    assert row["local"] == datetime.datetime(2024, 1, 2, 3, 4, 5, 678000)
    assert row["span"] == datetime.timedelta(days=1, hours=2)


def test_numbers_without_a_sign_are_int8(cairn):
    sql = f"""
        SELECT row_number() OVER (ORDER BY event_id) AS row, rank() OVER (ORDER BY event_name) AS rank,
               (SELECT approx_distinct(event_id) FROM history WHERE {SENT}) AS about,
               array_length(make_array(1, 2)) AS length, CAST(7 AS BIGINT UNSIGNED) AS seven
        FROM history WHERE {SENT} ORDER BY 1 LIMIT 3"""
    with connect(cairn) as c:
        for b in (False, True):
            cursor = c.cursor(binary=b).execute(sql)
            assert [d.type_code for d in cursor.description] == [20] * 5
            rows = cursor.fetchall()
            assert [row[0] for row in rows] == [1, 2, 3] and all(type(v) is int for row in rows for v in row)
            with pytest.raises(psycopg.Error, match="larger than bigint"):
                c.cursor(binary=b).execute("SELECT CAST('18446744073709551615' AS BIGINT UNSIGNED)")


def test_every_column_of_history_can_be_read(cairn):
    with connect(cairn) as c:
        for b in (False, True):
            cursor = c.cursor(binary=b).execute("SELECT * FROM history WHERE " + SENT + " LIMIT 20")
            assert len(cursor.fetchall()) == 20


def test_parameters(cairn, auditor):
    when = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    with connect(cairn, auditor) as c:
        for b in (False, True):
            found = c.cursor(binary=b).execute(
                f"SELECT count(*) FROM history WHERE {SENT} AND event_time > %s AND event_name = %s AND account_id = %s",
                (when, "GetObject", ACCOUNTS[0]), binary=b).fetchone()
            assert found == (EVENTS // 2,)
        # Named statements, prepared on the server.
        for n in range(3):
            row = c.execute("SELECT event_id FROM history WHERE event_id = %s", (f"e-{2 * n:05}",), prepare=True).fetchone()
            assert row == (f"e-{2 * n:05}",)
        # Whose account it is stays as it was: a parameter is a value and nothing else.
        assert c.execute("SELECT count(*) FROM history WHERE account_id = %s", (ACCOUNTS[1],)).fetchone() == (0,)
        with pytest.raises(psycopg.Error):
            c.execute("SELECT count(*) FROM history WHERE event_time > %s", ("no time",))
        assert c.execute("SELECT %s::int + 1", (41,)).fetchone() == (42,)
        assert c.execute("SELECT %s", (None,)).fetchone() == (None,)


def test_a_statement_is_described(cairn, auditor):
    with connect(cairn, auditor) as c:
        pg = c.pgconn
        assert pg.prepare(b"s", b"SELECT event_id, event_time FROM history WHERE event_time > $1 LIMIT $2").status == 1
        told = pg.describe_prepared(b"s")
        assert [told.param_type(n) for n in range(told.nparams)] == [1184, 20]
        assert [(told.fname(n), told.ftype(n)) for n in range(told.nfields)] == [(b"event_id", 25), (b"event_time", 1184)]
        assert pg.prepare(b"s", b"SELECT 1").error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42P05"
        assert pg.prepare(b"t", b"SELECT nothing FROM history").error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42703"


def test_errors_have_codes_and_places(cairn, auditor):
    with connect(cairn, auditor) as c:
        for sql, code, position in [
            ("SELEC 1", "42601", None),
            ("SELECT nix FROM history", "42703", 8),
            ("SELECT 1; SELECT\n  nix FROM history", "42703", 20),
            ("SELECT * FROM nowhere", "42P01", None),
            ("DELETE FROM history", "25006", None),
            ("DROP TABLE history", "25006", None),
            ("COPY history TO '/tmp/x'", "42501", None),
            ("COPY history FROM STDIN", "25006", None),
            ("SHOW nonsense", "42704", None),
            ("FETCH 1 FROM nothing", "34000", None),
        ]:
            with pytest.raises(psycopg.Error) as failed:
                c.execute(sql)
            assert failed.value.sqlstate == code, (sql, failed.value)
            if position is not None:
                assert failed.value.diag.statement_position == str(position), sql
        assert c.execute("SELECT 1").fetchone() == (1,)


def test_several_statements_run_one_after_the_other(cairn, auditor):
    with Raw(cairn) as raw:
        raw.login(auditor)
        kinds = [m[0] for m in raw.query("SELECT 1; ; SELECT 2, ';' -- end\n; SET application_name = 'x'")]
        assert kinds == [b"T", b"D", b"C", b"T", b"D", b"C", b"S", b"C", b"Z"]
        # The first that fails is the last.
        kinds = [m[0] for m in raw.query("SELECT 1; SELECT nix; SELECT 3")]
        assert kinds == [b"T", b"D", b"C", b"E", b"Z"]
        for empty in ["", " ", ";", "-- nothing"]:
            assert [m[0] for m in raw.query(empty)] == [b"I", b"Z"]


def test_transactions_have_the_right_states(cairn, auditor):
    def said(raw, sql):
        messages = raw.query(sql)
        tags = [m[1][:-1].decode() for m in messages if m[0] == b"C"]
        errors = [fields(m[1])["C"] for m in messages if m[0] == b"E"]
        return (tags + errors)[-1], messages[-1][1].decode()
    with Raw(cairn) as raw:
        raw.login(auditor)
        assert said(raw, "BEGIN") == ("BEGIN", "T")
        assert said(raw, "SELECT 1") == ("SELECT 1", "T")
        assert said(raw, "SELECT nix") == ("42703", "E")
        assert said(raw, "SELECT 1") == ("25P02", "E")
        assert said(raw, "COMMIT") == ("ROLLBACK", "I")
        assert said(raw, "BEGIN; SAVEPOINT a; SELECT nix") == ("42703", "E")
        assert said(raw, "ROLLBACK TO a") == ("ROLLBACK", "T")
        assert said(raw, "RELEASE a") == ("RELEASE", "T")
        assert said(raw, "RELEASE a") == ("3B001", "E")
        assert said(raw, "ROLLBACK") == ("ROLLBACK", "I")
        assert said(raw, "COMMIT") == ("COMMIT", "I")
        assert said(raw, "SAVEPOINT a") == ("25P01", "I")
        assert said(raw, "START TRANSACTION READ ONLY") == ("START TRANSACTION", "T")
        assert said(raw, "DISCARD ALL") == ("25001", "E")
        assert said(raw, "END") == ("ROLLBACK", "I")
        assert said(raw, "DISCARD ALL") == ("DISCARD ALL", "I")
    with connect(cairn, auditor, autocommit=False) as c:
        with c.transaction():
            assert c.execute("SELECT 1").fetchone() == (1,)
            with pytest.raises(psycopg.Error), c.transaction():
                c.execute("SELECT nix")
            assert c.execute("SELECT 2").fetchone() == (2,)


def test_a_portal_is_read_in_parts(cairn, auditor):
    with Raw(cairn) as raw:
        raw.login(auditor)
        raw.query("BEGIN")
        raw.message(b"P", b"\0SELECT event_id FROM history WHERE " + SENT.encode() + b" ORDER BY event_id LIMIT 7\0\0\0")
        raw.message(b"B", b"p\0\0\0\0\0\0\0\0")
        seen = []
        for rows, tail in [(3, b"s"), (3, b"s"), (3, b"C"), (3, b"C")]:
            raw.message(b"E", b"p\0" + struct.pack("!i", rows))
            raw.message(b"S")
            messages = [m for m in raw.until(b"Z") if m[0] not in b"12"]
            seen += [m[1][6:].decode() for m in messages if m[0] == b"D"]
            assert messages[-2][0] == tail, messages
            assert messages[-1][1] == b"T"
        assert seen == [f"e-{n:05}" for n in range(0, 14, 2)]
        raw.query("COMMIT")
        raw.message(b"E", b"p\0" + struct.pack("!i", 1))
        raw.message(b"S")
        assert fields(raw.until(b"Z")[0][1])["C"] == "34000"


def test_cursors_of_the_server(cairn, auditor):
    with connect(cairn, auditor, autocommit=False) as c:
        for b in (False, True):
            with c.cursor("some cursor", binary=b) as cursor:
                cursor.itersize = 100
                cursor.execute(f"SELECT event_id FROM history WHERE {SENT} AND account_id = %s ORDER BY 1", (ACCOUNTS[0],))
                assert cursor.fetchmany(2) == [("e-00000",), ("e-00002",)]
                assert len(list(cursor)) == EVENTS // 2 - 2
        c.execute("DECLARE c CURSOR FOR SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 ORDER BY 1")
        assert c.execute("MOVE 1 FROM c").statusmessage == "MOVE 1"
        assert c.execute("FETCH ALL FROM c").fetchall() == [(2,), (3,)]
        assert c.execute("FETCH ALL FROM c").fetchall() == []
        c.execute("CLOSE c")
        c.commit()
    with connect(cairn, auditor) as c, pytest.raises(psycopg.Error) as failed:
        c.execute("DECLARE c CURSOR FOR SELECT 1")
    assert failed.value.sqlstate == "25P01"


# -- COPY ---------------------------------------------------------------------


def copied(connection, sql):
    with connection.cursor().copy(sql) as copy:
        return b"".join(copy)


def test_copy_in_three_forms(cairn):
    question = f"SELECT event_id, user_agent, error_code FROM history WHERE {SENT} ORDER BY event_id LIMIT 10"
    with connect(cairn) as c:
        expected = c.execute(question).fetchall()
        assert expected[7] == ("e-00007", "a,b \"c\"\n\td", None)
        text = copied(c, f"COPY ({question}) TO STDOUT").decode()
        lines = text.splitlines()
        assert len(lines) == 10 and lines[7] == "e-00007\ta,b \"c\"\\n\\td\t\\N"
        table = copied(c, f"COPY ({question}) TO STDOUT (FORMAT csv, HEADER)").decode()
        rows = list(csv.reader(io.StringIO(table, newline="")))
        assert rows[0] == ["event_id", "user_agent", "error_code"]
        assert [tuple(v or None for v in row) for row in rows[1:]] == expected
        with c.cursor().copy(f"COPY ({question}) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["text", "text", "text"])
            assert list(copy.rows()) == expected
        assert copied(c, "COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)") == (
            b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff")
        assert copied(c, f"COPY (SELECT event_id FROM history WHERE {SENT}) TO STDOUT").count(b"\n") == EVENTS
        with pytest.raises(psycopg.Error):
            copied(c, "COPY (SELECT nix FROM history) TO STDOUT")
        assert c.execute("SELECT 1").fetchone() == (1,)


# -- stopping -----------------------------------------------------------------

# Reads nothing and takes long: a join that no limit on memory ends early.
SLOW = f"""SELECT count(*) FROM history a, history b, history c
           WHERE a.event_id || b.event_id || c.event_id = 'x' AND a.{SENT} AND b.{SENT} AND c.{SENT}"""


def running(connection, sql=SLOW):
    """The statement on a thread of its own, and what became of it."""
    outcome = []

    def run():
        try:
            outcome.append(connection.execute(sql).fetchall())
        except psycopg.Error as error:
            outcome.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def places_free(cairn):
    return cairn.sql("SELECT 1 AS one") == [{"one": 1}]


def test_a_cancel_request_stops_the_statement_and_a_guess_does_not(cairn):
    with connect(cairn) as c:
        thread, outcome = running(c)
        time.sleep(1)
        pid = c.pgconn.backend_pid
        for key in (0, 1, 0x7FFFFFFF):
            with Raw(cairn) as raw:
                raw.send(struct.pack("!iiii", 16, 80877102, pid, key))
                assert raw.read() is None
        time.sleep(0.5)
        assert thread.is_alive(), outcome
        c.cancel_safe(timeout=WITHIN)
        thread.join(WITHIN)
        assert not thread.is_alive() and outcome[0].sqlstate == "57014", outcome
        # The session lives, and the place is free.
        assert c.execute("SELECT 1").fetchone() == (1,)
        # It is recorded beside the answer.
        errors = "SELECT error_code FROM history WHERE event_name = 'Query' AND error_code IS NOT NULL"
        wait_for(lambda: "canceled" in cairn.column(errors), "no event tells of it")


# Far more rows than anybody reads.
MANY = f"SELECT a.event_id, b.event_id FROM history a, history b WHERE a.{SENT} AND b.{SENT}"


def test_a_cancel_request_stops_rows_on_their_way(cairn):
    with connect(cairn) as c:
        seen = 0
        with pytest.raises(psycopg.errors.QueryCanceled):
            for _ in c.cursor().stream(MANY):
                seen += 1
                if seen == 1000:
                    c.cancel_safe(timeout=WITHIN)
        assert 1000 <= seen < EVENTS * EVENTS
        assert c.execute("SELECT 1").fetchone() == (1,)


def resident(cairn):
    status = (f"/proc/{cairn.process.pid}/status")
    with open(status) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) << 10


def test_an_answer_that_nobody_reads_takes_no_room(cairn):
    with Raw(cairn) as raw:
        raw.login(cairn.admin)
        raw.query("SELECT 1")
        before, most = resident(cairn), 0
        raw.message(b"Q", MANY.encode() + b"\0")
        for _ in range(30):
            time.sleep(0.1)
            most = max(most, resident(cairn))
        # All of it would be 300 MB and more.
        assert most - before < 100 << 20, (before, most)
        assert raw.read()[0] == b"T" and raw.read()[0] == b"D"


def test_who_goes_away_leaves_no_query_behind(cairn):
    for _ in range(10):
        with Raw(cairn) as raw:
            raw.login(cairn.admin)
            raw.message(b"Q", SLOW.encode() + b"\0")
            time.sleep(0.2)
    # There are eight places; all of them are free again.
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        answer = cairn.ask("SELECT 1", timeout=WITHIN)
        if answer.status_code == 200:
            break
        time.sleep(0.2)
    assert answer.status_code == 200


def test_a_revoked_token_loses_its_session_and_its_cursors(cairn):
    token = cairn.token("auditor")
    with connect(cairn, token) as idle, connect(cairn, token, autocommit=False) as reading:
        cursor = reading.cursor("c")
        cursor.execute(f"SELECT event_id FROM history WHERE {SENT}")
        assert len(cursor.fetchmany(5)) == 5
        cairn.cli("token", "revoke", token_id(token))
        for attempt in (lambda: cursor.fetchmany(5), lambda: idle.execute("SELECT 1")):
            with pytest.raises(psycopg.Error, match="token was revoked"):
                attempt()
        assert idle.closed


def test_a_query_is_recorded(cairn, auditor):
    with connect(cairn, auditor, application_name="my tool") as c:
        c.execute("SELECT 'remember me', event_id FROM history LIMIT 3").fetchall()
    cairn.flush()
    rows = cairn.sql("SELECT request_parameters AS q, user_agent, response_elements AS r, principal_id FROM history "
                     "WHERE event_name = 'Query' AND request_parameters LIKE '%remember me%' AND user_agent LIKE 'postgresql%'")
    assert len(rows) == 1
    assert rows[0]["principal_id"] == token_id(auditor) and rows[0]["user_agent"] == "postgresql (my tool)"
    assert '"rows":3' in rows[0]["r"].replace(" ", "")


def test_settings_of_a_session(cairn, auditor):
    with connect(cairn, auditor, options="-c statement_timeout=50000") as c:
        assert c.execute("SHOW statement_timeout").fetchone()[0] in ("50000", "50s")
        c.execute("SET extra_float_digits = 3")
        c.execute("SET TIME ZONE 'UTC'")
        assert c.execute("SHOW TimeZone").fetchone() == ("UTC",)
        assert c.info.parameter_status("server_encoding") == "UTF8"
        with pytest.raises(psycopg.Error):
            c.execute("SET client_encoding = 'LATIN1'")


# -- limits and the end -------------------------------------------------------


def test_connections_are_bounded_and_the_stop_is_orderly(tmp_path):
    with Cairn(tmp_path / "data", arguments=["--pg-max-connections", "3"]) as cairn:
        admin = cairn.admin
        open_ones = [connect(cairn, admin) for _ in range(3)]
        assert "too many clients" in refusal(cairn, admin)
        open_ones.pop().close()
        end = time.monotonic() + WITHIN
        while time.monotonic() < end:
            try:
                open_ones.append(connect(cairn, admin))
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        assert len(open_ones) == 3
        busy = open_ones[1]
        thread, outcome = running(busy, "SELECT count(*) FROM history a, history b, history c, history d, history e "
                                        "WHERE a.event_id || b.event_id = c.event_id || d.event_id || e.event_id")
        time.sleep(0.3)
        assert cairn.stop() == 0
        thread.join(WITHIN)
        assert not thread.is_alive()
        with pytest.raises(psycopg.Error) as told:
            open_ones[0].execute("SELECT 1")
        assert told.value.sqlstate == "57P01" or isinstance(told.value, psycopg.OperationalError)


def test_it_can_be_switched_off_and_says_where_it_is(tmp_path):
    with Cairn(tmp_path / "data", arguments=["--pg", "off"]) as cairn:
        assert "  postgresql " not in cairn.log()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        import subprocess
        done = subprocess.run(
            [binary(), "serve", "--data", tmp_path / "other", "--listen", "127.0.0.1:0", "--pg", f"127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN, env=clean_environment())
        assert done.returncode != 0 and "--pg off" in done.stderr, done.stderr


# -- TLS ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA of our own, and a certificate for localhost from it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    import ipaddress

    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, signer, ca):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=7))
                .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if not ca:
            made = made.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        return made.sign(signer, hashes.SHA256())

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("Test CA", ca_key, None, ca_key, True)
    own = certificate("localhost", key, ca.subject, ca_key, False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "own.pem").write_bytes(own.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder


def test_tls_from_a_ca_with_channel_binding(tmp_path, certificates):
    arguments = ["--pg-tls-cert", certificates / "own.pem", "--pg-tls-key", certificates / "key.pem"]
    with Cairn(tmp_path / "data", arguments=arguments) as cairn:
        checked = {"sslmode": "verify-full", "sslrootcert": certificates / "ca.pem"}
        token = cairn.token("auditor")
        with connect(cairn, token, **checked) as c:
            assert c.pgconn.ssl_in_use and c.execute("SELECT 1").fetchone() == (1,)
        # SCRAM, bound to this very connection: nobody stands in between.
        with connect(cairn, token, token_id(token), channel_binding="require", **checked) as c:
            assert c.execute("SELECT 1").fetchone() == (1,)
            c.cancel_safe(timeout=WITHIN)
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            connect(cairn, token, sslmode="verify-full", sslrootcert=certificates / "own.pem")
        # Whatever stands behind the question about TLS in the clear is not taken for the client's words.
        with Raw(cairn) as raw:
            raw.send(struct.pack("!ii", 8, 80877103) + b"Q" + struct.pack("!i", 13) + b"SELECT 1\0")
            assert raw.socket.recv(1) == b"S"
            assert b"SELECT" not in (raw.socket.recv(4096) or b"")
        # TLS from the first byte on has to name the protocol.
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        for alpn, answered in [(["postgresql"], True), (None, False)]:
            context = ssl.create_default_context(cafile=certificates / "ca.pem")
            if alpn:
                context.set_alpn_protocols(alpn)
            raw = Raw(cairn)
            raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost")
            raw.file = raw.socket.makefile("rb")
            raw.start()
            try:
                assert (raw.read() is not None) == answered
            except (ssl.SSLError, ConnectionError):
                assert not answered
            raw.socket.close()


def own_address():
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]


def test_from_other_machines_tls_is_needed(tmp_path, certificates):
    tls = ["--pg-tls-cert", certificates / "own.pem", "--pg-tls-key", certificates / "key.pem"]
    here = own_address()
    with Cairn(tmp_path / "data", arguments=["--pg", f"{here}:0", *tls]) as cairn:
        port = int(cairn.log().split(f"postgresql           {here}:")[1].split(",")[0])
        there = {"host": here, "port": port, "dbname": "cairn", "password": cairn.admin, "connect_timeout": WITHIN}
        with pytest.raises(psycopg.OperationalError, match="need TLS"):
            psycopg.connect(user="anybody", sslmode="disable", **there)
        with psycopg.connect(user="anybody", sslmode="require", **there) as c:
            assert c.execute("SELECT 1").fetchone() == (1,)
    with Cairn(tmp_path / "plain", arguments=["--pg", f"{here}:0", "--pg-allow-plaintext"]) as cairn:
        port = int(cairn.log().split(f"postgresql           {here}:")[1].split(",")[0])
        there = {"host": here, "port": port, "dbname": "cairn", "password": cairn.admin, "connect_timeout": WITHIN}
        # A token itself never travels in the clear.
        with pytest.raises(psycopg.OperationalError, match="without TLS a token is not sent"):
            psycopg.connect(user="anybody", sslmode="disable", **there)
        with psycopg.connect(user=token_id(cairn.admin), sslmode="disable", **there) as c:
            assert c.execute("SELECT 1").fetchone() == (1,)


def test_certificates_that_are_none_stop_the_start(tmp_path, certificates):
    import subprocess
    for cert, key, words in [
        (tmp_path / "missing.pem", certificates / "key.pem", "pg.tls_cert"),
        (certificates / "key.pem", certificates / "key.pem", "there is no certificate in it"),
        (certificates / "own.pem", certificates / "own.pem", "pg.tls_key"),
        (certificates / "ca.pem", certificates / "key.pem", "cannot be used"),
    ]:
        done = subprocess.run(
            [binary(), "serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--pg-tls-cert", cert,
             "--pg-tls-key", key],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN, env=clean_environment())
        assert done.returncode != 0 and words in done.stderr, (words, done.stderr)
