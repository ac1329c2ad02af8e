#!/usr/bin/env python3
"""The ledger loop: a server is killed under writers, and nothing acknowledged may be missing.

Goal: no acknowledged sample is lost, none is served that was not sent, no request is kept in
part, whenever the process dies. Method: writers send samples whose value is a hash of series
and index, each index once; a ledger notes each answer. At a random moment the server gets
kill -9 (now and then SIGTERM), is started again (now and then killed again while it
recovers), and what it serves is compared with the ledger: remote-written series through the
query API, keyed ones by TS.RANGE. What was on its way at the kill may be there or not, but
whole, and from then on it has to stay as it was. Every tenth cycle and the last compare
everything since the beginning, the others what is new.

WAL files (1 MiB, with a buffer that lets them be so short), flush sizes and chunks are so
small that rotation, flush and recycling happen in each cycle.

usage: kill_loop.py [--cycles N] [--wal-sync append|periodic|both] [--writers N] [--seed N]
  --cycles N   of each kind of wal-sync (2; with TSINK_LONG=1: 50)
Prints REL lines; exit 0 when all is well, 1 when not, 77 without a server.
"""
import argparse
import os
import random
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position

SERIES_EACH = 6
OPTIONS = ["--wal-file-size", "1mb", "--wal-buffer", "1mb", "--wal-flush-size", "64kb",
           "--flush-interval", "50ms", "--compaction-interval", "200ms", "--chunk-points", "128", "--wal-sync-interval", "100ms"]
MARGIN = 500        # indexes before the last compared that are compared once more

# States of an index in the ledger.
NEVER, SENT, THERE = 0, 1, 2


