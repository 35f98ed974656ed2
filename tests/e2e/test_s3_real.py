"""S3 as operators have it: TLS of an authority of their own, keys of every origin, encryption, locks, storms.

moto's server holds the objects. In front of it stands an edge that speaks TLS, writes down who signed what,
and answers in moto's place where a test wants a storm.
"""

import datetime
import hashlib
import hmac
import http.server
import ipaddress
import re
import ssl
import threading
import time
import urllib.parse

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cairn import SENT, Cairn, event
from stores import BUCKET, KEYS, Moto

ROLE = "arn:aws:iam::123456789012:role/cairn"


def authority(folder):
    """A certificate authority nobody knows, and a certificate of its for 127.0.0.1; three PEM files."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, is_ca):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True))
        if not is_ca:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(issuer_key or key, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("a test's authority", ca_key, None, None, True)
    leaf = certificate("127.0.0.1", key, ca.subject, ca_key, False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "leaf.key").write_bytes(key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "ca.pem", folder / "leaf.pem", folder / "leaf.key"


def signature_is_right(method, path, headers, body, secret):
    """Whether S3 would take the request: AWS' signature version 4, worked out here anew."""
    headers = {name.lower(): value.strip() for name, value in headers.items()}
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d+)/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)",
        headers["authorization"])
    day, region, signed, signature = found.groups()
    if any(name.startswith("x-amz-") and name not in signed.split(";") for name in headers):
        return False
    if headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
        return False
    path, _, query = path.partition("?")
    query = "&".join(sorted(q if "=" in q else f"{q}=" for q in query.split("&") if q))
    lines = [method, path, query, *(f"{name}:{headers[name]}" for name in signed.split(";")), "", signed,
             headers["x-amz-content-sha256"]]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    scope = f"{day}/{region}/s3/aws4_request"
    key = b"AWS4" + secret.encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    return hmac.digest(key, text.encode(), "sha256").hex() == signature


class Edge:
    """TLS in front of moto. `seen` has (method, path, access key, session token) of each request, `wrong` what
    was not signed as S3 wants it."""

    def __init__(self, folder, backend):
        self.ca, leaf, key = authority(folder)
        self.backend = backend
        self.seen = []
        self.wrong = []
        self.storm = False
        edge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                edge.forward(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # A client that does not trust the edge hangs up: that is what a test wants.
        self.server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf, key)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forward(self, asked):
        body = asked.rfile.read(int(asked.headers.get("content-length", 0)))
        key = re.search(r"Credential=([^/]+)/", asked.headers.get("authorization", ""))
        self.seen.append((asked.command, asked.path, key and key[1], asked.headers.get("x-amz-security-token")))
        if key and key[1] == KEYS["AWS_ACCESS_KEY_ID"] and not signature_is_right(
                asked.command, asked.path, dict(asked.headers), body, KEYS["AWS_SECRET_ACCESS_KEY"]):
            self.wrong.append((asked.command, asked.path, dict(asked.headers)))
        if self.storm and asked.command == "PUT":
            return self.answer(asked, 503, {}, b"<Error><Code>SlowDown</Code></Error>")
        path, headers = asked.path, dict(asked.headers)
        if "AssumeRoleWithWebIdentity" in path:
            # moto looks for the action of an unsigned request in its body only.
            path, query = path.split("?", 1)
            body = query.encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
            headers.pop("content-length", None)
        session = requests.Session()
        session.trust_env = False
        # Byte for byte, or the signature would be for another address.
        request = requests.Request(asked.command, "http://x", headers=headers, data=body).prepare()
        request.url = self.backend + path
        got = session.send(request, timeout=60, stream=True)
        raw = got.raw.read(decode_content=False)
        return self.answer(asked, got.status_code, dict(got.headers), raw)

    @staticmethod
    def answer(asked, status, headers, body):
        asked.send_response(status)
        length = headers.get("Content-Length") if asked.command == "HEAD" else str(len(body))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                asked.send_header(name, value)
        if length is not None and status not in (204, 304):
            asked.send_header("Content-Length", length)
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def store(tmp_path):
    store = Moto(tmp_path / "moto.log").start()
    try:
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        store.stop()


