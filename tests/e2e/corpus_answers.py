"""The answers to the questions of tests/corpus, worked out from the raw events without any of Cairn's code."""

import datetime
import json
import re
from collections import Counter, defaultdict

from answers import asked, at, identity, moment, of, service

END = at("2026-01-01T00:00:00Z")


def text(value):
    """A value as CloudTrail Lake's maps hold it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def past(events):
    return [e for e in events if e.time and moment(e) < END]


def count(events, *keys):
    """Rows of keys and how often they occur."""
    counted = Counter(tuple(key(e) for key in keys) for e in events)
    return [(*key, n) for key, n in counted.items()]


def named(events, *names):
    return [e for e in events if e.name in names]


def parameters(e):
    return e.value.get("requestParameters") or {}


def source(e):
    return e.value.get("eventSource")


def issuer(e):
    return ((identity(e).get("sessionContext") or {}).get("sessionIssuer") or {}).get("userName")


def mfa(e):
    said = ((identity(e).get("sessionContext") or {}).get("attributes") or {}).get("mfaAuthenticated")
    return None if said is None else str(said).lower()


def arn(e):
    return identity(e).get("arn")


def resources(e):
    return e.value.get("resources") or []


def first_instance(e):
    items = (parameters(e).get("instancesSet") or {}).get("items") or [{}]
    return items[0].get("instanceId")


def started_kind(e):
    items = ((e.value.get("responseElements") or {}).get("instancesSet") or {}).get("items") or [{}]
    return items[0].get("instanceType")


def rules(e):
    permissions = parameters(e).get("ipPermissions")
    items = permissions.get("items") if isinstance(permissions, dict) else None
    return None if items is None else len(items)


def ranked(events):
    counts = Counter(e.name for e in past(events))
    rows = [(name, n, 1 + sum(other > n for other in counts.values())) for name, n in counts.items()]
    return [row for row in rows if row[2] <= 5]


def made_and_keyed(events):
    keyed = {asked(e, "userName") for e in named(events, "CreateAccessKey")}
    return count([e for e in named(events, "CreateUser") if asked(e, "userName") in keyed], lambda e: asked(e, "userName"))


def newest(events):
    last = defaultdict(lambda: datetime.datetime.min.replace(tzinfo=datetime.UTC))
    for e in past(events):
        last[source(e)] = max(last[source(e)], moment(e))
    return list(last.items())


def between(events, start, end, closed=False):
    return [(sum(at(start) <= moment(e) < at(end) or closed and moment(e) == at(end) for e in events if e.time),)]


def hour(e):
    return moment(e).replace(minute=0, second=0, microsecond=0)


def outcomes(events):
    many = Counter()
    for e in past(events):
        most = parameters(e).get("maxResults")
        digits = most is not None and re.fullmatch(r"\d+", str(most))
        many["ok" if e.error is None else "failed"] += bool(digits and int(most) > 5)
    return list(many.items())


def distinct(events, key, value):
    found = defaultdict(set)
    for e in events:
        found[key(e)].add(value(e))
    return [(k, len(v - {None})) for k, v in found.items()]


def by_who_was_denied(events):
    addresses = {e.source_ip for e in events if e.error == "AccessDenied"}
    return count([e for e in events if e.source_ip in addresses], lambda e: e.name)


def role_of_arn(e):
    found = re.search("assumed-role/([^/]+)/", arn(e))
    return found and found[1]


def is_bucket(resource):
    return resource.get("type") == "AWS::S3::Bucket"


def owners(e):
    return ",".join(r["accountId"] for r in resources(e) if r.get("accountId"))


def refused_only(events):
    return [(n,) for n in {e.name for e in events if e.error == "AccessDenied"} - {e.name for e in events if e.error is None}]


def some(e, test):
    return any(test(text(v)) for v in parameters(e).values() if v is not None)


LAKE = {
    "names-by-count": lambda ev: count(past(ev), lambda e: e.name),
    "store-by-its-id": lambda ev: count(past(ev), source),
    "bucket-of-the-call": lambda ev: count(
        [e for e in ev if source(e) == "s3.amazonaws.com" and asked(e, "bucketName")], lambda e: asked(e, "bucketName")),
    "subscript-of-a-map": lambda ev: [
        (asked(e, "roleName"), e.name) for e in ev if source(e) == "iam.amazonaws.com" and asked(e, "roleName")],
    "struct-path": lambda ev: count([e for e in ev if identity(e).get("type") == "AssumedRole"], issuer),
    "struct-path-in-any-case": lambda ev: count(
        [e for e in ev if identity(e).get("type") == "IAMUser"], lambda e: identity(e).get("principalId")),
    "mfa-of-the-session": lambda ev: count([e for e in ev if mfa(e) is not None], mfa),
    "alias-of-the-table": lambda ev: [(e.name, e.region) for e in ev if e.error == "AccessDenied"],
    "read-only": lambda ev: count(
        past(ev), lambda e: e.rw == "Read", lambda e: None if e.category is None else e.category == "Management"),
    "json-in-a-map": lambda ev: [(e.id, first_instance(e)) for e in ev if first_instance(e)],
    "json-cast-to-a-list": lambda ev: [(e.id, rules(e)) for e in named(ev, "AuthorizeSecurityGroupIngress")],
    "json-parse": lambda ev: count(named(ev, "RunInstances"), started_kind),
    "filter-of-a-list": lambda ev: [
        (e.id, sum(map(is_bucket, resources(e)))) for e in ev if any(map(is_bucket, resources(e)))],
    "transform-of-a-list": lambda ev: [(e.id, owners(e)) for e in ev if owners(e)],
    "filter-of-keys": lambda ev: count([e for e in ev if any("olicy" in k for k in parameters(e))], lambda e: e.name),
    "transform-in-filter": lambda ev: [(sum(some(e, lambda v: "ADMINISTRATORACCESS" in v.upper()) for e in past(ev)),)],
    "any-match": lambda ev: [(sum(some(e, lambda v: v.startswith("arn:aws:iam::")) for e in ev),)],
    "unnest-resources": lambda ev: [
        (name, n) for name, n in Counter(
            r.get("ARN") or r.get("ARNPrefix") for e in ev for r in resources(e) if is_bucket(r)).items()],
    "unnest-after-a-comma": lambda ev: list(Counter(
        k for e in ev if source(e) == "sts.amazonaws.com" for k in parameters(e)).items()),
    "unnest-a-map": lambda ev: [(k, text(v)) for e in named(ev, "CreateAccessKey") for k, v in parameters(e).items()],
    "rank": ranked,
    "newest-of-each": newest,
    "with-and-join": made_and_keyed,
    "day-of-week": lambda ev: count(past(ev), lambda e: moment(e).isoweekday()),
    "date-format": lambda ev: count(past(ev), lambda e: moment(e).strftime("%Y-%m")),
    "from-iso": lambda ev: between(ev, "2023-07-10T12:00:00Z", "2023-07-10T12:30:00Z", closed=True),
    "date-add": lambda ev: between(ev, "2023-07-10T12:15:00Z", "2023-07-10T12:30:00Z"),
    "date-trunc": lambda ev: count([e for e in past(ev) if e.error is not None], hour),
    "split": lambda ev: distinct(
        [e for e in ev if source(e) in ("sts.amazonaws.com", "s3.amazonaws.com")],
        lambda e: source(e).split(".")[0], lambda e: e.name),
    "split-part-of-an-arn": lambda ev: count([e for e in ev if "/" in (arn(e) or "")], lambda e: arn(e).split("/")[-1]),
    "if-and-try": outcomes,
    "arbitrary": lambda ev: [(e.id, e.name) for e in named(ev, "CreateUser", "DeleteUser")],
    "additional-data": lambda ev: [
        (of(e, "additionalEventData", "MFAUsed"), e.source_ip) for e in named(ev, "ConsoleLogin")],
    "events-as-received": lambda ev: [(e.name, e.name) for e in ev if (e.name or "").startswith("Stop")],
    "regular-expression": lambda ev: count([e for e in ev if "assumed-role/" in (arn(e) or "")], role_of_arn),
    "set-operation": refused_only,
    "subquery": by_who_was_denied,
}


def of_hangzhou(events):
    return [e for e in events if e.region == "cn-hangzhou"]


def outcome(e):
    if e.error is None:
        return "ok"
    return "denied" if e.error.startswith("AccessDenied") else "failed"


def key_times(events):
    times = defaultdict(list)
    for e in events:
        # An event without a time has that of its coming in, which no file tells.
        if e.access_key and e.time:
            times[e.access_key].append(moment(e).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return [(key, min(all), max(all)) for key, all in times.items()]


LOG = {
    "by-name": lambda ev: count(past(ev), lambda e: e.name),
    "arbitrary": lambda ev: [(e.id, e.name, e.user_name) for e in ev if e.rw == "Write" and service(e) == "iam"],
    "account-and-principal": lambda ev: count(
        [e for e in past(ev) if identity(e).get("accountId")], lambda e: identity(e)["accountId"], lambda e: identity(e).get("type")),
    "root": lambda ev: [(e.name,) for e in ev if identity(e).get("type") == "root-account"],
    "unix-time": lambda ev: between(ev, "2023-07-10T12:00:00Z", "2023-07-10T12:30:00Z"),
    "from-unixtime": lambda ev: count(past(ev), lambda e: moment(e).strftime("%Y-%m-%d %H")),
    "time-as-text": lambda ev: [
        (moment(e).strftime("%Y-%m-%dT%H:%M:%SZ"),) for e in ev
        if e.time and at("2023-07-10T12:00:00Z") <= moment(e) < at("2023-07-10T12:01:00Z")],
    "time-of-a-text": lambda ev: count(past(ev), lambda e: moment(e).isoweekday()),
    "date-parse": lambda ev: [(sum(moment(e) < at("2021-01-01T00:00:00Z") for e in ev if e.time),)],
    "parameters": lambda ev: count([e for e in ev if asked(e, "bucketName")], lambda e: asked(e, "bucketName")),
    "parameters-by-dots": lambda ev: count([e for e in ev if asked(e, "roleName")], lambda e: asked(e, "roleName")),
    "identity-by-dots": lambda ev: count([e for e in ev if issuer(e)], issuer),
    "split-and-place": lambda ev: count(
        [e for e in ev if (source(e) or "").split(".")[1:2] == ["amazonaws"]], lambda e: source(e).split(".")[0]),
    "not-in-the-list": lambda ev: [(sum(service(e) not in ("iam", "sts", "s3") for e in past(ev)),)],
    "array-agg": lambda ev: distinct(
        [e for e in ev if service(e) == "iam" and e.user_name], lambda e: e.user_name, lambda e: e.name),
    "case": lambda ev: count(past(ev), outcome),
    "coalesce": lambda ev: count(of_hangzhou(ev), lambda e: e.error or "none"),
    "cast": lambda ev: [(f"{account}/{n}",) for account, n in count(of_hangzhou(ev), lambda e: identity(e).get("accountId"))],
    "addresses": lambda ev: distinct(of_hangzhou(ev), lambda e: e.source_ip, lambda e: e.name),
    "names-in-any-case": lambda ev: [(e.name,) for e in of_hangzhou(ev)],
    "keys": key_times,
    "mfa": lambda ev: count([e for e in ev if mfa(e) is not None], mfa),
}
