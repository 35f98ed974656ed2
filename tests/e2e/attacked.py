"""Two servers for the attacks of tests/attacks: one with three accounts' events, one with those of account A alone.

`CAIRN_TEST_ATTACKS=long` takes all attacks; else some, chosen by `CAIRN_TEST_SEED`.
"""

import json
import os
import random

import pytest

from cairn import ABSENT, Cairn, ROOT, action

A, B, C = "111111111111", "222222222222", "5333333333333333"
SEED = int(os.environ.get("CAIRN_TEST_SEED", "1"))
LONG = os.environ.get("CAIRN_TEST_ATTACKS") == "long"
SAMPLE = 60
# All of them take their time.
PATIENT = pytest.mark.timeout(7200 if LONG else 420)

# What differs between two servers by nature: places in the log, times of intake, the clock, the caller's own token, and a
# trail that only one of them has: it is in no list, and answers to its name (docs/security.md).
BY_NATURE = ("log_offset", "ingest_", "log_", "select *", "history.*", "h.*", "row(", "queries", "commits",
             "table history", "as of", "pg_stat", "pid", "txid", "except (", "exclude", "replace (", "everything e",
             "current_time", "current_user", "session_user", "select user", 'from trails."b-only"')


def attacks():
    """(class, statement) of every attack."""
    found = []
    for file in sorted((ROOT / "tests" / "attacks").glob("*.sql")):
        for line in file.read_text().splitlines():
            if line.strip() and not line.startswith("-- "):
                found.append((file.stem, line))
    return found


def chosen(count=SAMPLE):
    """Some attacks whose answers two servers share, of every class."""
    fit = [a for a in attacks() if not any(word in a[1].lower() for word in BY_NATURE)]
    if LONG:
        return fit
    print(f"CAIRN_TEST_SEED={SEED}")
    return random.Random(SEED).sample(fit, count)


def events(accounts):
    """As the engine's own tests have them: mixed, A's names numbers, B's agents empty."""
    made = []
    for n in range(240):
        account = [A, B, C, B][n % 4]
        if account not in accounts:
            continue
        mine = account == A
        made.append(action(
            f"id-{n}", account=account, eventTime=f"2026-11-20T{n // 60:02d}:{n % 60:02d}:00Z",
            eventName=["CreateUser", "DeleteUser", "ListUsers", "GetUser"][n % 4],
            eventRW="Write" if n % 4 < 2 else "Read", serviceName=["ram", "ecs", "oss"][n % 3],
            acsRegion="cn-hangzhou" if n % 5 == 0 else "eu-central-1", sourceIpAddress=f"10.0.0.{n % 200}",
            userAgent="" if account == B else "aliyun-cli", errorCode="NoPermission" if n % 10 == 0 else ABSENT,
            requestParameters={"UserName": f"u{n}", "n": n, "deep": {"a": [1, 2]}} if mine else {"x": "secret"},
            userIdentity={"type": "ram-user", "accountId": account, "principalId": f"p{n % 7}",
                          "userName": str(n % 7) if mine else f"secret-{account}-{n % 7}"}))
    return made


def fill(server, accounts):
    for account in (A, B, C):
        server.http("POST", "/v1/accounts", json={"id": account}, check=201)
    server.trail("Writes", "--rw", "Write")
    server.trail("my-trail")
    server.trail("Everything")
    if B in accounts:
        server.trail("b-only", "--accounts", B)
    made = events(accounts)
    cut = len(made) * 4 // 5
    server.post(made[:cut], receipts="refused")
    server.flush()
    server.post(made[cut:], receipts="refused")
    server.auditor = server.token("auditor", [A])
    made = server.http("POST", "/v1/tokens", check=201, json={
        "role": "auditor", "accounts": [A], "withhold": ["source_ip", "user_name"]}).json()
    server.masked = made["token"]
    return server


@pytest.fixture(scope="module")
def whole(folders):
    """All three accounts' events."""
    with Cairn(folders("attacked")) as server:
        yield fill(server, (A, B, C))
        server.stop()


@pytest.fixture(scope="module")
def alone(folders):
    """A's events, and nobody else's."""
    with Cairn(folders("alone")) as server:
        yield fill(server, (A,))
        server.stop()


def told(answer, ordered):
    """What an answer tells: its columns and rows, or its error, whole."""
    body = answer.json()
    if answer.status_code != 200:
        error = body["error"]
        # Of several values on which a query fails, chance decides which is met first.
        return answer.status_code, error["code"], "value" if "TRY_CAST" in error.get("hint", "") else error["message"]
    rows = [json.dumps(row) for row in body["rows"]]
    return 200, body["columns"], rows if ordered else sorted(rows)
