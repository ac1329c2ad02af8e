#!/usr/bin/env python3
"""Checks that need only the text of the tree: sizes, layout, names, lists.

    text.py CHECK [TOP]     prints complaints; exit 1 when there are any

Checks (style.md is the law, these are its numbers):
    sizes     lines of a file and of a function
    layout    tabs, trailing blanks, line width, the last newline
    names     file names are unique; header guards say the path
    banned    calls that are not used here at all
    lists     every source is in its room.am, every header in its room's README
    debt      words that promise work instead of doing it
"""
import os
import re
import sys

SOURCE_LINES_MAX = 800
HEADER_LINES_MAX = 300
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

# Function: what to use instead.
BANNED = {
    "strcpy": "memcpy with a length", "strcat": "strbuf", "sprintf": "snprintf or strbuf",
    "vsprintf": "vsnprintf", "strncpy": "memcpy with a length", "strncat": "strbuf",
    "strtok": "slices", "strtok_r": "slices", "atoi": "num_parse", "atol": "num_parse",
    "atoll": "num_parse", "atof": "num_parse", "gets": "fgets", "localtime": "gmtime_r",
    "localtime_r": "UTC", "gmtime": "gmtime_r", "ctime": "strftime", "asctime": "strftime",
    "alloca": "an arena", "setjmp": "status", "longjmp": "status", "system": "nothing",
    "popen": "nothing", "tmpnam": "a staging path", "mktemp": "a staging path",
    "rand": "base/rng.h", "srand": "base/rng.h", "random": "base/rng.h",
    "fork": "nothing: threads are alive",
}

DEBT = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

complaints = []


def complain(path, line, text):
    complaints.append(f"{path}:{line}: {text}" if line else f"{path}: {text}")


def tree(top, folders, suffixes):
    """Relative paths of the files under folders, without what a build leaves there."""
    for folder in folders:
        for path, dirs, names in os.walk(os.path.join(top, folder)):
            dirs[:] = sorted(d for d in dirs if not d.startswith(".") and d != "__pycache__")
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(path, name), top)


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return file.read()


def strip_code(text):
    """Comments, strings and character constants become blanks; lines stay."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def check_functions(path, lines):
    """Functions open with a brace in the first column and close with one."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            length = number - start - 1
            if length > FUNCTION_LINES_MAX:
                complain(path, start, f"function of {length} lines, at most {FUNCTION_LINES_MAX}")
            start = None


def check_sizes(top):
    for path in tree(top, ("src", "tests", "utils"), (".c", ".h", ".cc")):
        lines = read(top, path).splitlines()
        limit = HEADER_LINES_MAX if path.endswith(".h") else SOURCE_LINES_MAX
        if len(lines) > limit:
            complain(path, 0, f"{len(lines)} lines, at most {limit}")
        if not path.endswith(".h"):
            check_functions(path, lines)


def check_layout(top):
    code = (".c", ".h", ".cc", ".def")
    for path in tree(top, ("src", "tests", "utils"), code + (".sh", ".py", ".md", ".txt")):
        if "/conformance/" in path or "/corpus/" in path:
            continue
        text = read(top, path)
        if text and not text.endswith("\n"):
            complain(path, 0, "the last line has no end")
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                complain(path, number, "blanks at the end of the line")
            if path.endswith(code) and "\t" in line:
                complain(path, number, "a tab")
            if path.endswith((".c", ".h", ".cc")) and len(line) > COLUMNS_MAX:
                complain(path, number, f"{len(line)} columns, at most {COLUMNS_MAX}")


def check_names(top):
    seen = {}
    for path in tree(top, ("src",), (".c", ".h", ".cc", ".def")):
        name = os.path.basename(path)
        if name in seen:
            complain(path, 0, f"{seen[name]} has the same name")
        seen[name] = path
        if path.endswith(".h"):
            guard = "TSINK_" + re.sub(r"[/.-]", "_", path[len("src/"):]).upper()
            if f"#ifndef {guard}\n#define {guard}\n" not in read(top, path):
                complain(path, 0, f"the include guard is not {guard}")


def check_banned(top):
    call = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for path in tree(top, ("src", "utils"), (".c", ".h", ".cc")):
        for number, line in enumerate(strip_code(read(top, path)).splitlines(), 1):
            for match in call.finditer(line):
                name = match.group(1)
                complain(path, number, f"{name}() is banned: {BANNED[name]}")


def check_lists(top):
    for room in sorted(os.listdir(os.path.join(top, "src"))):
        folder = os.path.join("src", room)
        files = [f for f in tree(top, (folder,), (".c", ".cc", ".h", ".def"))]
        if not files:
            continue
        for name in ("room.am", "README.md"):
            if not os.path.exists(os.path.join(top, folder, name)):
                complain(folder, 0, f"has no {name}")
        listed = known = ""
        if os.path.exists(os.path.join(top, folder, "room.am")):
            listed = read(top, os.path.join(folder, "room.am"))
        if room == "server":
            listed += read(top, "Makefile.am")  # the program's main.c
        if os.path.exists(os.path.join(top, folder, "README.md")):
            known = read(top, os.path.join(folder, "README.md"))
        for path in files:
            if not re.search(rf"(?<![\w/]){re.escape(path)}(?![\w.])", listed):
                complain(path, 0, "is not in room.am")
            if path.endswith(".h") and os.path.basename(path) not in known:
                complain(path, 0, "is not named in the room's README.md")
        for path in re.findall(rf"{folder}/[\w./-]+\.(?:c|cc|h|def)\b", listed):
            if path not in files:
                complain(path, 0, "is in room.am and does not exist")
    for path in tree(top, ("tests/unit",), (".c",)):
        parts = path.split(os.sep)
        fragment = os.path.join(*parts[:3], "unit.am")
        if not os.path.exists(os.path.join(top, fragment)):
            complain(path, 0, f"{fragment} does not exist")
        elif path not in read(top, fragment):
            complain(path, 0, "is not in unit.am")


def check_debt(top):
    for path in tree(top, ("src", "tests", "utils"), (".c", ".h", ".cc", ".def", ".sh", ".py")):
        if path == os.path.join("tests", "tidy", "text.py"):
            continue
        for number, line in enumerate(read(top, path).splitlines(), 1):
            if DEBT.search(line):
                complain(path, number, "do it, or file an issue: " + line.strip()[:60])


CHECKS = {
    "sizes": check_sizes, "layout": check_layout, "names": check_names,
    "banned": check_banned, "lists": check_lists, "debt": check_debt,
}


def main():
    default_top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    if len(sys.argv) < 2 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    CHECKS[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else default_top)
    for text in complaints:
        print(f"{sys.argv[1]}: {text}")
    sys.exit(1 if complaints else 0)


main()
