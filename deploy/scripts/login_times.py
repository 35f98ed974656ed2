#!/usr/bin/env python3
"""How long Cairn takes to refuse a login, by what is wrong with it.

    login_times.py --url http://127.0.0.1:8080 --pg 127.0.0.1:7432 --token ADMIN [--tries 2000]

Whoever has no token shall not learn from the time of a refusal whether there is one of some id. So a refusal
is timed for ids that no token ever had, for tokens with another secret (of one account, and of 2,000), and for
revoked tokens: over HTTP (a bearer token), and in PostgreSQL's protocol by SCRAM-SHA-256, where the server's
first answer and its last are timed apart, and by a token as password. Tries of all kinds are interleaved, in an
order that is drawn anew for each round, on connections of their own. Printed are medians, and their ratios to
that of the first kind; that kind is measured twice, so that the second line of it shows the noise.

Standard library only. Makes four tokens and revokes them again.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import socket
import statistics
import struct
import time
import urllib.parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--pg", default="127.0.0.1:7432")
    parser.add_argument("--token", required=True, help="an administrator's")
    parser.add_argument("--tries", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Http:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method, path, token, body=None):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def refused(self, token):
        began = time.perf_counter()
        status, _ = self.call("GET", "/v1/whoami", token)
        took = time.perf_counter() - began
        assert status == 401, status
        return [took]


def packet(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


class Postgres:
    """One login, message by message."""

    def __init__(self, address, user):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        body = struct.pack("!i", 3 << 16) + b"".join(
            word.encode() + b"\0" for word in ("user", user, "database", "cairn")) + b"\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.asked = self.read()

    def read(self):
        kind, length = struct.unpack("!ci", self.file.read(5))
        return kind, self.file.read(length - 4)

    def timed(self, message):
        began = time.perf_counter()
        self.socket.sendall(message)
        answer = self.read()
        return time.perf_counter() - began, answer

    def close(self):
        self.file.close()
        self.socket.close()


def by_scram(address, token):
    user = token.split("_")[1]
    login = Postgres(address, user)
    try:
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        first = f"n,,{bare}".encode()
        took_first, (kind, body) = login.timed(packet(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        assert kind == b"R", (kind, body)
        said = body[4:].decode()
        fields = dict(part.split("=", 1) for part in said.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", token.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={fields['r']}"
        signature = hmac.digest(hashlib.sha256(client).digest(), f"{bare},{said},{final}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature))).decode()
        took_last, (kind, body) = login.timed(packet(b"p", f"{final},p={proof}".encode()))
        assert kind == b"E" and b"password authentication failed" in body, (kind, body)
        return [took_first, took_last]
    finally:
        login.close()


def by_password(address, token):
    login = Postgres(address, "anybody")
    try:
        took, (kind, body) = login.timed(packet(b"p", token.encode() + b"\0"))
        assert kind == b"E" and b"password authentication failed" in body, (kind, body)
        return [took]
    finally:
        login.close()


def kinds(http_, admin):
    """What is tried, by what is wrong with it: a function that makes the next token. And what to revoke again."""
    made = []

    def token(accounts):
        status, body = http_.call("POST", "/v1/tokens", admin, {"role": "auditor", "accounts": accounts})
        assert status == 201, body
        made.append(json.loads(body)["id"])
        return json.loads(body)["token"]

    def other_secret(text):
        start = text.rsplit("_", 1)[0]
        return lambda: f"{start}_{os.urandom(32).hex()}"

    def unknown():
        return f"cairn_{os.urandom(8).hex()}_{os.urandom(32).hex()}"

    few, many = token(["111111111111"]), token([f"{n:012d}" for n in range(2000)])
    gone, gone_too = token(["111111111111"]), token(["111111111111"])
    for text in (gone, gone_too):
        status, body = http_.call("DELETE", f"/v1/tokens/{text.split('_')[1]}", admin)
        assert status == 204, body
    return {
        "no such id": unknown,
        "no such id, again": unknown,
        "another secret": other_secret(few),
        "another secret, 2,000 accounts": other_secret(many),
        "revoked": lambda: gone,
        "revoked, another secret": other_secret(gone_too),
    }, made[:2]


def main():
    asked = arguments()
    chance = random.Random(asked.seed)
    caller = Http(asked.url)
    tried, left = kinds(caller, asked.token)
    ways = {
        "HTTP, bearer": (lambda token: caller.refused(token), ["refusal"]),
        "PostgreSQL, SCRAM": (lambda token: by_scram(asked.pg, token), ["first answer", "refusal"]),
        "PostgreSQL, password": (lambda token: by_password(asked.pg, token), ["refusal"]),
    }
    try:
        for way, (login, steps) in ways.items():
            times = {kind: [[] for _ in steps] for kind in tried}
            order = list(tried)
            for round_ in range(asked.tries + 20):
                chance.shuffle(order)
                for kind in order:
                    took = login(tried[kind]())
                    # The first rounds warm everything up.
                    if round_ >= 20:
                        for step, seconds in zip(times[kind], took, strict=True):
                            step.append(seconds)
            for n, step in enumerate(steps):
                base = statistics.median(times["no such id"][n])
                print(f"{way}: {step}, {asked.tries} tries of each kind")
                for kind, found in times.items():
                    median = statistics.median(found[n])
                    tenth = statistics.quantiles(found[n], n=10)
                    print(f"  {kind:34} median {median * 1e6:8.1f} us  ratio {median / base:.3f}  "
                          f"10% {tenth[0] * 1e6:8.1f}  90% {tenth[-1] * 1e6:8.1f}")
    finally:
        # A new connection: the first one said nothing for long, and is hung up on.
        closing = Http(asked.url)
        for token in left:
            closing.call("DELETE", f"/v1/tokens/{token}", asked.token)


if __name__ == "__main__":
    main()
