"""The answers to the library's questions, worked out from the raw events without any of Cairn's code.

Each question is either a choice of events (`ROWS`: the ids, in order of time) or a table by key (`GROUPS`).
What is compared with is docs/questions.md: what each question says that it asks.
"""

import datetime
import json
import re
from collections import defaultdict

SINCE = "2000-01-01T00:00:00Z"
UNTIL = "2026-01-01T00:00:00Z"
LATER = "2023-07-10T12:00:00Z"

# What is given beyond SINCE and UNTIL, so that the real events have an answer.
PARAMETERS = {
    "keys-from-many-addresses": {"least": "2"},
    "keys-idle": {"idle_since": LATER},
    "permissions-looked-through": {"least": "4"},
    "mass-downloads": {"least": "1"},
    "mass-deletions": {"least": "3"},
    "new-addresses": {"new_since": LATER},
    "new-operations": {"new_since": LATER},
    "resources-touched": {"resource": "%bucket%"},
    "what-an-address-did": {"address": "192.168.10.20"},
    "what-a-user-did": {"who": "bert-jan"},
    "unusual-regions": {"most": "5"},
    "busiest-principals": {"most": "7"},
}


def moment(event):
    return datetime.datetime.fromisoformat(event.time)


def at(text):
    return datetime.datetime.fromisoformat(text)


def within(events):
    return [e for e in events if e.time and at(SINCE) <= moment(e) < at(UNTIL)]


def identity(e):
    return e.value.get("userIdentity") or {}


def who(e):
    return e.user_name or identity(e).get("arn") or identity(e).get("principalId")


def of(e, part, *keys):
    """The first of the keys that a part of the event has."""
    value = e.value.get(part)
    for key in keys:
        if isinstance(value, dict) and value.get(key) is not None:
            return value[key]
    return None


def asked(e, *keys):
    return of(e, "requestParameters", *keys)


def service(e):
    return e.services[0] if e.services else None


def root(e):
    return identity(e).get("type") in ("Root", "root-account")


def login(e):
    return e.name == "ConsoleLogin" or e.value.get("eventType") == "ConsoleSignin"


def welcome(e):
    return of(e, "responseElements", "ConsoleLogin") or "Success"


def named(*names, ok=None):
    return lambda e, p: e.name in names and (ok is None or (e.error is None) == ok)


def parameters_text(e):
    return json.dumps(e.value.get("requestParameters"))


def denied(e):
    return bool(e.error and re.search("denied|unauthorized|forbidden|nopermission", e.error, re.I))


def matches(pattern):
    return lambda e, p: bool(re.search(pattern, e.name or ""))


NETWORK = ("^(Create|Delete|Replace|Attach|Detach|Modify|Accept)(Vpc|Subnet|Route|RouteTable|InternetGateway|NatGateway|NetworkAcl"
           "|NetworkAclEntry|VpnGateway|CustomerGateway|VpcPeeringConnection|VpcEndpoint|DhcpOptions)")
POLICIES = ("CreatePolicy CreatePolicyVersion DeletePolicy DeletePolicyVersion SetDefaultPolicyVersion AttachPolicyToUser "
            "AttachPolicyToRole DetachPolicyFromUser DetachPolicyFromRole").split()
GIVEN = "AttachUserPolicy AttachRolePolicy AttachGroupPolicy AttachPolicyToUser AttachPolicyToRole".split()

