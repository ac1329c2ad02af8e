#!/bin/sh
# Checks every #include of src/ against layers.txt: rooms look down only, *_priv.h stays
# in its room, a library has one door. Internal headers are written from src/
# ("room/file.h"), which is what makes this a line-by-line affair.
#
#     layers.sh [TOP]      prints complaints; exit 1 when there are any
top=${1:-$(dirname "$0")/../..}
find "$top/src" -name '*.[ch]' -o -name '*.cc' -o -name '*.def' | LC_ALL=C sort |
xargs awk -v prefix="$top/src/" '
function complain(text) { print "layers: " text; failed = 1 }
function here() { return file ":" FNR }
function allowed(list, room) { return index(" " list " ", " " room " ") || index(" " list " ", " * ") }

# The table. uses[room] and doors[header] are lists of rooms.
FILENAME == ARGV[1] {
    sub(/#.*/, "")
    colon = index($0, ":")
    if (colon == 0) next
    left = substr($0, 1, colon - 1); right = substr($0, colon + 1)
    gsub(/[ \t]+/, "", left); gsub(/[ \t]+/, " ", right)
    if (left ~ /^</) {
        doors[left] = right
    } else {
        n = split(right, rooms, " ")
        for (i = 1; i <= n; i++)
            if (rooms[i] != "*" && !(rooms[i] in uses))
                complain("layers.txt: " left " uses " rooms[i] ", which is not above it")
        uses[left] = right
    }
    next
}

FNR == 1 {
    file = substr(FILENAME, length(prefix) + 1)
    room = file; sub(/\/.*/, "", room)
    if (!(room in uses)) complain(file ": layers.txt has no room " room)
}

/^[ \t]*#[ \t]*include/ {
    name = $0; sub(/^[^"<]*/, "", name)
    if (name ~ /^"/) {
        name = substr(name, 2); sub(/".*/, "", name)
        owner = name; sub(/\/.*/, "", owner)
        if (name !~ /\//) complain(here() ": write \"room/file.h\" instead of \"" name "\"")
        else if (owner == room) next
        else if (!allowed(uses[room], owner)) complain(here() ": " room " may not use " name)
        else if (name ~ /_priv\.h$/) complain(here() ": " name " is private to " owner)
    } else {
        for (door in doors)
            if (index(name, door) == 1 && !allowed(doors[door], room))
                complain(here() ": " room " may not include " name)
    }
}
END { exit failed }
' "$top/tests/tidy/layers.txt"
