"""The door for Arrow Flight SQL, spoken to by ADBC, by JDBC, and by hand."""

import base64
import datetime
import subprocess
import time

import adbc_driver_flightsql.dbapi as flightsql
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from cairn import SENT, Cairn, event
from flightwire import bearer, client, command, port, prepare, prepared, rows, statement, ticket

MINE, OTHER = "111111111111", "222222222222"
COUNT = f"SELECT count(*) AS n FROM history WHERE {SENT}"


@pytest.fixture(scope="module")
def cairn(folders):
    with Cairn(folders("flight")) as server:
        server.post([event(f"e-{n:04}", account=(MINE, OTHER)[n % 2]) for n in range(2000)])
        yield server
        server.stop()


@pytest.fixture(scope="module")
def auditor(cairn):
    return cairn.token("auditor", [MINE])


def adbc(cairn, token, **more):
    options = {"username": "anybody", "password": token, **more}
    return flightsql.connect(f"grpc://127.0.0.1:{port(cairn)}", db_kwargs=options, autocommit=True)


# -- clients ------------------------------------------------------------------


def test_adbc_asks_with_a_token_as_password_and_sees_its_own_accounts(cairn, auditor):
    for token, expected in ((cairn.admin, 2000), (auditor, 1000)):
        with adbc(cairn, token) as connection, connection.cursor() as cursor:
            cursor.execute(COUNT)
            assert cursor.fetchone() == (expected,)
            cursor.execute(f"SELECT * FROM history WHERE {SENT}")
            table = cursor.fetch_arrow_table()
            assert table.num_rows == expected and "raw" in table.column_names
    given = {"adbc.flight.sql.authorization_header": f"Bearer {auditor}"}
    with flightsql.connect(f"grpc://127.0.0.1:{port(cairn)}", db_kwargs=given, autocommit=True) as connection, \
            connection.cursor() as cursor:
        cursor.execute(COUNT)
        assert cursor.fetchone() == (1000,)


def test_adbc_prepares_and_binds(cairn, auditor):
    with adbc(cairn, auditor) as connection, connection.cursor() as cursor:
        sql = "SELECT event_id FROM history WHERE event_id = $1 AND event_time < $2 AND log_offset >= $3"
        before = datetime.datetime(2026, 2, 1, tzinfo=datetime.timezone.utc)
        for wanted, expected in (("e-0002", [("e-0002",)]), ("e-0003", []), ("e-0004", [("e-0004",)])):
            cursor.execute(sql, (wanted, before, 0))
            assert cursor.fetchall() == expected, wanted
        schema = cursor.adbc_prepare("SELECT 1 FROM history WHERE event_id = $1 AND mfa = $2")
        assert [str(f.type) for f in schema] == ["string", "bool"]


def test_adbc_finds_names_types_and_what_the_server_is(cairn, auditor):
    with adbc(cairn, auditor) as connection:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Cairn"
        found = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        assert [c["catalog_name"] for c in found] == ["cairn"]
        schemas = {s["db_schema_name"]: {t["table_name"] for t in s["db_schema_tables"] or []}
                   for s in found[0]["catalog_db_schemas"]}
        assert {"history", "events", "quarantine", "accounts"} <= schemas["public"]
        assert set(connection.adbc_get_table_types()) == {"TABLE", "VIEW"}
        columns = connection.adbc_get_table_schema("history", db_schema_filter="public")
        assert columns.field("event_time").type == pa.timestamp("us", "UTC")


def test_errors_say_what_to_do(cairn, auditor):
    with adbc(cairn, auditor) as connection, connection.cursor() as cursor:
        for sql, words in (
            ("SELECT nothing FROM history", 'there is no column "nothing"'),
            ("DROP TABLE history", "forbidden_statement"),
            ("SELECT 1 / (log_offset - log_offset) FROM history", "division by zero"),
            ("SELECT $1", "parameters"),
        ):
            with pytest.raises(Exception, match=words):
                cursor.execute(sql)
                cursor.fetchall()


