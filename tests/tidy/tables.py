#!/usr/bin/env python3
"""Pages equal tables: what print_tables says stands between a page's marks.

    tables.py [--write] [TOP [BUILD]]

Compares, and prints the pages that differ; exit 1 when there are any, 77 when the build
has no print_tables. --write puts the tables into the pages (`make docs`). A part begins
with the mark <!-- table: MODE --> and ends with <!-- end -->; what is around is written
by hand. tsink.conf is one table from its first line to its last.
"""
import difflib
import os
import re
import subprocess
import sys

# Page: the tables it must hold.
PAGES = {
    "docs/commands.md": ["aggregators", "commands"],
    "docs/http.md": ["routes"],
    "docs/config.md": ["options"],
    "docs/metrics.md": ["metrics"],
    "docs/status-codes.md": ["statuses"],
    "docs/threads.md": ["locks"],
}
PART = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->\n)", re.S)


def say(program, mode):
    return subprocess.run([program, mode], check=True, capture_output=True, text=True).stdout


def page_of(program, name, text, modes):
    """The page with its parts as the tables have them now."""
    found = [match.group(2) for match in PART.finditer(text)]
    if found != modes:
        sys.exit(f"{name}: has the tables {found}, not {modes}")
    return PART.sub(lambda m: m.group(1) + say(program, m.group(2)) + m.group(3), text)


def main():
    args = [arg for arg in sys.argv[1:] if arg != "--write"]
    here = os.path.dirname(os.path.abspath(__file__))
    top = args[0] if args else os.path.join(here, "..", "..")
    build = args[1] if len(args) > 1 else os.getcwd()
    program = os.path.join(build, "tests", "tidy", "print_tables")
    if not os.path.exists(program):
        sys.exit(77)
    bad = False
    for name, modes in {**PAGES, "tsink.conf": None}.items():
        path = os.path.join(top, name)
        with open(path, encoding="utf-8") as file:
            old = file.read()
        new = page_of(program, name, old, modes) if modes else say(program, "conf")
        if new == old:
            continue
        if "--write" in sys.argv:
            with open(path, "w", encoding="utf-8") as file:
                file.write(new)
            continue
        bad = True
        print(f"{name} differs from its table; `make docs` rewrites it:")
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
        print("\n".join(list(diff)[2:8]))
    sys.exit(1 if bad else 0)


main()