def value_of(series, idx):
    """A double that names its series and index: 53 bits of a mixed product."""
    x = (series * 0x9E3779B97F4A7C15 + idx * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (2**64 - 1)
    x = ((x ^ (x >> 29)) * 0xFF51AFD7ED558CCD) & (2**64 - 1)
    return ((x >> 11) - (1 << 52)) * 2.0 ** -20


class Series:
    """One series and what the ledger knows of its indexes."""

    def __init__(self, number, remote, base_ms):
        self.number, self.remote, self.base_ms = number, remote, base_ms
        self.name = "ledger_%d" % number if remote else "ledger:%d" % number
        self.state = bytearray()
        self.compared = 0       # indexes before it were compared at least once

    def claim(self, n):
        """The next n indexes, as [from, to)."""
        start = len(self.state)
        self.state.extend(bytes([SENT]) * n)
        return start, start + n

    def settle(self, span, state):
        start, end = span
        self.state[start:end] = bytes([state]) * (end - start)


class Request:
    """What was sent together. acknowledged: None while nobody knows, False when refused."""

    def __init__(self, spans):
        self.spans, self.acknowledged = spans, None


class Writer(threading.Thread):
    """Sends on one connection until it breaks."""

    def __init__(self, server, series, rng):
        super().__init__(daemon=True)
        self.server, self.series, self.rng = server, series, rng
        self.open = []          # requests that were not acknowledged
        self.acknowledged = self.requests = self.refused = 0
        self.fault = None

    def run(self):
        try:
            if self.series[0].remote:
                with self.server.http() as http:
                    self.send_until_broken(lambda spans: self.send_write(http, spans))
            else:
                with self.server.resp() as resp:
                    self.send_until_broken(lambda spans: self.send_madd(resp, spans))
        except (tt.Broken, OSError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.fault = repr(error)

    def send_until_broken(self, send):
        while True:
            chosen = self.rng.sample(self.series, self.rng.randint(1, len(self.series)))
            n = self.rng.choice((1, 3, 20, 100))
            request = Request([(s, s.claim(n)) for s in chosen])
            self.open.append(request)
            request.acknowledged = send(request.spans)
            self.requests += 1
            if request.acknowledged:
                for series, span in request.spans:
                    series.settle(span, THERE)
                self.acknowledged += n * len(chosen)
                self.open.pop()
            else:
                self.refused += 1
                time.sleep(0.01)

    def send_write(self, http, spans):
        body = tt.write_request([({"__name__": s.name, "job": "ledger"},
                                  [(value_of(s.number, i), s.base_ms + i)
                                   for i in range(*span)]) for s, span in spans])
        answer = http.request("POST", "/api/v1/write", tt.snappy(body), tt.WRITE_HEADERS)
        if answer.code not in (204, 429, 503):
            self.fault = "remote write: %d %r" % (answer.code, answer.body)
        return answer.code == 204

    def send_madd(self, resp, spans):
        words = ["TS.MADD"]
        for s, span in spans:
            for i in range(*span):
                words += [s.name, s.base_ms + i, repr(value_of(s.number, i))]
        reply = resp.do(*words)
        bad = [r for r in ([reply] if isinstance(reply, tt.RespError) else reply)
               if isinstance(r, tt.RespError)]
        if bad and not bad[0].startswith(("TRYAGAIN", "LOADING")):
            self.fault = "TS.MADD: %s" % bad[0]
        return not bad


# ---- reading back -----------------------------------------------------------------------

def read_keyed(resp, series, first):
    """{idx: value} from first on, by TS.RANGE. Values keep their exact double."""
    resp.send(tt.command_bytes("TS.RANGE", series.name, series.base_ms + first, "+"))
    head = resp.line()
    if head[:1] == b"-":
        raise AssertionError("TS.RANGE %s: %s" % (series.name, head))
    n_lines = 3 * int(head[1:])
    while resp.held.count(b"\r\n") < n_lines:
        resp.fill()
    lines = resp.held.split(b"\r\n", n_lines)
    resp.held = lines.pop()
    return {int(lines[at + 1][1:]) - series.base_ms: float(lines[at + 2][1:])
            for at in range(0, n_lines, 3)}


def read_remote(server, series, first):
    """The same through the query API: a range selector gives samples as they are stored."""
    n = max(1, len(series.state) - first)
    last_ms = series.base_ms + len(series.state)
    data = server.query("%s[%dms]" % (series.name, n + 1), "%.3f" % (last_ms / 1000))
    if not data["result"]:
        return {}
    tt.equal(len(data["result"]), 1, series.name)
    return {round(ts * 1000) - series.base_ms: float(text)
            for ts, text in data["result"][0]["values"]}


class Verdict:
    """Counts over all cycles, and the first few of each in words."""

    def __init__(self):
        self.lost = self.phantom = self.torn = self.wrong = 0
        self.words = []

    def say(self, text):
        if len(self.words) < 10:
            self.words.append(text)

    def good(self):
        return not (self.lost or self.phantom or self.torn or self.wrong)


def compare(series, got, first, verdict):
    """One series against its ledger; what nobody knew before is known afterwards."""
    for idx, value in got.items():
        if idx < first:
            continue
        if idx >= len(series.state) or series.state[idx] == NEVER:
            verdict.phantom += 1
            verdict.say("%s[%d] = %r was not there before" % (series.name, idx, value))
        elif value != value_of(series.number, idx):
            verdict.wrong += 1
            verdict.say("%s[%d] = %r, sent %r" % (series.name, idx, value,
                                                  value_of(series.number, idx)))
    for idx in range(first, len(series.state)):
        here = idx in got
        if series.state[idx] == THERE and not here:
            verdict.lost += 1
            verdict.say("%s[%d] was acknowledged and is gone" % (series.name, idx))
        elif series.state[idx] == SENT:
            series.state[idx] = THERE if here else NEVER
    series.compared = len(series.state)


def count_torn(requests, verdict):
    """A request that was cut off, by remote write or TS.MADD, is there wholly or not at all,
    also when its duplicate policy had to look for older values. A refused request may be
    kept in part: its answer says so."""
    for request in requests:
        if request.acknowledged is not None:
            continue
        states = set()
        for series, (start, end) in request.spans:
            states.update(series.state[start:end])
        if len(states) <= 1:
            continue
        verdict.torn += 1
        verdict.say("a request is kept in part: %s"
                    % [(s.name, span, bytes(s.state[slice(*span)]).count(THERE))
                       for s, span in request.spans])


# ---- a run ---------------------------------------------------------------------------------

class Loop:
    """One server's life through many deaths."""

    def __init__(self, wal_sync, n_writers, rng):
        self.rng, self.wal_sync = rng, wal_sync
        self.verdict = Verdict()
        self.server = tt.Server(*OPTIONS, "--wal-sync", wal_sync, start=False)
        base_ms = int(time.time() * 1000) - 6 * 3600 * 1000
        self.groups = [[Series(w * SERIES_EACH + i, w % 2 == 0, base_ms)
                        for i in range(SERIES_EACH)] for w in range(n_writers)]
        self.series = [s for group in self.groups for s in group]
        self.acknowledged = self.refused = self.flushes = self.segments = self.replayed = 0
        self.restart_s = 0.0

    def create_keys(self):
        with self.server.resp() as resp:
            for s in self.series:
                if not s.remote:
                    tt.equal(resp.do("TS.CREATE", s.name, "LABELS", "job", "ledger"), "OK")

    def die(self, writers):
        """Lets the writers write for a while and ends the server, in one of two ways."""
        time.sleep(self.rng.uniform(0.05, 1.2))
        with self.server.resp() as resp:
            info = resp.ok("INFO")
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        self.flushes += int(fields["flushes"])
        self.segments = max(self.segments, int(fields["segments"]))
        time.sleep(self.rng.uniform(0, 0.05))
        if self.rng.random() < 0.15:
            self.server.stop()
        else:
            self.server.kill()
        for writer in writers:
            writer.join(tt.PATIENCE_S)
            tt.check(not writer.is_alive(), "a writer does not end")
            tt.check(not writer.fault, writer.fault)
            self.acknowledged += writer.acknowledged
            self.refused += writer.refused

    def rise(self):
        """Starts again; now and then a second kill comes while it recovers."""
        if self.rng.random() < 0.3:
            self.server.start(wait=False)
            time.sleep(self.rng.uniform(0, 0.3))
            self.server.kill()
        start = time.monotonic()
        self.server.start()
        self.restart_s = max(self.restart_s, time.monotonic() - start)

    def verify(self, everything):
        with self.server.resp() as resp:
            for s in self.series:
                first = 0 if everything else max(0, s.compared - MARGIN)
                got = read_remote(self.server, s, first) if s.remote else \
                    read_keyed(resp, s, first)
                compare(s, got, first, self.verdict)

    def cycle(self, number, last):
        writers = [Writer(self.server, group, random.Random(self.rng.random()))
                   for group in self.groups]
        for writer in writers:
            writer.start()
        self.die(writers)
        self.rise()
        self.verify(last or number % 10 == 9)
        for writer in writers:
            count_torn(writer.open, self.verdict)

    def run(self, cycles):
        try:
            self.server.start()
            self.create_keys()
            for number in range(cycles):
                self.cycle(number, number == cycles - 1)
                if not self.verdict.good():
                    break
            self.server.stop()
        finally:
            self.report(cycles)
            if self.verdict.good():
                self.server.discard()
            else:
                self.server.kill()
                print("# the data directory stays: %s" % self.server.data)
        tt.check(self.flushes > 0, "no flush in %d cycles" % cycles)
        return self.verdict.good()

    def report(self, cycles):
        v = self.verdict
        for text in v.words:
            print("# " + text)
        print("# %s: %d samples acknowledged, %d requests refused, %d flushes, at most %d "
              "segments, slowest start %.2f s"
              % (self.wal_sync, self.acknowledged, self.refused, self.flushes, self.segments,
                 self.restart_s))
        print("REL kill_cycles=%d lost=%d phantom=%d torn=%d wrong=%d wal_sync=%s"
              % (cycles, v.lost, v.phantom, v.torn, v.wrong, self.wal_sync))
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=50 if tt.LONG else 2)
    parser.add_argument("--wal-sync", choices=("append", "periodic", "both"), default="both")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=tt.SEED)
    args = parser.parse_args()
    try:
        tt.server_program()
    except tt.Skip as skip:
        print("SKIP: %s" % skip)
        return 77
    tt.equal(struct.calcsize("d"), 8)
    print("# TSINK_SEED=%d" % args.seed)
    good = True
    for wal_sync in ("append", "periodic") if args.wal_sync == "both" else (args.wal_sync,):
        good = Loop(wal_sync, args.writers, random.Random(args.seed)).run(args.cycles) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
