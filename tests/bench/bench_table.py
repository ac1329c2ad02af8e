#!/usr/bin/env python3
"""make bench: tsink and its peers on the same requests in the same run, one table.

Goal: the rows of the performance targets that concern storage, ingest and queries, as ratios, because
absolute times on a shared machine say little. Method: tsink-benchmark encodes requests by seed
and sends the very same bytes over two connections to each contender in turn; what counts is
CPU time of the whole process, bytes of all files after everything is merged, resident memory
after a quiet time, and seconds from start to ready. Where no peer exists the denominator is a
bare kernel in the same run: a receiver that reads, decompresses, walks and drops, or a loop of
fdatasync. Nothing is judged but by the table: the last column says whether the target is met.

usage: bench_table.py [--long] [--rows 1,2,...] [--keep]
  --long    10 M series where memory allows, 1440 samples of set C, 2048 fresh scrapes
Prints BENCH lines as it goes and the table last; exit 0 when it ran, whatever the figures.
"""
import argparse
import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_query  # pylint: disable=wrong-import-position
import contenders as co  # pylint: disable=wrong-import-position

tt = co.tt
BUILD = os.path.abspath(os.environ.get("TSINK_BUILD", os.getcwd()))
PROGRAM = os.path.join(BUILD, "utils", "tsink-benchmark", "tsink-benchmark")
SET_A_ROUNDS = 21        # the first makes the series
QUIET_S = 10             # before memory is read
MEMORY_MB = 8192         # of encoded requests


