#!/usr/bin/env python3
"""promtool asks tsink and a real Prometheus the same, and prints the same.

Goal: promtool's queries work, in every format, also those that fail; its linter has nothing to
say about /metrics. Method: the same series to both; the same command lines with the one address
and the other; output, complaints and exit codes compared.

usage: prometheus_promtool.py
Exit 0 the same, 1 not, 77 a program is missing.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer_prometheus as peer  # pylint: disable=wrong-import-position
from peer_prometheus import tt  # pylint: disable=wrong-import-position


def promtool(*words, stdin=""):
    done = subprocess.run(["promtool"] + list(words), input=stdin, capture_output=True, text=True,
                          timeout=tt.PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr


def commands(at):
    """Command lines, with URL where the address belongs."""
    instant, ranged = ["query", "instant", "--time=%d" % at], ["query", "range"]
    span = ["--start=%d" % (at - 120), "--end=%d" % at, "--step=30s"]
    for expr in ("up_like", "sum(up_like)", "1+1", '"text"', "up_like[1m]", "nothing", "vector(NaN)",
                 'up_like{instance=~"i[12]"}'):
        yield instant + ["URL", expr]
        yield ["query", "-o", "json"] + instant[1:] + ["URL", expr]
    for expr in ("up_like", "rate(up_like[1m])", "nothing", "time()"):
        yield ranged + span + ["URL", expr]
        yield ["query", "-o", "json", "range"] + span + ["URL", expr]
    yield ranged + ["--header=X-Test=a"] + span + ["URL", "up_like"]
    for expr in ("sum(", "up_like{", "rate(up_like)"):
        yield instant + ["URL", expr]
    yield ["query", "series", "--match=up_like", "--start=%d" % (at - 120), "--end=%d" % at, "URL"]
    yield ["query", "series", "--match=up_like", "--match={job='other'}", "URL"]
    yield ["query", "series", "--match=nothing", "URL"]
    yield ["query", "series", "--match=up_like{", "URL"]
    for name in ("job", "__name__", "instance", "nothing"):
        yield ["query", "labels", "URL", name]
        yield ["query", "labels", "--match=up_like", "URL", name]


def run(scratch):
    at = int(time.time()) - 60
    series = [({"__name__": "up_like", "job": "peer", "instance": "i%d" % i},
               [(i + n / 4, (at - 300) * 1000 + 15000 * n - 250) for n in range(22)])
              for i in range(3)]
    series.append(({"__name__": "other", "job": "other"}, [(1.5, at * 1000 - 250)]))
    with tt.Server("--retention", "0") as server:
        prom = peer.Prometheus(scratch, "peer", "--web.enable-remote-write-receiver")
        try:
            peer.write_both((prom.port, server.http_port), series)
            for words in commands(at):
                answers = []
                for port in (prom.port, server.http_port):
                    url = "http://127.0.0.1:%d" % port
                    answers.append(promtool(*[url if w == "URL" else w for w in words]))
                what = "promtool " + " ".join(words)
                tt.equal(in_order(words, answers[1]), in_order(words, answers[0]), what)
                print("ok - " + what)
        finally:
            prom.stop()
        metrics = tt.http_once(server.http_port, "GET", "/metrics").body.decode()
        code, out, err = promtool("check", "metrics", stdin=metrics)
        tt.equal((code, out, err), (0, "", ""), "promtool check metrics")
        print("ok - promtool check metrics")


def in_order(words, answer):
    """Series of an instant vector have no order."""
    code, out, err = answer
    if "instant" in words and "json" not in words:
        out = "\n".join(sorted(out.splitlines()))
    return code, out, err


if __name__ == "__main__":
    sys.exit(peer.main(run, "prometheus", "promtool"))
