#!/usr/bin/env python3
"""Checks that need the objects of a build: what they define and whom they call.

    symbols.py CHECK TOP BUILD     prints complaints; exit 1 when there are any,
                                   77 when BUILD has no objects

Checks:
    globals   writable globals against globals.txt, both ways
    calls     calls out of the process against calls.txt
"""
import os
import re
import subprocess
import sys

WRITABLE = re.compile(r"^\.(data|bss|tdata|tbss)(?!\.rel\.ro)|^\*COM\*$|^COMMON$")
# What compilers add on their own.
OURS_NOT = re.compile(r"^(__odr_asan|\.Lubsan|_*asan|__tsan|__sancov|__gcov|_GLOBAL_|\.L|__func__|__PRETTY)")


def objects(build):
    """(room, object's source name, path) of every object under BUILD/src."""
    for folder, _, names in os.walk(os.path.join(build, "src")):
        for name in sorted(names):
            if not name.endswith(".o"):
                continue
            path = os.path.join(folder, name)
            parts = os.path.relpath(path, os.path.join(build, "src")).split(os.sep)
            source = re.sub(r"^lib\w+_la-|^tsink_server-", "", name)[:-2]
            if len(parts) >= 2:
                yield parts[0], f"{parts[0]}/{source}", path


def nm(paths, *options):
    """Lines of nm, with the object each belongs to."""
    out = subprocess.run(["nm", "--print-file-name", *options, *paths], check=True,
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        path, _, rest = line.partition(":")
        yield path, rest


def read_table(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.split("#")[0].strip()
            if line:
                yield line


def check_globals(tidy, found):
    allowed, seen = {}, set()
    for line in read_table(os.path.join(tidy, "globals.txt")):
        words = line.split(None, 2)
        if len(words) < 3:
            yield f"globals.txt: no reason given: {line}"
        else:
            allowed[tuple(words[:2])] = words[2]
    names = {path: name for _, name, path in found}
    for path, rest in nm(list(names), "--format=sysv"):
        columns = [c.strip() for c in rest.split("|")]
        if len(columns) < 7 or not WRITABLE.match(columns[6]) or OURS_NOT.match(columns[0]):
            continue
        symbol = re.sub(r"\.\d+$", "", columns[0])
        if symbol.startswith(".") or columns[3] == "SECTION":
            continue
        key = (names[path], symbol)
        seen.add(key)
        if key not in allowed:
            yield f"{key[0]}: writable global {symbol} is not in globals.txt"
    for (name, symbol), reason in allowed.items():
        gone = (name, symbol) not in seen and not reason.startswith("dev:")
        if gone and name in names.values():
            yield f"globals.txt: {name} has no writable global {symbol}"


def check_calls(tidy, found):
    rooms_of = {}
    for line in read_table(os.path.join(tidy, "calls.txt")):
        functions, _, rooms = line.partition(":")
        for function in functions.split():
            rooms_of[function] = rooms.split()
    names = {path: (room, name) for room, name, path in found}
    for path, rest in nm(list(names), "--undefined-only"):
        symbol = rest.split()[-1].split("@")[0]
        # _FORTIFY_SOURCE and large files: __open64_2, __read_chk.
        plain = re.sub(r"^__|_chk$|_2$", "", symbol) if symbol.startswith("__") else symbol
        room, name = names[path]
        if plain in rooms_of and room != "base" and room not in rooms_of[plain]:
            yield f"{name}: calls {plain}(), which is base's to call"


CHECKS = {"globals": check_globals, "calls": check_calls}


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    check, top, build = sys.argv[1:]
    found = list(objects(build))
    if not found:
        sys.exit(77)
    complaints = sorted(set(CHECKS[check](os.path.join(top, "tests", "tidy"), found)))
    for text in complaints:
        print(f"{check}: {text}")
    sys.exit(1 if complaints else 0)


main()