class Table:
    """Rows as they are measured: target, figures, ratio, verdict."""

    def __init__(self):
        self.rows = []

    def add(self, number, what, ours, unit, target, ratio=None, met=None, note=""):
        """target is text; ratio against the peer or kernel that the note names."""
        self.rows.append((number, what, ours, unit, target, ratio, met, note))
        print("BENCH name=row.%s.%s value=%.6g unit=%s"
              % (number, re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_"), ours, unit))
        if ratio is not None:
            print("BENCH name=row.%s.%s.ratio value=%.4g unit=1"
                  % (number, re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_"), ratio))
        sys.stdout.flush()

    def text(self):
        lines = ["| Row | What | Measured | Target | Ratio | Met | |", "|---|---|---|---|---|---|---|"]
        for number, what, ours, unit, target, ratio, met, note in self.rows:
            lines.append("| %s | %s | %.4g %s | %s | %s | %s | %s |" % (
                number, what, ours, unit, target, "" if ratio is None else "%.3g" % ratio,
                {True: "yes", False: "**no**", None: ""}[met], note))
        return "\n".join(lines)


class Bare(co.Contender):
    """The receiver that reads, decompresses, walks and drops."""

    name = "bare"
    program = PROGRAM

    @classmethod
    def available(cls):
        return os.access(PROGRAM, os.X_OK)

    def command(self):
        return [PROGRAM, "--http-port", str(self.http_port), "bare"]

    def start(self):
        self.http_port = self.http_port or tt.free_ports(1)[0]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.scratch)
        self.pid = self.process.pid
        tt.running.append(self)
        for _ in range(1000):
            try:
                tt.Http(self.http_port).close()
                return 0.0
            except OSError:
                time.sleep(0.005)
        raise AssertionError("the bare receiver does not listen")


def load(contender, *words):
    """One run of tsink-benchmark against a contender: its BENCH figures by name."""
    command = [PROGRAM, "--url", contender.write_url(), "--pid", str(contender.pid),
               "--connections", "2", "--memory", str(MEMORY_MB), "--bench", "x"]
    done = subprocess.run(command + [str(w) for w in words], capture_output=True, text=True,
                          check=False)
    tt.check(done.returncode == 0, "%s: %s %s" % (contender.name, done.returncode, done.stderr))
    figures = {}
    for line in done.stdout.splitlines():
        match = re.match(r"BENCH name=x\.(\S+) value=(\S+)", line)
        if match:
            figures[match.group(1)] = float(match.group(2))
    tt.check(figures.get("refused", 0) == 0, "%s refused %s requests"
             % (contender.name, figures.get("refused")))
    return figures


def each(classes, work):
    """{name: what work says} of every contender that is installed; one that fails is left out,
    unless it is ours."""
    out = {}
    for cls in classes:
        if not cls.available():
            print("# %s is not installed (%s)" % (cls.name, cls.program))
            continue
        try:
            with cls() as contender:
                out[cls.name] = work(contender)
        except AssertionError as error:
            if cls in (co.Tsink, Bare):
                raise
            print("# %s: %s" % (cls.name, error))
    return out


def ratio(figures, a, b):
    """figures[a] / figures[b], or None when one is missing."""
    return figures[a] / figures[b] if a in figures and b in figures and figures[b] else None


def at_most(value, limit):
    return None if value is None else value <= limit


def at_least(value, limit):
    return None if value is None else value >= limit


# ---- rows -------------------------------------------------------------------------------------

def known_series(table, args):
    """Rows 1 and 2: CPU a sample of requests for series that exist."""
    words = ["--set", "a", "--rounds", SET_A_ROUNDS * (3 if args.long else 1), "--run", "one",
             "--settle", 3]
    one = each([Bare, co.Tsink, co.VictoriaMetrics] + ([co.Prometheus] if args.long else []),
               lambda c: load(c, *words, "write")["cpu_per_sample"])
    for name, value in one.items():
        print("BENCH name=remote_write_1.%s.cpu_per_sample value=%.1f unit=ns" % (name, value))
    mine = one["tsink"]
    vm = ratio(one, "victoria-metrics", "tsink")
    table.add("1", "remote write 1.0, known series, CPU a sample", mine, "ns",
              ">= 6 x less than VictoriaMetrics (4 x at least)", vm, at_least(vm, 6),
              "VictoriaMetrics : tsink")
    over = ratio(one, "tsink", "bare")
    table.add("1b", "the same over a bare receiver", one.get("bare", 0), "ns", "<= 2.5", over,
              at_most(over, 2.5), "tsink : bare")
    with co.Tsink() as server:
        two = load(server, *words, "--remote-write", 2, "write")["cpu_per_sample"]
    table.add("2", "remote write 2.0, known series, CPU a sample", two, "ns", "<= 0.7 of row 1",
              two / mine, two / mine <= 0.7, "row 2 : row 1")


def new_series(table, args):
    """Rows 6, 10 and 16 on set B: CPU of a birth, memory a series, restarts."""
    rounds = 3

    def work(contender):
        figures = load(contender, "--set", "b", "--rounds", rounds, "--run", "one", "write")
        out = {"birth": figures["cpu_per_new_series"]}
        time.sleep(QUIET_S * (6 if args.long else 1))
        out["rss"] = contender.rss_bytes() / 1e6
        contender.settle()
        contender.stop()
        out["clean"] = contender.start()
        return out

    got = each([co.Tsink, co.VictoriaMetrics] + ([co.Prometheus] if args.long else []), work)
    for name, figures in got.items():
        for what, value in figures.items():
            print("BENCH name=million_series.%s.%s value=%.4g unit=1" % (name, what, value))
    part = lambda what: {k: v[what] for k, v in got.items()}  # noqa: E731
    vm = ratio(part("birth"), "victoria-metrics", "tsink")
    table.add("6", "new series, CPU each", got["tsink"]["birth"] / 1000, "us",
              "<= 1.5 us; 13 x less than VictoriaMetrics", vm, at_least(vm, 13),
              "VictoriaMetrics : tsink")
    vm = ratio(part("rss"), "tsink", "victoria-metrics")
    table.add("10", "memory a series, 1 M with %d samples" % rounds, got["tsink"]["rss"] / 1000,
              "KB", "<= 0.45 KB; <= 0.9 of VictoriaMetrics", vm, at_most(vm, 0.9),
              "tsink : VictoriaMetrics")
    vm = ratio(part("clean"), "victoria-metrics", "tsink")
    table.add("16a", "restart after a clean stop, 1 M series", got["tsink"]["clean"], "s",
              "<= 0.3 s; 3 x faster than VictoriaMetrics", vm, at_least(vm, 3),
              "VictoriaMetrics : tsink")
    killed(table, rounds)


def killed(table, rounds):
    """Row 16 after kill -9: everything acknowledged is there again."""
    with co.Tsink("--wal-flush-size", "1gb", "--wal-size-limit", "2gb") as server:
        load(server, "--set", "b", "--rounds", rounds, "--run", "one", "write")
        sent = server.metrics()["tsink_samples_stored_total"]
        server.kill()
        seconds = server.start()
        there = server.metrics()
        lost = sent - there["tsink_wal_replay_samples_total"] - there["tsink_segment_samples"]
    table.add("16b", "restart after kill -9, 1 M series", seconds, "s", "<= 1 s, nothing lost",
              None, seconds <= 1 and lost <= 0, "%d samples, %d lost" % (sent, max(0, lost)))


def record(args):
    """Scrapes a node exporter; the file, or None when there is none to scrape."""
    program = "prometheus-node-exporter"
    if not co.shutil.which(program):
        print("# %s is not installed: no row 7" % program)
        return None
    folder = tempfile.mkdtemp(prefix="tsink-bench-record-")
    atexit.register(co.shutil.rmtree, folder, True)
    port, path = tt.free_ports(1)[0], os.path.join(folder, "ne.rec")
    exporter = subprocess.Popen([program, "--web.listen-address=127.0.0.1:%d" % port],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        subprocess.run([PROGRAM, "--url", "http://127.0.0.1:%d/metrics" % port, "--every",
                        "500" if args.long else "50", "--scrapes", "2048" if args.long else "1024",
                        "--file", path, "record"], check=True, stdout=subprocess.DEVNULL)
    finally:
        exporter.terminate()
        exporter.wait()
    return path


def disk(table, args):
    """Rows 7 and 8 and jittered times: bytes a sample of all files, once all is merged."""
    def bytes_of(mode_words):
        sent = {}

        def work(contender):
            load(contender, *mode_words)
            if contender.name == "tsink":
                sent["n"] = contender.metrics()["tsink_samples_stored_total"]
            contender.compact()
            return contender.disk_bytes() / sent["n"]
        return each([co.Tsink, co.VictoriaMetrics], work)

    rounds = 1440
    cases = [("8", "set C, %d samples a series" % rounds, 0.94, 0.70,
              ["--set", "c", "--rounds", rounds, "--run", "one", "write"]),
             ("8b", "set C, jittered times", 0.92, 0,
              ["--set", "c", "--rounds", rounds, "--jitter", 20, "--run", "one", "write"])]
    recording = args.recording or record(args)
    if recording:
        cases.insert(0, ("7", "node exporter, recorded", 0.83, 0.39,
                         ["--file", recording, "--run", "one", "replay"]))
    for number, what, limit, aim, words in cases:
        got = bytes_of(words)
        for name, value in got.items():
            print("BENCH name=disk.%s.%s value=%.4f unit=B" % (number, name, value))
        vm = ratio(got, "tsink", "victoria-metrics")
        table.add(number, "bytes a sample on disk, " + what, got["tsink"], "B",
                  ("<= %g B; " % aim if aim else "") + "<= %g of VictoriaMetrics" % limit, vm,
                  at_most(vm, limit), "tsink : VictoriaMetrics, all files")


def two_hours(table, args):
    """Row 11: memory a series with two hours at 15 s, all of it raw-queryable."""
    series = 1000000 if args.long else 100000
    with co.Tsink("--wal-flush-size", "64gb", "--wal-size-limit", "128gb", "--wal-sync", "off",
                  "--flush-age", "24h") as server:
        empty = server.rss_bytes()
        load(server, "--set", "c", "--series", series, "--rounds", 480, "--run", "one",
             "--memory", 16384, "write")
        time.sleep(QUIET_S)
        kb = (server.rss_bytes() - empty) / series / 1000
        held = server.info()["unflushed_samples"]
    table.add("11", "memory a series with 480 samples in memory", kb, "KB", "<= 1.0 KB", None,
              kb <= 1.0, "%d series, %s samples unflushed" % (series, held))


def durable(table, _args):
    """Row 17: the acknowledgement of one durable sample over a bare fdatasync."""
    with co.Tsink() as server:
        command = [PROGRAM, "--port", str(server.port), "--http-port", str(server.http_port),
                   "--connections", "1", "--series", "1", "--requests", "3000", "--probe-fdatasync",
                   server.scratch, "--samples-per-request", "1", "--pipeline", "1", "--json", "add"]
        figures = json.loads(subprocess.run(command, capture_output=True, text=True,
                                            check=True).stdout)
        ours, bare = figures["latency_seconds"]["p50"], figures["fdatasync_seconds"]["p50"]
    table.add("17", "durable acknowledgement, median", ours * 1e6, "us", "<= 1.5 x fdatasync",
              ours / bare, ours / bare <= 1.5, "tsink : bare fdatasync")
    with co.Tsink() as server:
        figures = load(server, "--set", "a", "--rounds", SET_A_ROUNDS, "--run", "one",
                       "--connections", 4, "write")
    table.add("17b", "durable samples a second, 2000 a request", figures["rate"] / 1e6, "M/s",
              ">= 5 M/s", None, figures["rate"] >= 5e6, "client on the same two cores")


def queries(table, args):
    """Rows 12 to 14 and 18: bench_query.py."""
    bench_query.query_rows(table, args, load)


ROWS = {"1": known_series, "6": new_series, "7": disk, "11": two_hours, "12": queries,
        "17": durable}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--rows", default=",".join(ROWS), help="of " + ", ".join(ROWS))
    parser.add_argument("--recording", help="scrapes of a node exporter for row 7")
    parser.set_defaults(only=None, no_peers=False, repeat=3)  # of bench_query.py
    args = parser.parse_args()
    if not co.Tsink.available() or not Bare.available():
        sys.exit("bench_table.py: build tsink-server and tsink-benchmark first")
    table = Table()
    for row in args.rows.split(","):
        ROWS[row](table, args)
    print(table.text())


if __name__ == "__main__":
    main()
