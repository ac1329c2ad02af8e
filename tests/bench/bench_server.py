#!/usr/bin/env python3
"""The whole server under tsink-benchmark: prints BENCH name=value, judges nothing.

Remote write of known series, a million new series and a query over them, pipelined TS.ADD
and TS.MADD, PING, the latency of one durable sample beside a bare fdatasync, bytes per
sample after a flush, and the owner's step times. Each part has a server of its own, so that
one does not warm the next.

usage: bench_server.py [--seconds S]     of each run (5)
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position

BUILD = os.path.abspath(os.environ.get("TSINK_BUILD", os.getcwd()))
PROGRAM = os.path.join(BUILD, "utils", "tsink-benchmark", "tsink-benchmark")


def load(server, *words):
    """tsink-benchmark's figures as a dict."""
    done = subprocess.run([PROGRAM, "--port", str(server.port), "--http-port",
                           str(server.http_port), "--json"] + [str(w) for w in words],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError("tsink-benchmark: %d %s" % (done.returncode, done.stderr))
    return json.loads(done.stdout)


def bench(name, value):
    print("BENCH %s=%.6g" % (name, value))
    sys.stdout.flush()


def cost(name, figures):
    unit = "command" if figures["mode"] == "ping" else "sample"
    bench(name + "_per_second", figures["%ss_per_second" % unit])
    bench(name + "_cpu_us_per_" + unit, figures.get("server_cpu_seconds_per_million", -1))
    bench(name + "_p99_ms", figures["latency_seconds"]["p99"] * 1e3)


def info(server, section):
    with server.resp() as resp:
        text = resp.ok("INFO", section)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def remote_write(seconds):
    with tt.Server("--enable-debug-command", "yes") as server:
        cost("remote_write", load(server, "--seconds", seconds, "write"))
        with server.resp() as resp:
            resp.ok("DEBUG", "FLUSH")
        fields = info(server, "tsink")
        if int(fields["segment_samples"]):
            bench("bytes_per_sample",
                  int(fields["segment_bytes"]) / int(fields["segment_samples"]))


def million_series():
    with tt.Server() as server:
        figures = load(server, "--series", 1000000, "--samples-per-request", 2000, "--requests",
                       500, "--memory", 2048, "write")
        bench("new_series_per_second", figures["series_per_second"])
        start = time.monotonic()
        server.query("count by (label_05) ({job!=\"x\",__name__=~\"bench_metric_1.*\"})",
                     time.time())
        bench("query_110k_series_ms", (time.monotonic() - start) * 1e3)
        for loop, text in info(server, "tsink").items():
            match = re.fullmatch(r"loop_(\S+)_step_us", loop)
            if match:
                for part in text.split(","):
                    which, value = part.split("=")
                    bench("step_us_%s_%s" % (match.group(1), which), float(value))


def commands(seconds):
    rows = [("ts_add_p1", ["--pipeline", 1, "--connections", 50], "add"),
            ("ts_add_p16", ["--pipeline", 16], "add"), ("ts_add_p64", ["--pipeline", 64], "add"),
            ("ts_madd10_p16", ["--pipeline", 16], "madd"),
            ("ping_p1", ["--pipeline", 1, "--connections", 50], "ping"),
            ("ping_p16", ["--pipeline", 16, "--connections", 50], "ping"),
            ("ping_p64", ["--pipeline", 64, "--connections", 50], "ping")]
    for name, words, mode in rows:
        with tt.Server() as server:
            cost(name, load(server, "--seconds", seconds, "--series", 10000, *words, mode))


def durable():
    for name, mode, words in (("durable_add", "add", ["--pipeline", 1]),
                              ("durable_write", "write", ["--samples-per-request", 1])):
        with tt.Server() as server:
            figures = load(server, "--connections", 1, "--series", 1, "--requests", 2000,
                           "--probe-fdatasync", server.scratch, *words, mode)
            for which in ("p50", "p99"):
                bench("%s_%s_ms" % (name, which), figures["latency_seconds"][which] * 1e3)
                bench("%s_fdatasync_%s_ms" % (name, which),
                      figures["fdatasync_seconds"][which] * 1e3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    seconds = parser.parse_args().seconds
    for need in (tt.server_program(), PROGRAM):
        if not os.access(need, os.X_OK):
            sys.exit("bench_server.py: no program at %s" % need)
    remote_write(seconds)
    million_series()
    commands(seconds)
    durable()


if __name__ == "__main__":
    main()