JAVA = """
import java.sql.*;
import java.util.Properties;

public class Ask {
    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.put("user", "anybody");
        p.put("password", a[1]);
        p.put("useEncryption", "false");
        try (Connection c = DriverManager.getConnection("jdbc:arrow-flight-sql://127.0.0.1:" + a[0], p)) {
            try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(a[2])) {
                r.next();
                System.out.println("count " + r.getLong(1));
            }
            try (PreparedStatement s = c.prepareStatement(
                    "SELECT event_id, event_time FROM history WHERE event_id = $1")) {
                s.setString(1, "e-0002");
                try (ResultSet r = s.executeQuery()) {
                    while (r.next()) System.out.println("row " + r.getString(1) + " " + r.getTimestamp(2).toInstant());
                }
            }
            DatabaseMetaData m = c.getMetaData();
            System.out.println("product " + m.getDatabaseProductName() + " read only " + m.isReadOnly());
            try (ResultSet r = m.getTables(null, "public", "hist%", null)) {
                while (r.next()) System.out.println("table " + r.getString("TABLE_NAME") + " " + r.getString("TABLE_TYPE"));
            }
            try (ResultSet r = m.getColumns(null, "public", "history", "event_t%")) {
                while (r.next()) System.out.println("column " + r.getString("COLUMN_NAME") + " " + r.getString("TYPE_NAME"));
            }
            try (ResultSet r = m.getPrimaryKeys(null, "public", "history")) {
                System.out.println("keys " + r.next());
            }
            try (Statement s = c.createStatement()) {
                s.executeQuery("SELECT nothing FROM history");
            } catch (SQLException e) {
                System.out.println("error " + e.getMessage().contains("there is no column"));
            }
        }
    }
}
"""

DRIVER = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0"


def test_jdbc(cairn, auditor, tmp_path):
    """The driver from Maven Central, in a program of a few lines."""
    subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={DRIVER}", f"-DoutputDirectory={tmp_path}"],
                   check=True, timeout=600, cwd=tmp_path)
    jar = next(tmp_path.glob("*.jar"))
    (tmp_path / "Ask.java").write_text(JAVA)
    subprocess.run(["javac", "-d", tmp_path, tmp_path / "Ask.java"], check=True, timeout=120)
    done = subprocess.run(
        ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-Duser.timezone=UTC", "-cp", f"{jar}:{tmp_path}", "Ask",
         str(port(cairn)), auditor, COUNT],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    said = done.stdout.splitlines()
    assert "count 1000" in said, said
    assert "row e-0002 2026-01-02T03:04:05Z" in said, said
    assert "product Cairn read only true" in said, said
    assert "table history TABLE" in said, said
    assert any(line.startswith("column event_time ") for line in said), said
    assert "keys false" in said and "error true" in said, said


# -- whose a ticket is ----------------------------------------------------------


def refused(cairn, token, what, error, words):
    with pytest.raises(error, match=words):
        rows(cairn, token, what)


def test_a_ticket_is_good_for_the_one_it_was_made_for(cairn, auditor):
    own = ticket(cairn, auditor, COUNT)
    assert rows(cairn, auditor, own).to_pylist() == [{"n": 1000}]
    other = cairn.token("auditor", [MINE])
    for token in (other, cairn.admin):
        refused(cairn, token, own, flight.FlightUnauthorizedError, "was not given to this token")
    refused(cairn, "cairn_0123456789abcdef_0", own, flight.FlightUnauthenticatedError, "a valid token is needed")
    for at in range(0, len(own.ticket), 7):
        changed = bytearray(own.ticket)
        changed[at] ^= 1
        with pytest.raises((flight.FlightError, pa.ArrowInvalid)):
            rows(cairn, auditor, flight.Ticket(bytes(changed)))


def test_a_ticket_of_a_revoked_token_is_worth_nothing(cairn):
    token = cairn.token("auditor", [MINE])
    own = ticket(cairn, token, COUNT)
    cairn.cli("token", "revoke", token.split("_")[1])
    refused(cairn, token, own, flight.FlightUnauthenticatedError, "a valid token is needed")


def test_a_ticket_of_an_earlier_life_is_refused(tmp_path):
    with Cairn(tmp_path / "data") as server:
        old = ticket(server, server.admin, "SELECT 1")
        server.restart()
        refused(server, server.admin, old, flight.FlightUnauthorizedError, "was not given to this token by this server")
        server.stop()


def test_handles_are_as_tickets(cairn, auditor):
    ask = prepared(prepare(cairn, auditor, COUNT))
    info = client(cairn).get_flight_info(ask, bearer(auditor))
    assert rows(cairn, auditor, info.endpoints[0].ticket).to_pylist() == [{"n": 1000}]
    with pytest.raises(flight.FlightUnauthorizedError, match="was not given to this token"):
        client(cairn).get_flight_info(ask, bearer(cairn.admin))


