#!/usr/bin/env python3
"""Rules of the house that neither rustc nor clippy can hold.

- a production `.rs` file has at most 500 lines; a test file at most 1,500
- every `lib.rs`, `main.rs` and `mod.rs` opens with `//!`
- a log line (`tracing`) starts in lower case and has no final stop; what
  changes stands in fields, not in the text
- nothing that says "later" where nobody looks: see `FORBIDDEN`
- a relative link in a Markdown page leads to a file that exists

Exits 1 and names every fault as `path:line: what`. Standard library only.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

MAX_PRODUCTION_LINES = 500
MAX_TEST_LINES = 1500

# Put together here so that this file does not contain them.
FORBIDDEN = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]

TRACING = re.compile(r"\b(?:tracing::)?(trace|debug|info|warn|error)!\s*\(")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked():
    """The files that belong to the project: those git knows, and new ones it does not ignore."""
    out = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    ).stdout
    paths = [pathlib.PurePosixPath(p) for p in out.decode().split("\0") if p]
    return [p for p in sorted(set(paths)) if (ROOT / p).is_file()]


def is_test(path):
    """Whether a Rust file holds tests only: `tests.rs`, or anything below a `tests` folder."""
    return path.name == "tests.rs" or path.stem.endswith("_tests") or "tests" in path.parts[:-1] \
        or "benches" in path.parts[:-1]


def macro_arguments(text, start):
    """The text between the parentheses that open at `start`, strings respected."""
    depth, at, in_string = 0, start, False
    while at < len(text):
        c = text[at]
        if in_string:
            if c == "\\":
                at += 1
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                return text[start + 1:at]
        at += 1
    return text[start + 1:]


def split_arguments(text):
    """The macro's arguments, split at the commas of the top level."""
    parts, depth, in_string, current, at = [], 0, False, "", 0
    while at < len(text):
        c = text[at]
        if in_string:
            if c == "\\":
                current += c
                at += 1
                c = text[at] if at < len(text) else ""
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(current.strip())
            current = ""
            at += 1
            continue
        current += c
        at += 1
    if current.strip():
        parts.append(current.strip())
    return parts


def log_faults(path, text):
    """Log lines of one file that break the form."""
    for match in TRACING.finditer(text):
        line_start = text.rfind("\n", 0, match.start()) + 1
        if text[line_start:match.start()].lstrip().startswith("//"):
            continue
        line = text.count("\n", 0, match.start()) + 1
        for argument in split_arguments(macro_arguments(text, match.end() - 1)):
            # A bare string is the message; `name = value` and `%name` are fields.
            if not (argument.startswith('"') and argument.endswith('"') and len(argument) > 2):
                continue
            message = argument[1:-1]
            if message[0].isupper() and not message[1:2].isupper():
                yield f"{path}:{line}: the log line {argument} starts with a capital letter"
            if message.endswith(".") or message.endswith("!"):
                yield f"{path}:{line}: the log line {argument} ends with a stop"


def rust_faults(path, text):
    """Faults of one Rust file."""
    lines = text.count("\n")
    limit = MAX_TEST_LINES if is_test(path) else MAX_PRODUCTION_LINES
    if lines > limit:
        yield f"{path}:{lines}: {lines} lines; at most {limit}, so split it by what its parts do"
    if path.name in ("lib.rs", "main.rs", "mod.rs") and not is_test(path):
        if not text.startswith("//!"):
            yield f"{path}:1: does not open with //! and what it is for"
    if not is_test(path):
        yield from log_faults(path, text)


def markdown_faults(path, text):
    """Relative links of one page that lead nowhere."""
    for match in LINK.finditer(text):
        target = match.group(1).split("#")[0]
        if not target or "://" in target or target.startswith("mailto:"):
            continue
        if not (ROOT / path.parent / target).exists():
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: the link to {target} leads nowhere"


def faults():
    """Every fault in the tree."""
    for path in tracked():
        if path.parts[0] == "testdata" or path.name == "Cargo.lock":
            continue  # other people's bytes, kept as they are
        data = (ROOT / path).read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", errors="replace")
        for word in FORBIDDEN:
            for match in re.finditer(rf"(?<![A-Za-z]){re.escape(word)}", text):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: says {word.rstrip(':')}; finish it, or write down why not"
        if path.suffix == ".rs":
            yield from rust_faults(path, text)
        if path.suffix == ".md":
            yield from markdown_faults(path, text)


def main():
    """Prints the faults and says by the exit code how it went."""
    found = list(faults())
    for fault in found:
        print(f"check_house: {fault}", file=sys.stderr)
    if found:
        print(f"check_house: {len(found)} faults", file=sys.stderr)
        return 1
    print("check_house: the house is in order")
    return 0


if __name__ == "__main__":
    sys.exit(main())
