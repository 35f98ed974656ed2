"""Stops a program at its N-th call that changes the disk: the call fails, or the program dies there.

The kernel hands the calls over (seccomp user notification, seccomp_unotify(2)), so the numbering runs over all threads
of the program, and only calls below one folder count. `strace -e inject` counts each thread for itself and cannot choose
by a path that it is not told before; it is used beside this one, in test_disk_faults.py.
"""

import array
import ctypes
import errno
import fcntl
import os
import re
import select
import signal
import socket
import struct
import sys
import threading

# x86_64 and aarch64 (which has no rename, link, mkdir, unlink without "at").
NUMBERS = {
    "x86_64": {"write": 1, "pwrite64": 18, "writev": 20, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82,
               "mkdir": 83, "link": 86, "unlink": 87, "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264,
               "linkat": 265, "syncfs": 306, "renameat2": 316, "copy_file_range": 326, "pwritev2": 328},
    "aarch64": {"write": 64, "pwrite64": 68, "writev": 66, "fsync": 82, "fdatasync": 83, "ftruncate": 46, "openat": 56,
                "mkdirat": 34, "unlinkat": 35, "renameat": 38, "linkat": 37, "syncfs": 267, "renameat2": 276,
                "copy_file_range": 285, "pwritev2": 287},
}
MACHINE = os.uname().machine
NUMBER = NUMBERS.get(MACHINE, {})
NAME = {number: name for name, number in NUMBER.items()}
BY_FD = {"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "syncfs", "pwritev2"}
# Which argument is the path that the call makes or takes away.
PATH_AT = {"rename": 1, "mkdir": 0, "link": 1, "unlink": 0, "openat": 1, "mkdirat": 1, "unlinkat": 1, "renameat": 3,
           "linkat": 3, "renameat2": 3}
SECCOMP = {"x86_64": 317, "aarch64": 277}.get(MACHINE)
O_CREAT = 0o100
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000


def _filter():
    """Hands over the calls above; of openat only those that may make a file."""
    def statement(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    numbers = [n for name, n in NUMBER.items() if name != "openat"]
    program = [statement(0x20, 0, 0, 0)]                        # A = the call's number
    rest = len(numbers) + 4                                     # to NOTIFY, from behind the first
    program.append(statement(0x15, 0, 3, NUMBER["openat"]))     # openat? else past the next three
    program.append(statement(0x20, 0, 0, 16 + 8 * 2))           # A = its flags
    program.append(statement(0x45, len(numbers) + 2, 0, O_CREAT))
    program.append(statement(0x06, 0, 0, ALLOW))
    for i, number in enumerate(numbers):
        program.append(statement(0x15, len(numbers) - i, 0, number))
    program.append(statement(0x06, 0, 0, ALLOW))
    program.append(statement(0x06, 0, 0, NOTIFY))
    assert len(program) == rest + 3
    return b"".join(program), len(program)


def wrapper(fd, program):
    """Runs in the new process: sets the filter, sends its listener, becomes the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    code, length = _filter()
    code = ctypes.create_string_buffer(code)
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", length, ctypes.addressof(code)))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    listener = libc.syscall(ctypes.c_long(SECCOMP), ctypes.c_ulong(1), ctypes.c_ulong(8),
                            ctypes.c_void_p(ctypes.addressof(described)))
    if listener < 0:
        code = ctypes.get_errno()
        raise OSError(code, "the kernel refuses seccomp user notification: " + os.strerror(code))
    with socket.socket(fileno=fd) as way:
        way.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    os.close(listener)
    os.execv(program[0], program)


class Call:
    """One call that came by: its name, the path it is about, what became of it."""

    def __init__(self, name, path, number, injected):
        self.name, self.path, self.number, self.injected = name, path, number, injected

    def __repr__(self):
        return f"{self.number} {self.name} {self.path}{' INJECTED ' + self.injected if self.injected else ''}"


class Injector:
    """Watches one program. `fault` is an errno, or "KILL"; it hits the calls of `names` whose path below `folder`
    matches `pattern`: the `nth`, and with `lasting` all after it, until `relent`."""

    def __init__(self, folder, names=(), pattern="", nth=0, fault=None, lasting=False):
        self.folder, self.names, self.pattern = str(folder), set(names), re.compile(pattern)
        self.nth, self.fault, self.lasting = nth, fault, lasting
        self.calls, self.matching, self.injected = [], 0, 0
        self.on = True
        self.process = None
        self.error = None
        self.ours, self.theirs = socket.socketpair()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def command(self, program):
        """What to run instead of `program`; pass on `self.theirs`."""
        return [sys.executable, "-S", "-E", __file__, str(self.theirs.fileno()), *map(str, program)]

    def started(self, process):
        """Call it with the new process."""
        self.process = process
        self.theirs.close()
        self.thread.start()

    def relent(self):
        """Nothing fails any more."""
        self.on = False

    def finish(self):
        """After the program's end."""
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()
        self.ours.close()
        if self.error:
            raise self.error

    def _run(self):
        try:
            self.ours.settimeout(60)
            _, fds, _, _ = socket.recv_fds(self.ours, 1, 1)
            if not fds:
                raise RuntimeError("the program did not start under seccomp; see its output")
            self._serve(fds[0])
            os.close(fds[0])
        except Exception as error:
            self.error = error
            self.process.kill()

    def _serve(self, fd):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            (_, event), = poll.poll() or [(fd, 0)]
            if event & select.POLLIN == 0:
                if event & (select.POLLHUP | select.POLLERR):
                    return
                continue
            request = bytearray(80)
            try:
                fcntl.ioctl(fd, 0xC0502100, request, True)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            key, pid, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", request)
            told = self._judge(NAME[number], pid, arguments)
            if told == "KILL":
                self.process.send_signal(signal.SIGKILL)
                continue
            value = struct.pack("QqiI", key, 0, -told if told else 0, 0 if told else 1)
            try:
                fcntl.ioctl(fd, 0xC0182101, bytearray(value), True)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def _judge(self, name, pid, arguments):
        try:
            if name in BY_FD:
                path = os.readlink(f"/proc/{pid}/fd/{arguments[0]}")
            elif name == "copy_file_range":
                path = os.readlink(f"/proc/{pid}/fd/{arguments[2]}")
            else:
                path = _text(pid, arguments[PATH_AT[name]])
        except OSError:
            return None
        if not path.startswith(self.folder):
            return None
        path = path[len(self.folder):]
        hit = name in self.names and self.pattern.search(path) is not None
        self.matching += hit
        now = self.on and hit and self.nth and (
            self.matching == self.nth or self.lasting and self.matching > self.nth)
        self.calls.append(Call(name, path, self.matching if hit else 0, str(self.fault) if now else None))
        self.injected += bool(now)
        return self.fault if now else None


def _text(pid, at):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(at)
        text = b""
        while b"\0" not in text and len(text) < 4096:
            # To the end of the page: the next one may not be there.
            text += memory.read(4096 - (at + len(text)) % 4096)
    return os.fsdecode(text.split(b"\0")[0])


if __name__ == "__main__":
    wrapper(int(sys.argv[1]), sys.argv[2:])
