#!/usr/bin/env python3
"""How long a start takes, and whether anything is lost.

    TSINK_BUILD=build python3 bench_restart.py

Writes samples in order to a real server, kills it with -9, starts it again and counts what
is there; then stops it with SIGTERM and starts it once more. Then the same with many series
of few samples. Prints one line a figure:

    BENCH restart.kill.ready_s=0.412      from exec to 200 on /-/ready
    BENCH restart.kill.lost=0             acknowledged samples that are gone
    BENCH restart.kill.cpu_s=0.9          CPU of the process until then
    BENCH restart.clean.ready_s=0.051     after a clean stop; replays nothing

RESTART_SAMPLES and RESTART_SERIES set the size (10,000,000 in 10,000 for the figure of the
design, with RESTART_LONG=1), RESTART_MANY the number of series of the second part. With
UNIT_TAP or under make check it is a test: small sizes, and a loss is a failure.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position
from tsinktest import case, check, equal  # pylint: disable=wrong-import-position

LONG = os.environ.get("RESTART_LONG", "") not in ("", "0")
SAMPLES = int(os.environ.get("RESTART_SAMPLES", "10000000" if LONG else "200000"))
SERIES = int(os.environ.get("RESTART_SERIES", "10000" if LONG else "2000"))
MANY = int(os.environ.get("RESTART_MANY", "1000000" if LONG else "20000"))
BODY = 10000                            # samples a request
START_MS = (int(time.time()) - 6 * 3600) * 1000
OPTIONS = ["--retention", "0", "--wal-flush-size", "4gb", "--wal-size-limit", "8gb"]


def figure(name, value, form="%.3f"):
    print("BENCH restart.%s=%s" % (name, form % value))
    sys.stdout.flush()


def post(http, lines):
    answer = http.request("POST", "/api/v1/import/prometheus", "".join(lines).encode(),
                     {"Content-Type": "text/plain"})
    check(answer.code in (200, 204), "%d %s" % (answer.code, answer.body[:300]))


def fill(server, names, rounds):
    """One sample a round for each name; how many were acknowledged."""
    http = server.http()
    lines = []
    for at in range(rounds):
        tail = " %d %d\n" % (at % 1000, START_MS + at * 1000)
        for name in names:
            lines.append(name + tail)
            if len(lines) == BODY:
                post(http, lines)
                lines = []
    if lines:
        post(http, lines)
    http.close()
    return len(names) * rounds


def start_timed(server, name):
    begin = time.monotonic()
    server.start()
    figure(name + ".ready_s", time.monotonic() - begin)
    figure(name + ".cpu_s", server.cpu_s(), "%.2f")


def stored(server, selector, rounds):
    """Samples that match, counted by the server over all their time."""
    window = "%ds" % (rounds + 60)
    data = server.query("sum(count_over_time(%s[%s]))" % (selector, window),
                        START_MS // 1000 + rounds + 1)
    return int(float(data["result"][0]["value"][1])) if data["result"] else 0


def run(part, selector, names, rounds):
    with tt.Server(*OPTIONS, start=False) as server:
        server.start()
        want = fill(server, names, rounds)
        server.kill()
        start_timed(server, part + "kill")
        lost = want - stored(server, selector, rounds)
        figure(part + "kill.lost", lost, "%d")
        with case("%skill: %d samples are there" % (part, want)):
            equal(lost, 0)
        server.stop()
        start_timed(server, part + "clean")
        with case("%sclean: nothing is replayed" % part):
            log = server.log().rsplit("database is open", 1)[1]
            check("replayed_frames=0 " in log, log)
            equal(stored(server, selector, rounds), want)


def test_samples():
    names = ['restart_samples{instance="host-%d",job="bench"}' % i for i in range(SERIES)]
    run("", "restart_samples", names, SAMPLES // SERIES)


def test_series():
    names = ['restart_series{instance="host-%d",job="bench",cluster="c-%d",mode="m-%d",env="prod",'
             'rack="r-%d",zone="z-%d",node="n-%d"}' % (i % 1000, i % 4, i % 8, i % 50, i % 3, i)
             for i in range(MANY)]
    run("series.", "restart_series", names, 2)


if __name__ == "__main__":
    tt.main(globals())
