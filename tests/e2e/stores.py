"""S3 servers for the tests: moto, which forgets, and versitygw, which keeps."""

import pathlib
import socket
import subprocess
import sys
import time

import boto3
from botocore.config import Config
from deltalake import DeltaTable

from cairn import ROOT, clean_environment, free_port

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret-value"}
BUCKET = "audit-trails"
REGION = "us-east-1"

SCRIPT = ROOT / "deploy/scripts/s3server"

# The first start builds the server.
START_WITHIN = 600


class S3:
    """What both have in common. `endpoint` is the store's URL; `ca` a file with its authority, or None."""

    endpoint = None
    ca = None

    def client(self):
        """boto3's client."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, verify=str(self.ca) if self.ca else None,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}, s3={"addressing_style": "path"}))

    def keys(self, prefix=""):
        """The keys of the bucket's objects."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def ids(self, prefix):
        """The event ids of the table at `prefix`, read by delta-rs."""
        options = {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": REGION,
                   "AWS_ALLOW_HTTP": "true", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"}
        table = DeltaTable(f"s3://{BUCKET}/{prefix}", storage_options=options)
        rows = table.to_pyarrow_table(columns=["event_id", "dialect"]).to_pylist()
        return sorted(r["event_id"] for r in rows if r["dialect"] != "cairn")


class Moto(S3):
    """moto's S3 in a process of its own; what it holds is gone when it stops."""

    def __init__(self, log):
        self.port = free_port()
        self.log = log
        self.process = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Starts it, with one empty bucket."""
        for left in range(4, -1, -1):
            if self._came_up():
                break
            assert left, "moto's server ended"
            # Somebody else took the port meanwhile.
            self.port = free_port()
        self.client().create_bucket(Bucket=BUCKET)
        return self

    def _came_up(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(pathlib.Path(__file__).with_name("moto_server.py")), "-H", "127.0.0.1", "-p", str(self.port)],
                stdout=log, stderr=log, env=clean_environment())
        end = time.monotonic() + 60
        while True:
            if self.process.poll() is not None:
                return False
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            except OSError:
                assert time.monotonic() < end, "moto's server did not come up"
                time.sleep(0.1)

    def stop(self):
        """Ends it, in no order at all."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Versitygw(S3):
    """versitygw over a folder, run by deploy/scripts/s3server."""

    def __init__(self, folder, tls=False):
        self.folder = pathlib.Path(folder)
        self.tls = tls

    @property
    def endpoint(self):
        return (self.folder / "address").read_text().strip()

    @property
    def ca(self):
        return self.folder / "tls/ca.pem" if self.tls else None

    def _script(self, act, *arguments):
        done = subprocess.run(
            [SCRIPT, act, self.folder, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=clean_environment(KEYS), timeout=START_WITHIN, text=True)
        if done.returncode:
            raise RuntimeError(f"s3server {act} ended with {done.returncode}:\n{done.stderr[-4000:]}")

    def start(self):
        """Starts it on what is there, with the bucket; returns when it serves."""
        first = not (self.folder / "address").exists()
        self._script("start", "--bucket", BUCKET, *(["--tls"] if self.tls and first else []))
        return self

    def stop(self):
        """Ends it in order; the objects stay."""
        self._script("stop")

    def kill(self):
        """kill -9; the objects stay."""
        self._script("kill")

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        self._script("pause")

    def resume(self):
        """SIGCONT."""
        self._script("resume")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self._script("remove")
