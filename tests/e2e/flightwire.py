"""Messages of Flight SQL, made and read by hand, and who sends them."""

import re

import pyarrow.flight as flight


def port(cairn):
    return int(re.findall(r"^  flight sql +grpc://127\.0\.0\.1:(\d+)", cairn.log(), re.M)[-1])


def client(cairn):
    return flight.FlightClient(f"grpc://127.0.0.1:{port(cairn)}")


def bearer(token):
    return flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())], timeout=60)


# -- messages --------------------------------------------------------------------


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    """One field of a protobuf message: bytes, or a truth."""
    if isinstance(value, bool):
        return varint(number << 3) + varint(int(value))
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message):
    """The fields of bytes of a protobuf message that has no others, by number."""
    found, at = {}, 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        tag, length = number(), number()
        assert tag & 7 == 2, "not a field of bytes"
        found[tag >> 3] = message[at:at + length]
        at += length
    return found


def command(name, *fields):
    packed = b"".join(field(n, v) for n, v in fields)
    return field(1, f"type.googleapis.com/arrow.flight.protocol.sql.{name}".encode()) + field(2, packed)


def asking(name, *fields):
    """The descriptor of a command."""
    return flight.FlightDescriptor.for_command(command(name, *fields))


def statement(sql):
    return asking("CommandStatementQuery", (1, sql.encode()))


def prepared(handle):
    return asking("CommandPreparedStatementQuery", (1, handle))


# -- calls -----------------------------------------------------------------------


def ticket(cairn, token, sql):
    return client(cairn).get_flight_info(statement(sql), bearer(token)).endpoints[0].ticket


def rows(cairn, token, what):
    return client(cairn).do_get(what, bearer(token)).read_all()


def prepare(cairn, token, sql):
    """The handle of a prepared statement."""
    create = command("ActionCreatePreparedStatementRequest", (1, sql.encode()))
    made = list(client(cairn).do_action(flight.Action("CreatePreparedStatement", create), bearer(token)))
    return fields(fields(made[0].body.to_pybytes())[2])[1]