@pytest.fixture
def edge(tmp_path, store):
    edge = Edge(tmp_path, store.endpoint)
    yield edge
    edge.close()


def server(tmp_path, env, *arguments):
    return Cairn(tmp_path / "data", env=env, arguments=["--trails-commit-interval", "1s", *arguments])


def sent(cairn, table):
    return sorted(cairn.column(f"SELECT event_id FROM {table} WHERE {SENT}"))


def deliver(cairn, edge, name="far"):
    """A trail through the edge that gets three events."""
    cairn.trail(name, "--to", f"s3://{BUCKET}/{name}", "--endpoint", edge.url)
    cairn.post([event(f"{name}-{n}") for n in range(3)])
    cairn.flush()
    assert [i for i in sent(cairn, f"trails.{name}") if i.startswith(f"{name}-")] == [
        f"{name}-{n}" for n in range(3)]


def test_an_authority_of_ones_own_is_trusted_when_told(tmp_path, store, edge):
    with server(tmp_path, KEYS) as cairn:
        refused = cairn.cli("trail", "create", "far", "--start", "--to", f"s3://{BUCKET}/far",
                            "--endpoint", edge.url, codes=range(1, 100))
        assert "ertificate" in refused.err, refused.err
        assert not edge.seen
        cairn.stop()
    with server(tmp_path, KEYS, "--s3-ca-file", str(edge.ca), "--s3-encryption", "AES256",
                "--s3-storage-class", "STANDARD_IA") as cairn:
        deliver(cairn, edge)
        client = store.client()
        keys = [k for k in store.keys("far/") if "/_cairn/" not in k]
        assert any(k.endswith(".parquet") for k in keys)
        for key in keys:
            head = client.head_object(Bucket=BUCKET, Key=key)
            assert head["ServerSideEncryption"] == "AES256", key
            wanted = "STANDARD_IA" if key.endswith(".parquet") else None
            assert head.get("StorageClass") == wanted, key
        assert store.ids("far") == ["far-0", "far-1", "far-2"]
        assert not edge.wrong, edge.wrong[0]
        cairn.stop()


def test_a_role_by_web_identity(tmp_path, store, edge):
    token = tmp_path / "token"
    token.write_text("eyJhbGciOi.test.token")
    env = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": ROLE, "AWS_ENDPOINT_URL_STS": edge.url,
           "AWS_CA_BUNDLE": str(edge.ca)}
    with server(tmp_path, env) as cairn:
        deliver(cairn, edge)
        assert f"web identity, role {ROLE}" in cairn.log()
        cairn.stop()
    asked = [path for _, path, _, _ in edge.seen if "AssumeRoleWithWebIdentity" in path]
    assert asked
    for path in asked:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        assert query["RoleArn"] == [ROLE] and query["RoleSessionName"] == ["cairn"]
    signed = [(key, session) for _, path, key, session in edge.seen if path not in asked]
    assert signed and all(key.startswith("ASIA") and session for key, session in signed)


def test_a_profile_whose_key_is_renewed(tmp_path, store, edge):
    file = tmp_path / "credentials"

    def write(key):
        file.write_text(f"[audit]\naws_access_key_id={key}\naws_secret_access_key=hidden-secret\n")

    write("AKIAEARLIER")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "audit"}
    with server(tmp_path, env, "--s3-ca-file", str(edge.ca)) as cairn:
        deliver(cairn, edge)
        assert {key for _, _, key, _ in edge.seen} == {"AKIAEARLIER"}
        write("AKIALATERKEY")
        edge.seen.clear()
        cairn.post(event("later"))
        cairn.flush()
        assert {key for _, _, key, _ in edge.seen} == {"AKIALATERKEY"}
        assert 'profile "audit"' in cairn.log() or 'profile \\"audit\\"' in cairn.log()
        assert "hidden-secret" not in cairn.log()
        cairn.stop()