def test_nothing_but_questions_is_possible(cairn, auditor):
    options = bearer(auditor)
    update = flight.FlightDescriptor.for_command(command("CommandStatementUpdate", (1, b"DELETE FROM history")))
    ingest = flight.FlightDescriptor.for_command(command("CommandStatementIngest", (2, b"history")))
    for descriptor in (update, ingest):
        with pytest.raises(flight.FlightError):
            writer, _ = client(cairn).do_put(descriptor, pa.schema([("x", pa.int64())]), options)
            writer.write_batch(pa.record_batch([[1]], ["x"]))
            writer.done_writing()
            writer.close()
    for action in ("BeginTransaction", "DropEverything", "CancelQuery"):
        with pytest.raises((flight.FlightError, pa.ArrowInvalid)):
            list(client(cairn).do_action(flight.Action(action, b""), options))
    for garbage in (b"", b"\xff" * 40, b"x" * 100_000):
        with pytest.raises((flight.FlightError, pa.ArrowInvalid)):
            client(cairn).get_flight_info(flight.FlightDescriptor.for_command(garbage), options)
        with pytest.raises((flight.FlightError, pa.ArrowInvalid)):
            rows(cairn, auditor, flight.Ticket(garbage))
    with pytest.raises((flight.FlightError, pa.ArrowException)):
        client(cairn).get_flight_info(statement("SELECT '" + "x" * (5 << 20) + "'"), options)
    with pytest.raises(flight.FlightUnauthorizedError, match="role auditor or admin"):
        ticket(cairn, cairn.token("sender", [MINE]), COUNT)
    assert cairn.one(COUNT, token=auditor) == 1000


def test_calls_leave_events(cairn, auditor):
    rows(cairn, auditor, ticket(cairn, auditor, "SELECT 'a flight event'"))
    cairn.flush()
    asked = cairn.sql("SELECT source_ip, request_parameters FROM history WHERE event_name = 'Query' AND "
                      "service_name = 'cairn' AND json_get_str(request_parameters, 'door') = 'flight' AND "
                      "json_get_str(request_parameters, 'query') = 'SELECT ''a flight event'''")
    assert len(asked) == 1 and asked[0]["source_ip"] == "127.0.0.1", asked


def test_the_handshake_gives_the_bearer_that_calls_go_on_with(cairn, auditor):
    header, value = client(cairn).authenticate_basic_token(b"anybody", auditor.encode())
    options = flight.FlightCallOptions(headers=[(header, value)], timeout=60)
    info = client(cairn).get_flight_info(statement(COUNT), options)
    assert client(cairn).do_get(info.endpoints[0].ticket, options).read_all().to_pylist() == [{"n": 1000}]
    with pytest.raises(flight.FlightUnauthenticatedError):
        client(cairn).authenticate_basic_token(b"anybody", b"cairn_0123456789abcdef_wrong")
    plain = base64.b64encode(b"anybody:" + auditor.encode())
    basic = flight.FlightCallOptions(headers=[(b"authorization", b"Basic " + plain)], timeout=60)
    assert client(cairn).get_flight_info(statement(COUNT), basic).endpoints


def test_a_ticket_that_has_expired_is_refused(tmp_path):
    with Cairn(tmp_path / "data", arguments=["--flight-ticket-lifetime", "1s"]) as server:
        old = ticket(server, server.admin, "SELECT 1 AS one")
        end = time.monotonic() + 60
        with pytest.raises(flight.FlightUnauthorizedError, match="has expired"):
            while time.monotonic() < end:
                # Before its time it is good, and no fetch makes it last longer.
                assert rows(server, server.admin, old).to_pylist() == [{"one": 1}]
                time.sleep(0.1)
        # Whoever it was not made for learns no more than before.
        refused(server, server.token("auditor", [MINE]), old, flight.FlightUnauthorizedError, "was not given to this token")
        handle = prepare(server, server.admin, "SELECT 2 AS two")
        found = None
        while found is None:
            assert time.monotonic() < end + 60
            info = client(server).get_flight_info(prepared(handle), bearer(server.admin))
            try:
                found = rows(server, server.admin, info.endpoints[0].ticket).to_pylist()
            except flight.FlightUnauthorizedError as error:
                # A second between the two calls: once more.
                assert "has expired" in str(error)
        assert found == [{"two": 2}]
        server.stop()


def test_tls(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    with Cairn(tmp_path / "data", arguments=["--flight-tls-cert", cert, "--flight-tls-key", key]) as server:
        options = {"username": "anybody", "password": server.admin, "adbc.flight.sql.client_option.tls_root_certs": cert.read_text()}
        uri = f"grpc+tls://127.0.0.1:{port(server)}"
        with flightsql.connect(uri, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS one")
            assert cursor.fetchone() == (1,)
        with pytest.raises((flight.FlightError, pa.ArrowException)):
            ticket(server, server.admin, "SELECT 1")
        server.stop()
