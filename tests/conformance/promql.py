#!/usr/bin/env python3
"""Prometheus' own PromQL tests against src/tsink-server, over HTTP.

The runner and its cases are not part of this repository: they are looked for in
../shared/conformance/promql beside it (or in PROMQL_CONFORMANCE). Without them this prints
a SKIP line and exits with 77, which make check counts as skipped; the cases of this
repository's own (tests/conformance/promql) run without a server, in promqltest.

Compares the failures with promql_known_failures.txt: a failure that is not listed fails,
and so does a listed case that passes ("remove it"), so that the list can only shrink.

usage: promql.py [--update] [runner options...]
  --update   rewrite the list; refused when it would grow
environment: SERVER (default: $TSINK_BUILD/src/tsink-server), TSINK_BUILD (default: here)
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
KNOWN = os.path.join(HERE, "promql_known_failures.txt")


def read_known():
    """The listed cases, file:line, in order; what follows a blank is for people."""
    cases = []
    with open(KNOWN, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                cases.append(line.split()[0])
    return cases


def write_known(failures):
    with open(KNOWN, encoding="utf-8") as f:
        head = [line for line in f if line.startswith("#")]
    with open(KNOWN, "w", encoding="utf-8") as f:
        f.writelines(head)
        for case in sorted(failures):
            f.write("%s %s\n" % (case, failures[case]))


def run(runner, server, extra):
    """The runner's report as a dict, or None when it made none."""
    with tempfile.TemporaryDirectory(prefix="tsink-promql-") as scratch:
        out = os.path.join(scratch, "report.json")
        spawn = server + " --data-path {dir} --http-port {port} --port 0 --retention 0"
        subprocess.run([sys.executable, runner, "--spawn", spawn, "--json", out] + extra,
                       check=False)
        if not os.path.exists(out):
            return None
        with open(out, encoding="utf-8") as f:
            return json.load(f)


def compare(report, known, partial):
    """Prints what differs from the list; whether nothing does, and the failures."""
    failures = {"%s:%d" % (f["file"], f["line"]): "[%s] %s" % (f["kind"], f["expr"])
                for f in report["failures"]}
    # A load that the server refuses in part is a failure of its own, known by its place.
    for e in report["load_errors"]:
        failures["load:%s:%d" % (e["file"], e["line"])] = "[load] " + e["error"][:80]
    passed = set(report["passed"])
    good = True
    for case in sorted(failures):
        if case not in known:
            print("not ok - %s %s" % (case, failures[case]))
            good = False
    for case in known:
        if case in passed:
            print("not ok - %s passes: remove it from %s" % (case, os.path.basename(KNOWN)))
            good = False
        elif case not in failures and not partial:
            print("not ok - %s is listed and is no case" % case)
            good = False
    for e in report["server_errors"]:
        print("not ok - server_errors: %s" % json.dumps(e))
        good = False
    total = report["total"]
    print("# %d of %d cases pass; %d known failures" % (total["passed"], total["cases"],
                                                       len(known)))
    return good, failures


def main():
    extra = sys.argv[1:]
    update = "--update" in extra
    extra = [a for a in extra if a != "--update"]
    folder = os.environ.get("PROMQL_CONFORMANCE",
                            os.path.join(os.path.dirname(TOP), "shared", "conformance", "promql"))
    runner = os.path.join(folder, "run.py")
    build = os.environ.get("TSINK_BUILD", TOP)
    server = os.environ.get("SERVER", os.path.join(os.path.abspath(build), "src", "tsink-server"))
    if not os.path.exists(runner):
        print("SKIP: no conformance cases at %s" % folder)
        return 77
    if not os.path.exists(server):
        print("SKIP: no server at %s" % server)
        return 77

    report = run(runner, server, extra)
    if report is None:
        print("not ok - the runner made no report")
        return 1
    partial = any(a.startswith(("--only", "--feature", "--list")) for a in extra)
    known = read_known()
    good, failures = compare(report, known, partial)
    if update and not partial:
        new = sorted(set(failures) - set(known))
        if new:
            print("not ok - the list may only shrink; new failures: %s" % " ".join(new))
            return 1
        write_known(failures)
        return 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
