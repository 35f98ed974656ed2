"""Whether an S3 store lets exactly one of many create an object. Shares nothing with Cairn.

    python tests/e2e/race.py --endpoint URL… --bucket NAME [--rounds 30] [--racers 32] [--size 8] [--ca FILE]

The keys are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. With several endpoints
(gateways before one store) the racers are spread over them. Each round creates one new key
with `If-None-Match: *`, from as many connections as there are racers. In odd rounds every
request lies at the server but for its last byte before the last bytes are sent, so that a
store which looks first and writes later is caught; in even rounds whole requests go out at
once. Ends with 1 if ever more than one won, or if the object isn't the winner's.
"""

import argparse
import contextlib
import dataclasses
import http.client
import os
import socket
import ssl
import sys
import threading
import urllib.parse
import uuid

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ANSWER_WITHIN = 60

# Stands for the status of a connection that ended without an answer: no win.
CUT = 0


@dataclasses.dataclass
class Round:
    """What came of one key: the racers who won, and everybody's status."""

    winners: list
    statuses: list
    stored: bytes
    bodies: list

    @property
    def fault(self):
        """What is wrong, or None."""
        if len(self.winners) != 1:
            return f"{len(self.winners)} of {len(self.statuses)} won; statuses {sorted(set(self.statuses))}"
        odd = sorted(set(self.statuses) - {200, 409, 412, CUT})
        if odd:
            return f"odd statuses {odd}"
        if self.stored != self.bodies[self.winners[0]]:
            return "the object is not the winner's"
        return None


class Racer:
    """Races against one bucket."""

    def __init__(self, endpoints, bucket, key_id, secret, ca=None, region="us-east-1"):
        endpoints = [endpoints] if isinstance(endpoints, str) else endpoints
        self.urls = [urllib.parse.urlsplit(endpoint) for endpoint in endpoints]
        self.bucket = bucket
        self.credentials = Credentials(key_id, secret)
        self.region = region
        self.tls = ssl.create_default_context(cafile=ca) if self.urls[0].scheme == "https" else None

    def _signed(self, url, method, key, body=b"", headers=()):
        """The bytes of a whole request."""
        path = urllib.parse.quote(f"/{self.bucket}/{key}")
        request = AWSRequest(method, f"{url.scheme}://{url.netloc}{path}", data=body, headers=dict(headers))
        S3SigV4Auth(self.credentials, "s3", self.region).add_auth(request)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {url.netloc}",
                 *(f"{name}: {value}" for name, value in request.headers.items()),
                 f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode() + body

    def _connect(self, url):
        sock = socket.create_connection((url.hostname, url.port), timeout=ANSWER_WITHIN)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(sock, server_hostname=url.hostname) if self.tls else sock

    @staticmethod
    def _answer(sock):
        with sock:
            try:
                answer = http.client.HTTPResponse(sock)
                answer.begin()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return CUT, b""

    @staticmethod
    def _send(sock, part):
        """A store may refuse a large object before it has all of it, and hang up; its answer says why."""
        with contextlib.suppress(ConnectionError):
            sock.sendall(part)

    def ask(self, method, key):
        """One request that races with nobody: status and body."""
        sock = self._connect(self.urls[0])
        sock.sendall(self._signed(self.urls[0], method, key))
        return self._answer(sock)

    def race(self, racers, held_back, size=8):
        """One round; `held_back` keeps the last byte of every request until all the others are there."""
        key = f"race/{uuid.uuid4().hex}"
        bodies = [f"{number:08}".encode().ljust(size, b"-") for number in range(racers)]
        urls = [self.urls[number % len(self.urls)] for number in range(racers)]
        requests = [self._signed(url, "PUT", key, body, [("If-None-Match", "*")])
                    for url, body in zip(urls, bodies, strict=True)]
        sockets = [self._connect(url) for url in urls]
        if held_back:
            for sock, request in zip(sockets, requests, strict=True):
                self._send(sock, request[:-1])
            for sock, request in zip(sockets, requests, strict=True):
                self._send(sock, request[-1:])
        else:
            start = threading.Barrier(racers)

            def send(sock, request):
                start.wait(ANSWER_WITHIN)
                self._send(sock, request)

            threads = [threading.Thread(target=send, args=pair) for pair in zip(sockets, requests, strict=True)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        statuses = [self._answer(sock)[0] for sock in sockets]
        status, stored = self.ask("GET", key)
        self.ask("DELETE", key)
        return Round([n for n, status in enumerate(statuses) if status == 200], statuses,
                     stored if status == 200 else b"", bodies)

    def run(self, rounds, racers, size=8):
        """The faults of so many rounds, each with its number."""
        found = []
        for number in range(1, rounds + 1):
            fault = self.race(racers, held_back=number % 2 == 1, size=size).fault
            if fault:
                found.append(f"round {number}: {fault}")
        return found


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, nargs="+")
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--racers", type=int, default=32)
    parser.add_argument("--size", type=int, default=8, help="bytes of each object; large ones keep the race open for longer")
    parser.add_argument("--ca", help="the authority of an HTTPS endpoint, PEM")
    given = parser.parse_args()
    racer = Racer(given.endpoint, given.bucket, os.environ["AWS_ACCESS_KEY_ID"],
                  os.environ["AWS_SECRET_ACCESS_KEY"], given.ca)
    faults = racer.run(given.rounds, given.racers, given.size)
    for fault in faults[:10]:
        print(fault)
    print(f"{given.rounds - len(faults)} of {given.rounds} rounds of {given.racers} racers had exactly one winner")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
