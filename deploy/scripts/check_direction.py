#!/usr/bin/env python3
"""Holds the arrows between the crates (docs/ARCHITECTURE.md, "The house").

    schemas <- store, digest <- ingest, query <- serve <- tests

`store` and `digest` do not know each other, nor do `ingest` and `query`. The
rule covers build and test dependencies too: a test that reaches across is an
arrow as well. Exits 1 and names every edge that is not allowed.

    deploy/scripts/check_direction.py [METADATA.json]

Without an argument it asks `cargo metadata --no-deps` itself.
"""

import json
import subprocess
import sys

# What each crate of the house may depend on. A crate that is not here is an
# error too: a new crate gets its place in the picture first.
MAY_USE = {
    "cairn-schemas": set(),
    "cairn-store": {"cairn-schemas"},
    "cairn-digest": {"cairn-schemas"},
    "cairn-ingest": {"cairn-schemas", "cairn-store", "cairn-digest"},
    "cairn-query": {"cairn-schemas", "cairn-store"},
    "cairn-serve": {
        "cairn-schemas", "cairn-store", "cairn-digest", "cairn-ingest", "cairn-query",
    },
}

# Whole-system tests and benchmarks may use everything; nothing may use them.
LEAVES = {"cairn-tests", "cairn-bench"}

# What tests stand on. It knows nothing of the house itself, so that what is
# checked is not what it is checked with; its own tests may use everything, and
# everybody's tests may use it.
FOR_TESTS = {"cairn-faults"}


def check(metadata):
    """Every fault in `metadata`, each as one sentence."""
    members = set(metadata["workspace_members"])
    packages = [p for p in metadata["packages"] if p["id"] in members]
    house = {p["name"] for p in packages}
    faults = []
    for package in sorted(packages, key=lambda p: p["name"]):
        name = package["name"]
        if name not in MAY_USE and name not in LEAVES | FOR_TESTS:
            faults.append(
                f"{name} has no place in the picture: add it to MAY_USE in {sys.argv[0]} "
                "and to docs/ARCHITECTURE.md"
            )
            continue
        for dependency in package["dependencies"]:
            to, kind = dependency["name"], dependency["kind"] or "normal"
            if name in FOR_TESTS:
                allowed = house - LEAVES if kind == "dev" else set()
            else:
                allowed = house - LEAVES - FOR_TESTS if name in LEAVES else MAY_USE[name]
                allowed = allowed | FOR_TESTS if kind == "dev" else allowed
            if to in house and to != name and to not in allowed:
                faults.append(f"{name} -> {to} ({kind} dependency) is not allowed")
    return faults


def main():
    """Reads the metadata, prints the faults, and says by the exit code how it went."""
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as file:
            metadata = json.load(file)
    else:
        out = subprocess.run(
            ["cargo", "metadata", "--no-deps", "--format-version", "1"],
            check=True, stdout=subprocess.PIPE,
        ).stdout
        metadata = json.loads(out)
    faults = check(metadata)
    for fault in faults:
        print(f"check_direction: {fault}", file=sys.stderr)
    if faults:
        return 1
    count = len(metadata["workspace_members"])
    print(f"check_direction: {count} crates, every arrow points the right way")
    return 0


if __name__ == "__main__":
    sys.exit(main())