def worm(cairn, name):
    trails = {t["name"]: t for t in cairn.cli_json("status")["trails"]}
    return trails[name]["worm"], trails[name]["worm_enforced"]


def test_status_tells_whether_buckets_lock(tmp_path, store):
    client = store.client()
    client.create_bucket(Bucket="locking", ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(Bucket="locking", ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 365}}})
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    with server(tmp_path, {**KEYS, "CAIRN_S3_ALLOW_HTTP": "true"}, "--history-compaction-interval", "1s") as cairn:
        for name, bucket in [("locked", "locking"), ("kept", "versioned"), ("plain", BUCKET)]:
            cairn.trail(name, "--to", f"s3://{bucket}/x", "--endpoint", store.endpoint)
        cairn.trail("near")
        assert worm(cairn, "locked") == ("enforced by the bucket: COMPLIANCE 365 days", True)
        assert worm(cairn, "kept") == ("versioned only", False)
        assert worm(cairn, "plain") == ("not enforced", False)
        assert worm(cairn, "near") == ("not enforced", False)
        assert cairn.cli_json("status")["store"] == {"worm": "not enforced", "worm_enforced": False}
        assert "enforced by the bucket: COMPLIANCE 365 days" in cairn.cli("status").out
        store.stop()
        end = time.monotonic() + 120
        while worm(cairn, "locked")[1] is not None:
            assert time.monotonic() < end, "status goes on to say what it cannot know"
            time.sleep(0.5)
        assert worm(cairn, "locked")[0].startswith("unknown: ")
        cairn.stop()


def test_evidence_is_locked_where_that_is_asked_for(tmp_path, store, edge):
    client = store.client()
    client.create_bucket(Bucket="lockable", ObjectLockEnabledForBucket=True)
    with server(tmp_path, KEYS, "--s3-ca-file", str(edge.ca),
                "--s3-object-lock", "compliance", "--s3-retain-days", "30") as cairn:
        refused = cairn.cli("trail", "create", "refused", "--start", "--to", f"s3://{BUCKET}/no",
                            "--endpoint", edge.url, codes=range(1, 100))
        assert "no Object Lock" in refused.err and "s3.object_lock" in refused.err
        cairn.trail("far", "--to", "s3://lockable/far", "--endpoint", edge.url)
        cairn.post([event(f"e{n}") for n in range(3)])
        cairn.flush()
        assert worm(cairn, "far")[0].startswith("enforced by what Cairn asks of the bucket: COMPLIANCE 30 days")
        cairn.stop()
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="lockable")["Contents"]]
    assert any(k.endswith(".parquet") for k in keys) and any(k.endswith(".json") for k in keys)
    assert not edge.wrong, edge.wrong[0]
    now = datetime.datetime.now(datetime.timezone.utc)
    for key in keys:
        head = client.head_object(Bucket="lockable", Key=key)
        assert head["ObjectLockMode"] == "COMPLIANCE", key
        left = head["ObjectLockRetainUntilDate"] - now
        assert datetime.timedelta(days=29) < left < datetime.timedelta(days=31), (key, left)
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.delete_object(Bucket="lockable", Key=key, VersionId=head["VersionId"])


def test_a_storm_of_slow_down_loses_and_repeats_nothing(tmp_path, store, edge):
    with server(tmp_path, KEYS, "--s3-ca-file", str(edge.ca)) as cairn:
        deliver(cairn, edge)
        edge.storm = True
        edge.seen.clear()
        cairn.post([event(f"storm-{n}") for n in range(20)])
        end = time.monotonic() + 120
        while "SlowDown" not in (cairn.cli_json("trail", "show", "far").get("last_error") or ""):
            assert time.monotonic() < end, "the trail does not say that its store is overrun"
            time.sleep(0.5)
        edge.storm = False
        cairn.flush()
        wanted = sorted([f"far-{n}" for n in range(3)] + [f"storm-{n}" for n in range(20)])
        assert sent(cairn, "trails.far") == wanted
        assert store.ids("far") == wanted
        cairn.stop()
