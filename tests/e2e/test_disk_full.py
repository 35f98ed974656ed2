"""A disk that is really full, really read-only, and a process that may open no more files: 503, no receipt, and it
goes on by itself when the cause is gone."""

import errno
import os
import resource
import subprocess
import time

import pytest

from disk import DiskCairn, Ledger, live
from syscalls import Injector

SIZE = 12 << 20


class Tmpfs:
    """A small file system of its own: mounted as root, or in a user namespace where we are not."""

    def __init__(self, at):
        self.at, self.holder, self.enter = at, None, []
        at.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(at)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode == 0:
            return
        # Alive as long as the namespace is needed.
        script = f"{' '.join(mount)} && echo mounted && exec sleep 3600"
        self.holder = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "mounted\n":
            pytest.fail(f"A FULL DISK CANNOT BE TESTED HERE: mount says {done.stderr!r}, "
                        f"unshare says {self.holder.stderr.read()!r}. Run this as root, or allow user namespaces.")
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-U", "-m", "--preserve-credentials"]

    def outside(self, path):
        """How `path` is reached from here."""
        return self.at.__class__(f"/proc/{self.holder.pid}/root{path}") if self.holder else path

    def run(self, *command):
        subprocess.run([*self.enter, *command], check=True)

    def end(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        else:
            subprocess.run(["umount", "-l", str(self.at)], check=True)


class OnTmpfs(DiskCairn):
    """A server whose data lie there."""

    def __init__(self, tmpfs, log):
        super().__init__(tmpfs.at / "data", prefix=tmpfs.enter)
        self.tmpfs, self.log_path = tmpfs, log

    @property
    def admin(self):
        return self.tmpfs.outside(self.data / "admin.token").read_text().strip()


@pytest.fixture
def tmpfs(tmp_path):
    made = Tmpfs(tmp_path / "disk")
    yield made
    made.end()


def test_a_full_disk(tmpfs, tmp_path):
    ballast = tmpfs.at / "ballast"
    tmpfs.run("dd", "if=/dev/zero", f"of={ballast}", "bs=1M", "count=4", "status=none")
    cairn, ledger = OnTmpfs(tmpfs, tmp_path / "log"), Ledger()
    try:
        assert live(cairn, ledger)
        for number in range(SIZE // 50_000):
            names = ledger.events(number, size=20)
            if ledger.send(cairn, names) != 200:
                break
        told = ledger.last
        assert told.status_code == 503, told.text
        assert "space" in told.text and "o acknowledg" not in told.text, told.text
        acknowledged = len(ledger.acknowledged)
        for _ in range(3):
            assert ledger.send(cairn, ledger.events(8, size=20)) == 503
        assert len(ledger.acknowledged) == acknowledged
        # The operator is told, and what is there can still be asked for.
        assert "free some space" in cairn.http("GET", "/v1/status").json()["log"]["trouble"]
        ledger.check(cairn, trail=False)
        tmpfs.run("rm", str(ballast))
        ledger.settle(cairn)
        assert cairn.http("GET", "/v1/status").json()["log"]["trouble"] is None
        ledger.check(cairn)
        cairn.restart(hard=True)
        ledger.check(cairn, trail=False)
        ledger.settle(cairn)
        ledger.check(cairn)
        assert cairn.stop() == 0
    finally:
        cairn.kill()


def test_a_disk_that_is_read_only_at_the_start(tmpfs, tmp_path):
    cairn, ledger = OnTmpfs(tmpfs, tmp_path / "log"), Ledger()
    try:
        assert live(cairn, ledger)
        cairn.kill()
        tmpfs.run("mount", "-o", "remount,ro", str(tmpfs.at))
        cairn.spawn()
        assert cairn.process.wait(timeout=60) not in (0, 101)
        assert "ead-only" in cairn.log() and "panicked" not in cairn.log(), cairn.log()[-2000:]
        tmpfs.run("mount", "-o", "remount,rw", str(tmpfs.at))
        cairn.start()
        ledger.check(cairn, trail=False)
        ledger.settle(cairn)
        ledger.check(cairn)
    finally:
        cairn.kill()


def test_a_disk_that_becomes_read_only(tmp_path):
    """The kernel lets nobody remount a disk that is being written to; after an error of its own it does so itself.
    So the calls answer EROFS here."""
    data = tmp_path / "data"
    calls = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "linkat", "mkdir", "unlink", "ftruncate")
    injector = Injector(data, calls, "^/(log|store|seen)", 150, errno.EROFS, lasting=True)
    cairn, ledger = DiskCairn(data, injector), Ledger()
    try:
        assert live(cairn, ledger)
        ledger.dead = lambda: True
        assert ledger.send(cairn, ledger.events(5)) == 503
        assert "read-only" in ledger.last.text, ledger.last.text
        assert injector.injected > 0
        ledger.dead = lambda: False
        injector.relent()
        ledger.settle(cairn)
        ledger.check(cairn)
        cairn.kill()
        injector.finish()
        after = DiskCairn(data)
        after.start()
        ledger.check(after, trail=False)
        after.kill()
    finally:
        cairn.kill()


def test_no_more_files_may_be_opened(tmp_path):
    cairn, ledger = DiskCairn(tmp_path / "data"), Ledger()
    try:
        assert live(cairn, ledger)
        # Everything done, on a connection that stays; then nothing is opened or closed any more.
        assert ledger.request(cairn, "POST", "/v1/flush") == 200
        pid, looks = cairn.process.pid, []
        while len(looks) < 3 or len(set(looks[-3:])) > 1:
            assert ledger.request(cairn, "GET", "/healthz") == 200
            looks.append(frozenset(map(int, os.listdir(f"/proc/{pid}/fd"))))
            time.sleep(0.3)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # Every new descriptor is one too many; the connection that is there stays.
        least = min(set(range(4096)) - looks[-1])
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (least, before[1]))
        # The log is written on until it needs a new segment.
        for number in range(20):
            names = ledger.events(number)
            if ledger.send(cairn, names) != 200:
                break
        assert ledger.last.status_code == 503 and "ulimit" in ledger.last.text, ledger.last.text
        assert names[0] not in ledger.acknowledged
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        ledger.settle(cairn)
        ledger.check(cairn)
        cairn.restart(hard=True)
        ledger.check(cairn, trail=False)
    finally:
        cairn.kill()
