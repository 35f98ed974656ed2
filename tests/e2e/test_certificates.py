"""Certificates are renewed while the server runs: the next connection is shown the new one."""

import os
import re
import socket
import ssl
import struct
import subprocess
import time

import psycopg
import pyarrow.flight as flight
import pytest

from cairn import Cairn
from flightwire import bearer, port, statement

WITHIN = 60


def made(folder, name):
    """A new certificate for 127.0.0.1 and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


def put(source, target):
    """As those who renew certificates do: the whole file, by a new name."""
    new = target.with_suffix(".new")
    new.write_bytes(source.read_bytes())
    os.replace(new, target)


def shown(server, door):
    """The name in the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = ("127.0.0.1", server.pg_port if door == "pg" else port(server))
    with socket.create_connection(address, timeout=WITHIN) as plain:
        if door == "pg":
            plain.sendall(struct.pack("!ii", 8, 80877103))
            assert plain.recv(1) == b"S"
        else:
            context.set_alpn_protocols(["h2"])
        with context.wrap_socket(plain) as tls:
            der = tls.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=der, check=True,
                          capture_output=True).stdout.decode()
    return re.search(r"CN ?= ?(\S+)", text)[1]


def until(what, expected):
    end = time.monotonic() + WITHIN
    while (said := what()) != expected:
        assert time.monotonic() < end, said
        time.sleep(0.5)


@pytest.fixture
def renewed(tmp_path):
    """A server of both doors over `cert` and `key`, and two pairs to put there."""
    (first, second) = (made(tmp_path, name) for name in ("first", "second"))
    cert, key = tmp_path / "cert.pem", tmp_path / "cert.key"
    put(first[0], cert), put(first[1], key)
    arguments = [f"--{door}-tls-{part}" for door in ("pg", "flight") for part in ("cert", "key")]
    arguments = [word for pair in zip(arguments, [cert, key] * 2) for word in pair]
    with Cairn(tmp_path / "data", arguments=arguments) as server:
        yield server, cert, key, first, second
        server.stop()


def login(server, ca, **more):
    user = server.admin.split("_")[1]
    return psycopg.connect(host="127.0.0.1", port=server.pg_port, user=user, password=server.admin, dbname="cairn",
                           sslmode="verify-full", sslrootcert=ca, connect_timeout=WITHIN, autocommit=True, **more)


def test_a_renewed_certificate_is_shown_to_the_next_connection(renewed):
    server, cert, key, first, second = renewed
    assert [shown(server, door) for door in ("pg", "flight")] == ["first", "first"]
    with login(server, first[0], channel_binding="require") as held:
        # One file of two is none: nothing changes, and the log says so.
        put(second[0], cert)
        until(lambda: server.log().count("a changed certificate cannot be used"), 2)
        assert [shown(server, door) for door in ("pg", "flight")] == ["first", "first"]
        put(second[1], key)
        for door in ("pg", "flight"):
            until(lambda door=door: shown(server, door), "second")
        # Who is there already stays.
        assert held.execute("SELECT 1").fetchone() == (1,)
    # A login is bound to the certificate that this connection was shown.
    with login(server, second[0], channel_binding="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        login(server, first[0])
    trusting = flight.FlightClient(f"grpc+tls://127.0.0.1:{port(server)}", tls_root_certs=second[0].read_bytes())
    assert trusting.get_flight_info(statement("SELECT 1"), bearer(server.admin)).endpoints
    assert "PRIVATE" not in server.log()


def test_a_connection_that_says_nothing_keeps_nobody_from_flight(renewed):
    server, *_ = renewed
    silent = [socket.create_connection(("127.0.0.1", port(server))) for _ in range(20)]
    try:
        assert shown(server, "flight") == "first"
    finally:
        for one in silent:
            one.close()