ROWS = {
    "root-use": lambda e, p: root(e),
    "logins-without-mfa": lambda e, p: login(e) and e.mfa is False and welcome(e) == "Success",
    "new-users": named("CreateUser", ok=True),
    "users-deleted": named("DeleteUser", ok=True),
    "passwords-set": named("CreateLoginProfile", "UpdateLoginProfile", "DeleteLoginProfile", "ChangePassword"),
    "mfa-changed": named("CreateVirtualMFADevice", "EnableMFADevice", "DeactivateMFADevice", "DeleteVirtualMFADevice",
                         "ResyncMFADevice", "BindMFADevice", "UnbindMFADevice"),
    "password-policy": named("UpdateAccountPasswordPolicy", "DeleteAccountPasswordPolicy", "SetPasswordPolicy"),
    "keys-made": named("CreateAccessKey", ok=True),
    "keys-changed": named("UpdateAccessKey", "DeleteAccessKey"),
    "sessions-from-credentials": named("GetSessionToken", "GetFederationToken"),
    "policy-changes": lambda e, p: e.name in POLICIES or bool(
        re.fullmatch("(Put|Attach|Detach|Delete)(User|Role|Group)Policy", e.name or "")),
    "administrators-made": lambda e, p: e.name in GIVEN and e.error is None and "AdministratorAccess" in parameters_text(e),
    "trust-changed": named("UpdateAssumeRolePolicy", "UpdateRole"),
    "roles-made": named("CreateRole", ok=True),
    "groups-changed": named("AddUserToGroup", "RemoveUserFromGroup"),
    "trail-stopped": named("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors", "StopEventDataStoreIngestion",
                           "DeleteEventDataStore"),
    "guards-switched-off": named(
        "DeleteDetector", "UpdateDetector", "DisassociateFromMasterAccount", "DisassociateMembers", "StopMonitoringMembers",
        "StopConfigurationRecorder", "DeleteConfigurationRecorder", "DeleteDeliveryChannel", "DeleteConfigRule",
        "DisableSecurityHub", "DeleteAlarms", "DisableAlarmActions", "DisableRule", "DeleteRule"),
    "logs-deleted": named("DeleteFlowLogs", "DeleteLogGroup", "DeleteLogStream", "PutRetentionPolicy",
                          "DeleteResolverQueryLogConfig"),
    "organization-changes": named(
        "LeaveOrganization", "RemoveAccountFromOrganization", "InviteAccountToOrganization", "CreateAccount", "CloseAccount",
        "DisablePolicyType", "DetachPolicy", "AttachPolicy", "UpdatePolicy"),
    "buckets-opened": named(
        "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketAcl", "PutObjectAcl", "PutBucketPublicAccessBlock",
        "DeleteBucketPublicAccessBlock", "PutAccountPublicAccessBlock", "PutBucketCors", "PutBucketWebsite"),
    "buckets-deleted": named("DeleteBucket", "DeleteObject", "DeleteObjects", "DeleteObjectVersion", "PutBucketVersioning",
                             "PutBucketLifecycle", "PutBucketLifecycleConfiguration"),
    "snapshots-shared": named("ModifySnapshotAttribute", "ModifyImageAttribute", "ModifyDBSnapshotAttribute",
                              "ModifyDBClusterSnapshotAttribute", "SharedSnapshotCopyInitiated", "SharedSnapshotVolumeCreated"),
    "keys-of-encryption-changed": named("DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion", "PutKeyPolicy",
                                        "DisableKeyRotation", "DeleteImportedKeyMaterial"),
    "resources-touched": lambda e, p: any("bucket" in name for name in e.resource_names),
    "security-groups-opened": lambda e, p: e.name == "AuthorizeSecurityGroupIngress" and e.error is None and (
        "0.0.0.0/0" in parameters_text(e) or "::/0" in parameters_text(e)),
    "security-groups-changed": named(
        "CreateSecurityGroup", "DeleteSecurityGroup", "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress",
        "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress", "ModifySecurityGroupRules"),
    "network-changes": matches(NETWORK),
    "machines-started": named("RunInstances"),
    "commands-on-machines": named("SendCommand", "StartSession", "ResumeSession", "SendSSHPublicKey",
                                  "SendSerialConsoleSSHPublicKey", "RunCommand", "InvokeCommand"),
    "user-data-read": lambda e, p: e.name == "DescribeInstanceAttribute" and asked(e, "attribute") == "userData",
    "what-an-address-did": lambda e, p: e.source_ip == p["address"],
    "what-a-user-did": lambda e, p: p["who"] in (
        e.user_name, identity(e).get("principalId"), identity(e).get("arn"), e.access_key),
}


def table(events, key, columns, having=lambda row: True):
    groups = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    rows = {k: tuple(column(g) for column in columns) for k, g in groups.items()}
    return {k: row for k, row in rows.items() if having(row)}


