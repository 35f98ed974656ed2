"""Runs the real `cairn` binary: one server on a free port with a folder of its own."""

import csv
import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "testdata"

# Bounds, so that nothing hangs for ever. A debug build on a busy machine is slow.
READY_WITHIN = 60
CALL_WITHIN = 120


def binary():
    """The binary under test: $CAIRN_BIN, else the debug build."""
    named = os.environ.get("CAIRN_BIN")
    if named:
        path = pathlib.Path(named)
    else:
        target = os.environ.get("CARGO_TARGET_DIR")
        shared = pathlib.Path.home() / ".cache/cairn"
        folder = pathlib.Path(target) if target else (
            shared / "target" if shared.is_dir() else ROOT / "target")
        path = folder / "debug" / "cairn"
    if not path.is_file():
        raise RuntimeError(f"there is no {path}: build it with 'cargo build -p cairn-serve', or set CAIRN_BIN")
    return path


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(extra=None):
    """The environment without anything that would speak to Cairn or to a cloud."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CAIRN_", "AWS_"))}
    # The proxies of a build machine have no business between a test and its own server.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        env.pop(name, None)
        env.pop(name.upper(), None)
    # Any free port: many servers run at a time.
    env["CAIRN_PG_LISTEN"] = "127.0.0.1:0"
    env["CAIRN_FLIGHT_LISTEN"] = "127.0.0.1:0"
    env.update(extra or {})
    return env


def session():
    """One that knows of no proxy."""
    made = requests.Session()
    made.trust_env = False
    return made


class Cairn:
    """One server. `with Cairn(folder) as cairn:` starts it and ends it."""

    def __init__(self, data, env=None, arguments=()):
        self.data = pathlib.Path(data)
        self.env = env or {}
        self.arguments = list(arguments)
        self.process = None
        self.port = None
        self.http_session = session()
        self._used = time.monotonic()
        self.log_path = self.data.parent / (self.data.name + ".log")

    # -- its life ---------------------------------------------------------

    def spawn(self):
        """Starts the process and does not wait for it."""
        # Kept over restarts where it can be, so that clients find it again.
        self.port = self.port or free_port()
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [binary(), "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self.arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(self.env),
        )
        log.close()
        return self

    def start(self):
        """Starts it and waits until it is ready."""
        for _ in range(5):
            self.spawn()
            try:
                self.wait_ready()
                return self
            except PortTaken:
                self.port = None
        raise RuntimeError("found no free port in five attempts")

    def wait_ready(self):
        """Returns once `GET /readyz` says 200."""
        end = time.monotonic() + READY_WITHIN
        while time.monotonic() < end:
            if self.process.poll() is not None:
                log = self.log()
                if "ddress already in use" in log[-2000:] or "ddress in use" in log[-2000:]:
                    raise PortTaken()
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{log[-4000:]}")
            try:
                if self.http_session.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.03)
        raise RuntimeError(f"not ready within {READY_WITHIN} s:\n{self.log()[-4000:]}")

    def stop(self, within=30):
        """SIGTERM, and the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"did not end within {within} s of SIGTERM:\n{self.log()[-4000:]}") from None
        self.process = None
        return code

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def restart(self, hard=False):
        """Ends it (`hard`: kill -9) and starts it on the same folder."""
        self.kill() if hard else self.stop()
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    # -- facts ------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def pg_port(self):
        """Where PostgreSQL's clients connect, in the life that runs now."""
        return int(re.findall(r"^  postgresql +127\.0\.0\.1:(\d+)", self.log(), re.M)[-1])

    @property
    def admin(self):
        """The administrator's token."""
        return (self.data / "admin.token").read_text().strip()

    def log(self):
        """What the server wrote to its standard output and error."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def table(self, name):
        """The folder of a table in the server's own store."""
        return self.data / "store" / "tables" / name

    # -- the command line -------------------------------------------------

    def cli(self, *arguments, token=None, stdin=None, codes=(0,), env=None):
        """Runs `cairn ARGUMENTS`; the exit code has to be among `codes`."""
        environment = clean_environment({
            "CAIRN_URL": self.url, "CAIRN_TOKEN": token or self.admin, **(env or {}),
        })
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run(
            [binary(), *map(str, arguments)], input=stdin if stdin is not None else b"",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, timeout=CALL_WITHIN,
        )
        done.out = done.stdout.decode(errors="replace")
        done.err = done.stderr.decode(errors="replace")
        assert done.returncode in codes, (
            f"cairn {' '.join(map(str, arguments))} ended with {done.returncode}\n{done.out[-3000:]}\n{done.err[-3000:]}")
        return done

    def cli_json(self, *arguments, **options):
        """The same, with --json, parsed."""
        return json.loads(self.cli(*arguments, "--json", **options).out)

    def token(self, role, accounts="all", name=None):
        """A new token's text."""
        if not isinstance(accounts, str):
            accounts = ",".join(accounts)
        more = ["--name", name] if name else []
        return self.cli("token", "create", "--role", role, "--accounts", accounts, *more).out.strip()

    def ingest(self, *paths, account=None, token=None, codes=(0,), stdin=None):
        """`cairn ingest`, and its counts."""
        more = ["--account", account] if account else []
        return self.cli_json("ingest", *more, *paths, token=token, codes=codes, stdin=stdin)

    def trail(self, name, *arguments, start=True):
        """Creates a trail, started unless told otherwise."""
        return self.cli_json("trail", "create", name, *arguments, *(["--start"] if start else []))

    def flush(self):
        """Returns once everything acknowledged is in every table that wants it."""
        self.cli("flush")

    # -- HTTP -------------------------------------------------------------

    def http(self, method, path, token=None, check=None, timeout=CALL_WITHIN, **options):
        """One request. `token=False` sends none."""
        headers = dict(options.pop("headers", {}))
        if token is not False:
            headers["Authorization"] = f"Bearer {token or self.admin}"
        # The server hangs up on connections that were silent for long; one that it
        # is just closing would break the call. Another thread may have one in use.
        if time.monotonic() - self._used > 5:
            self.http_session = session()
        answer = self.http_session.request(
            method, self.url + path, headers=headers, timeout=timeout, **options)
        self._used = time.monotonic()
        if check is not None:
            assert answer.status_code == check, f"{method} {path}: {answer.status_code}\n{answer.text[:3000]}"
        return answer

    def post(self, body, token=None, account=None, check=200, headers=None, receipts=None):
        """Sends events: bytes, text, one event or a list of them. The parsed answer."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        query = {}
        if account:
            query["account"] = account
        if receipts:
            query["receipts"] = receipts
        answer = self.http("POST", "/v1/events", token=token, data=body, params=query,
                           headers={"Content-Type": "application/json", **(headers or {})}, check=check)
        return answer.json()

    def ask(self, query, token=None, accept=None, **options):
        """`POST /v1/sql`, whatever comes of it."""
        headers = {"Accept": accept} if accept else {}
        return self.http("POST", "/v1/sql", token=token, json={"query": query}, headers=headers, **options)

    def sql(self, query, token=None):
        """The rows of a query that has to succeed, each as a dictionary."""
        answer = self.ask(query, token=token, check=200).json()
        names = [c["name"] for c in answer["columns"]]
        assert answer["row_count"] == len(answer["rows"])
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]

    def one(self, query, token=None):
        """The single value of a query."""
        rows = self.sql(query, token=token)
        assert len(rows) == 1 and len(rows[0]) == 1, rows
        return next(iter(rows[0].values()))

    def column(self, query, token=None):
        """The values of a query's only column."""
        rows = self.sql(query, token=token)
        assert all(len(row) == 1 for row in rows)
        return [next(iter(row.values())) for row in rows]

    def csv(self, query, token=None):
        """The rows as `cairn sql --format csv` prints them, header first."""
        text = self.cli("sql", "--format", "csv", query, token=token).stdout.decode()
        return list(csv.reader(io.StringIO(text, newline="")))


