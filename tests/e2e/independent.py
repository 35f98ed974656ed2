"""Reads audit events without any of Cairn's code, to have something to compare with.

Standard library only. It takes the raw files apart itself, keeps each event's
bytes as they stand in the file, and works out the few columns that the tests
compare, from docs/columns.md and from nothing else.
"""

import base64
import dataclasses
import gzip
import json
import pathlib
import re

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_RECORDS = re.compile(r'^[ \t\r\n]*\{[ \t\r\n]*"Records"[ \t\r\n]*:[ \t\r\n]*\[')


def _skip(text, at):
    return _SPACE.match(text, at).end()


def _array(text, at):
    """The elements of the array that opens just before `at`, each as its own text."""
    at = _skip(text, at)
    if text[at] == "]":
        return
    while True:
        _, end = _DECODER.raw_decode(text, at)
        yield text[at:end]
        at = _skip(text, end)
        if text[at] == "]":
            return
        if text[at] != ",":
            raise ValueError(f"no comma at {at}")
        at = _skip(text, at + 1)


def split(text):
    """The single events of one body, each as the text that stood there."""
    records = _RECORDS.match(text)
    if records:
        return list(_array(text, records.end()))
    start = _skip(text, 0)
    if text[start:start + 1] == "[":
        return list(_array(text, start + 1))
    found = []
    while start < len(text):
        _, end = _DECODER.raw_decode(text, start)
        found.append(text[start:end])
        start = _skip(text, end)
    return found


def unwrap(text):
    """The event inside the log service's envelope, or the event itself."""
    value = json.loads(text)
    contents = value.get("contents") if isinstance(value, dict) else None
    if isinstance(contents, dict) and isinstance(contents.get("event"), str):
        return contents["event"]
    return text


# Where an event does not say whether it reads or writes, its name's first word
# decides; what is not known to read may have written. These are the words that
# occur in the bundled events.
READS = ("Describe", "Get", "List", "Head", "Lookup")


@dataclasses.dataclass
class Event:
    """One event: its text, its parsed value, and the account it belongs to."""

    raw: str
    value: dict
    account: str

    def _identity(self):
        return self.value.get("userIdentity") or {}

    @property
    def key(self):
        """What makes it one event: the account and the id."""
        return (self.account, self.id)

    @property
    def id(self):
        return self.value.get("eventID", self.value.get("eventId"))

    @property
    def name(self):
        return self.value.get("eventName")

    @property
    def region(self):
        return self.value.get("awsRegion", self.value.get("acsRegion"))

    @property
    def error(self):
        return self.value.get("errorCode")

    @property
    def time(self):
        return self.value.get("eventTime")

    @property
    def category(self):
        said = self.value.get("eventCategory")
        if said is None and "managementEvent" in self.value:
            return "Management" if self.value["managementEvent"] else "Data"
        return said

    @property
    def derived(self):
        """Whether nothing in the event says if it reads or writes."""
        return self.value.get("readOnly") is None and self.value.get("eventRW") is None

    @property
    def rw(self):
        """Read or Write."""
        if self.value.get("eventRW") is not None:
            return self.value["eventRW"]
        said = self.value.get("readOnly")
        if said is not None:
            return "Read" if str(said).lower() == "true" else "Write"
        return "Read" if (self.name or "").startswith(READS) else "Write"

    @property
    def services(self):
        """Every value that a selector on `service` compares with."""
        source = self.value.get("eventSource")
        service = self.value.get("serviceName") or (source or "").split(".")[0]
        return [v for v in (service, source) if v]

    @property
    def user_name(self):
        identity = self._identity()
        issuer = ((identity.get("sessionContext") or {}).get("sessionIssuer") or {})
        return identity.get("userName") or issuer.get("userName")

    @property
    def users(self):
        """Every value that a selector on `user` compares with."""
        identity = self._identity()
        values = (self.user_name, identity.get("principalId"), identity.get("arn"))
        return [v for v in values if v]

    @property
    def access_key(self):
        # An empty key is no key: that is how consoles write it.
        return self._identity().get("accessKeyId") or None

    @property
    def source_ip(self):
        return self.value.get("sourceIPAddress", self.value.get("sourceIpAddress"))

    @property
    def mfa(self):
        """True, False, or None where the event does not say."""
        attributes = (self._identity().get("sessionContext") or {}).get("attributes") or {}
        said = attributes.get("mfaAuthenticated")
        if said is None and "eventID" in self.value:
            said = (self.value.get("additionalEventData") or {}).get("MFAUsed")
        if said is None:
            return None
        return {"true": True, "yes": True, "false": False, "no": False}[str(said).lower()]

    @property
    def resource_types(self):
        return [r["type"] for r in self.value.get("resources") or [] if r.get("type")]

    @property
    def resource_names(self):
        named = [r.get("ARN") or r.get("ARNPrefix") for r in self.value.get("resources") or []]
        return [name for name in named if name]


def files(*paths):
    """The event files at and below `paths`, in order of their names."""
    found = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found += [p for p in sorted(path.rglob("*"))
                      if p.is_file() and re.search(r"\.(json|ndjson)(\.gz)?$", p.name)]
        else:
            found.append(path)
    return found


def account_of(value, otherwise=None):
    """The account that an event names: the one it was recorded for, else that of who acted."""
    return value.get("recipientAccountId") or (value.get("userIdentity") or {}).get("accountId") or otherwise


def load(*paths, account=None):
    """Every event of the files, repeats too. `account` is that of events that name none."""
    events = []
    for path in files(*paths):
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        for text in split(data.decode("utf-8")):
            text = unwrap(text)
            value = json.loads(text)
            events.append(Event(text, value, account_of(value, account)))
    return events


def distinct(events):
    """One of each (account, id, bytes), in the order of the first: what history has to hold."""
    seen = {}
    for event in events:
        seen.setdefault((event.account, event.id, event.raw), event)
    return list(seen.values())


def _compare(criterion, values):
    """One finer criterion: `(operator, wanted…)`, all values alternatives."""
    operator, *wanted = criterion
    negated = operator.startswith("not_")
    test = {
        "equals": lambda v, w: v == w,
        "starts": lambda v, w: v.startswith(w),
        "ends": lambda v, w: v.endswith(w),
    }[operator.removeprefix("not_")]
    return any(test(v, w) for v in values for w in wanted) != negated


def takes(event, accounts=None, regions=None, rw="All", categories=None, fields=()):
    """Whether a trail with this filter takes the event; `fields` are `(field, criterion)`."""
    if accounts is not None and event.account not in accounts:
        return False
    if regions is not None:
        if event.region is None or event.region.lower() not in {r.lower() for r in regions}:
            return False
    if rw != "All" and event.rw != rw:
        return False
    if categories is not None and event.category not in categories:
        return False
    values = {
        "service": lambda: event.services,
        "event_name": lambda: [event.name] if event.name else [],
        "user": lambda: event.users,
        "resource": lambda: event.resource_names,
        "resource_type": lambda: event.resource_types,
    }
    return all(_compare(criterion, values[field]()) for field, criterion in fields)


def quarantined(rows):
    """The bytes of quarantine rows, decoded."""
    return [base64.b64decode(row["raw_base64"]) for row in rows]