def failed(group):
    return sum(e.error is not None for e in group)


def different(f):
    return lambda group: len({f(e) for e in group} - {None})


def first(group):
    return min(map(moment, group))


def last(group):
    return max(map(moment, group))


def hour(e):
    return moment(e).replace(minute=0, second=0, microsecond=0)


def writes(group):
    return sum(e.rw == "Write" for e in group)


def role(e):
    return asked(e, "roleArn")


def outside(e):
    time = moment(e)
    return time.isoweekday() >= 6 or not 7 <= time.hour < 19


def allowed_after(row):
    failures, _, first_failure, last_success = row
    return failures > 0 and last_success is not None and last_success > first_failure


def address(e):
    return e.source_ip


def tool(e):
    return e.value["userAgent"].split(" ")[0].split("/")[0]


SECRETS = "GetSecretValue BatchGetSecretValue GetParameter GetParameters GetParametersByPath GetPasswordData Decrypt".split()

# name -> (the columns of the key, the columns of the values, what works it out)
GROUPS = {
    "root-keys": (["account_id", "access_key_id"], ["first_use", "last_use", "calls"], lambda events, p: table(
        [e for e in events if root(e) and e.access_key], lambda e: (e.account, e.access_key), [first, last, len])),
    "logins": (["account_id", "who", "source_ip"], ["logins", "first_login", "last_login"], lambda events, p: table(
        [e for e in events if login(e) and welcome(e) == "Success" and e.error is None],
        lambda e: (e.account, who(e), e.source_ip), [len, first, last])),
    "logins-failed": (["account_id", "who", "source_ip"], ["failures", "first_try"], lambda events, p: table(
        [e for e in events if login(e) and (of(e, "responseElements", "ConsoleLogin") == "Failure" or e.error)],
        lambda e: (e.account, who(e) or identity(e).get("type"), e.source_ip), [len, first])),
    "keys-first-and-last-used": (["access_key_id"], ["first_use", "last_use", "calls", "addresses"], lambda events, p: table(
        [e for e in events if e.access_key], lambda e: (e.access_key,), [first, last, len, different(address)])),
    "keys-from-many-addresses": (["access_key_id"], ["addresses", "calls"], lambda events, p: table(
        [e for e in events if e.access_key], lambda e: (e.access_key,), [different(address), len],
        lambda row: row[0] >= int(p["least"]))),
    "keys-idle": (["access_key_id"], ["last_use", "calls"], lambda events, p: table(
        [e for e in events if (e.access_key or "").startswith(("AKIA", "LTAI"))], lambda e: (e.access_key,), [last, len],
        lambda row: row[0] < at(p["idle_since"]))),
    "roles-assumed": (["role", "who", "source_ip"], ["times", "refused"], lambda events, p: table(
        [e for e in events if e.name in ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity")],
        lambda e: (role(e), who(e), e.source_ip), [len, failed])),
    "roles-assumed-from-outside": (
        ["account_id", "from_account", "event_name"], ["calls", "first_call"], lambda events, p: table(
            [e for e in events if identity(e).get("accountId") and identity(e)["accountId"] != e.account],
            lambda e: (e.account, identity(e)["accountId"], e.name), [len, first])),
    "permissions-looked-through": (
        ["account_id", "who", "source_ip"], ["calls", "different", "refused"], lambda events, p: table(
            [e for e in events if service(e) == "iam" and e.rw == "Read"], lambda e: (e.account, who(e), e.source_ip),
            [len, different(lambda e: e.name), failed], lambda row: row[1] >= int(p["least"]))),
    "denied-by-hour": (["hour"], ["denied", "principals"], lambda events, p: table(
        [e for e in events if denied(e)], lambda e: (hour(e),), [len, different(who)])),
    "denied-by-principal": (
        ["account_id", "who", "service_name", "event_name"], ["denied", "last_time"], lambda events, p: table(
            [e for e in events if denied(e)], lambda e: (e.account, who(e), service(e), e.name), [len, last])),
    "denied-then-allowed": (["account_id", "who", "event_name"], ["failed", "succeeded"], lambda events, p: {
        key: row[:2] for key, row in table(
            [e for e in events if e.error is None or denied(e)], lambda e: (e.account, who(e), e.name),
            [failed, lambda g: len(g) - failed(g),
             lambda g: min((moment(e) for e in g if e.error), default=None),
             lambda g: max((moment(e) for e in g if not e.error), default=None)], allowed_after).items()}),
    "errors-by-code": (["error_code"], ["calls", "operations", "accounts"], lambda events, p: table(
        [e for e in events if e.error is not None], lambda e: (e.error,),
        [len, different(lambda e: e.name), different(lambda e: e.account)])),
    "throttled": (["account_id", "who", "event_name"], ["refused"], lambda events, p: table(
        [e for e in events if e.error and re.search("throttl|limitexceeded|requestlimit|toomanyrequests", e.error, re.I)],
        lambda e: (e.account, who(e), e.name), [len])),
    "mass-downloads": (["account_id", "who", "source_ip", "bucket"], ["objects", "first_time"], lambda events, p: table(
        [e for e in events if e.name == "GetObject" and e.error is None],
        lambda e: (e.account, who(e), e.source_ip, asked(e, "bucketName")), [len, first],
        lambda row: row[0] >= int(p["least"]))),
    "secrets-read": (["account_id", "who", "source_ip", "event_name"], ["calls", "refused"], lambda events, p: table(
        [e for e in events if e.name in SECRETS], lambda e: (e.account, who(e), e.source_ip, e.name), [len, failed])),
    "activity-by-hour": (["hour"], ["writes", "reads", "errors"], lambda events, p: table(
        events, lambda e: (hour(e),), [writes, lambda g: len(g) - writes(g), failed])),
    "unusual-regions": (["account_id", "region"], ["events", "principals", "first_time"], lambda events, p: table(
        [e for e in events if e.region is not None], lambda e: (e.account, e.region), [len, different(who), first],
        lambda row: row[0] <= int(p["most"]))),
    "busiest-principals": (
        ["account_id", "who"], ["events", "writes", "operations", "addresses"], lambda events, p: dict(sorted(
            table(events, lambda e: (e.account, who(e)),
                  [len, writes, different(lambda e: e.name), different(address)]).items(),
            key=lambda kv: (-kv[1][0], kv[0][0], kv[0][1] or "\U0010ffff"))[:int(p["most"])])),
    "services-in-use": (["account_id", "service_name"], ["events", "first_use", "last_use"], lambda events, p: table(
        events, lambda e: (e.account, service(e)), [len, first, last])),
    "new-addresses": (["account_id", "who", "source_ip"], ["first_time", "calls"], lambda events, p: table(
        events, lambda e: (e.account, who(e), e.source_ip), [first, len], lambda row: row[0] >= at(p["new_since"]))),
    "new-operations": (["account_id", "service_name", "event_name"], ["first_time", "calls"], lambda events, p: table(
        events, lambda e: (e.account, service(e), e.name), [first, len], lambda row: row[0] >= at(p["new_since"]))),
    "tools-in-use": (["tool"], ["calls", "principals"], lambda events, p: table(
        [e for e in events if e.value.get("userAgent") is not None], lambda e: (tool(e),), [len, different(who)])),
    "mass-deletions": (["account_id", "who", "service_name"], ["deletions", "first_time", "last_time"], lambda events, p: table(
        [e for e in events if (e.name or "").startswith(("Delete", "Terminate")) and e.error is None],
        lambda e: (e.account, who(e), service(e)), [len, first, last], lambda row: row[0] >= int(p["least"]))),
    "off-hours": (["account_id", "who"], ["changes", "first_time", "last_time"], lambda events, p: table(
        [e for e in events if e.rw == "Write" and e.error is None and outside(e)], lambda e: (e.account, who(e)),
        [len, first, last])),
    "late-events": (["account_id", "day"], ["late_events"], lambda events, p: table(
        # All of them: they happened years before they came in.
        events, lambda e: (e.account, hour(e).replace(hour=0)), [len])),
}

# Asked of what Cairn itself did, which no raw file tells; they have tests of their own.
OF_CAIRN = {"cairn-changes", "who-asked-what"}