class PortTaken(Exception):
    """Another process was faster to take the port."""


# Rows that senders sent. Cairn's own audit events lie in the same tables.
SENT = "dialect <> 'cairn'"


def counts(rows, *names):
    """`{value or tuple: count}` of rows with the columns `names` and `n`."""
    def key(row):
        return row[names[0]] if len(names) == 1 else tuple(row[n] for n in names)
    return {key(row): row["n"] for row in rows}


def event(event_id, account="111111111111", **fields):
    """A small CloudTrail record."""
    value = {
        "eventVersion": "1.08", "eventID": event_id, "eventTime": "2026-01-02T03:04:05Z",
        "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-west-1",
        "sourceIPAddress": "192.0.2.1", "userAgent": "test", "readOnly": True,
        "eventType": "AwsApiCall", "managementEvent": True, "eventCategory": "Management",
        "recipientAccountId": account,
        "userIdentity": {"type": "IAMUser", "userName": "alice", "accountId": account,
                         "principalId": "AIDA" + account, "accessKeyId": "AKIATEST"},
        "requestParameters": {"bucketName": "b"}, "responseElements": None,
    }
    value.update(fields)
    return {k: v for k, v in value.items() if v is not ABSENT}


def action(event_id, account="1000000000000001", **fields):
    """A small ActionTrail event."""
    value = {
        "eventId": event_id, "eventVersion": "1", "eventCategory": "Management", "eventType": "ApiCall",
        "eventName": "DeleteDisk", "eventRW": "Write", "eventSource": "ecs.aliyuncs.com",
        "eventTime": "2026-01-02T03:04:05Z", "acsRegion": "cn-hangzhou", "serviceName": "Ecs",
        "apiVersion": "2014-05-26", "requestId": "r-" + event_id, "sourceIpAddress": "192.0.2.2",
        "recipientAccountId": account, "requestParameters": {"DiskId": "d-1"},
        "userIdentity": {"type": "ram-user", "userName": "bob", "accountId": account, "principalId": "2"},
    }
    value.update(fields)
    return {k: v for k, v in value.items() if v is not ABSENT}


# Marks a field of `event` and `action` that is not to be there at all.
ABSENT = object()
