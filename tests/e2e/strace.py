"""Reads what `strace -f -y` wrote: system calls with their begin and end in one order. Nothing of Cairn's code is in it."""

import re
import shutil
import time

LINE = re.compile(r"^(\d+)\s+(.*)$")
UNFINISHED = re.compile(r"^(\w+)\((.*?) <unfinished \.\.\.>$", re.S)
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.S)
WHOLE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)(.*)$", re.S)
FD_PATH = re.compile(r"^\d+<(.*?)>(?:, |$)", re.S)
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Call:
    """One call: `begin` and `end` are line numbers; `end` is None where it never came back."""

    def __init__(self, name, text, begin):
        self.name, self.text, self.begin = name, text, begin
        self.end, self.result, self.note = None, None, ""

    @property
    def ok(self):
        return self.end is not None and self.result is not None and self.result >= 0

    @property
    def injected(self):
        return "INJECTED" in self.note

    @property
    def path(self):
        """Of a call on an open file: where that lies."""
        found = FD_PATH.match(self.text)
        return found and found[1]

    @property
    def paths(self):
        """The quoted arguments."""
        return QUOTED.findall(self.text)

    def __repr__(self):
        return f"[{self.begin}-{self.end}] {self.name}({self.text[:160]}) = {self.result}{self.note}"


def command(output, *arguments, stop_at_all=False):
    """The start of a command line. The program is our own child, and strace its child's tracer (-D). With
    `stop_at_all` it is slower: strace 6.1 forgets to send a signal at the second call and later otherwise."""
    program = shutil.which("strace")
    assert program, "strace is missing: 'apt-get install strace'"
    quick = [] if stop_at_all else ["--seccomp-bpf"]
    return [program, "-D", "-f", "-y", "-q", *quick, "-e", "signal=none", "-o", str(output), *arguments]


def ended(output, within=30):
    """Waits until strace has written the last line of a program that has ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        text = output.read_text(errors="replace") if output.exists() else ""
        if re.search(r"^\d+ +\+\+\+ (exited|killed)[^\n]*\+\+\+\n\Z", text, re.M):
            return text
        time.sleep(0.02)
    raise RuntimeError(f"strace did not come to an end: {text[-300:]!r}")


def calls(text):
    """The calls, in the order of their beginnings."""
    done, open_calls = [], {}
    for number, line in enumerate(text.splitlines()):
        pid, rest = LINE.match(line).groups()
        if whole := WHOLE.match(rest):
            call = Call(whole[1], whole[2], number)
            done.append(call)
        elif unfinished := UNFINISHED.match(rest):
            call = Call(unfinished[1], unfinished[2], number)
            open_calls[pid] = call
            done.append(call)
            continue
        elif resumed := RESUMED.match(rest):
            call = open_calls.pop(pid)
            whole = WHOLE.match(f"{call.name}({call.text}{resumed[2]}")
            assert call.name == resumed[1] and whole, line
            call.text = whole[2]
        else:
            continue  # a thread's end
        call.end = number
        call.result = None if whole[3] == "?" else int(whole[3])
        call.note = whole[4]
    return done
