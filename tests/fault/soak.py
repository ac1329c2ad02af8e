#!/usr/bin/env python3
"""Half an hour of everything at once: writes of all kinds, queries, deletes, flushes, compactions.

Goal: at the end the database checks clean, memory is flat, and every sample is accounted for:
what was sent is stored, a duplicate, or refused with a reason, and what is served is what the
ledgers of the writers say, to the last sample. Method: each writer is a process with series of
its own, half of them remote-written and half keyed, and remembers the value of every time. It
writes in order, late, the same again, other values over old ones, and some samples that have
to be refused; it deletes ranges of its series, which hides what was written before and nothing
else. One process makes series at a steady rate and deletes the older ones, so that the number
of series stays as it is while their births go on. One asks all the time. Thresholds are low, so
that flushes and compactions come every few seconds.

usage: soak.py [--minutes M] [--writers N] [--births-per-second N] [--seed N]
  --minutes M   (0.3; with TSINK_LONG=1: 30)
Prints REL lines; exit 0 when all is well, 1 when not, 77 without a server.
"""
import argparse
import multiprocessing
import os
import random
import statistics
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position

OPTIONS = ["--wal-flush-size", "8mb", "--flush-interval", "100ms", "--compaction-interval", "500ms",
           "--admin-api", "yes", "--enable-debug-command", "yes", "--retention", "7d"]
SERIES_EACH = 24          # of a writer
SPAN_MS = 3 * 3600 * 1000  # how far back late samples go
STEP_MS = 1000
PAUSE_S = 0.02            # between two requests of a writer
BIRTH_BATCH = 250
LIFE_S = 20               # of the series that come and go
FIGURES_S = 20            # between two lines of figures
COUNTED = ("series", "series_slots", "series_dead", "label_pairs", "label_texts", "delete_records",
           "segments", "retired_items")
PARTS = ("head", "registry", "lists", "wal", "net", "query")
FLAT = 0.10               # growth of memory between the second and the last third


def value_of(number, ts, version):
    """A double that names series, time and version: 40 bits of a mixed product, in 1/1024."""
    x = (number * 0x9E3779B97F4A7C15 + ts * 0xBF58476D1CE4E5B9 + version) & (2**64 - 1)
    x = ((x ^ (x >> 31)) * 0xFF51AFD7ED558CCD) & (2**64 - 1)
    return (x >> 24) / 1024.0


class Ledger:
    """One series: the value that each time must have."""

    def __init__(self, number, keyed):
        self.number, self.keyed = number, keyed
        self.name = ("soak:%d" if keyed else "soak_%d") % number
        self.samples = {}
        self.last = 0

    def next_times(self, n, now):
        start = max(self.last + STEP_MS, now - SPAN_MS)
        times = [start + i * STEP_MS for i in range(n)]
        return [t for t in times if t <= now]


class Writer:
    """A process: writes, deletes, and compares at the end."""

    def __init__(self, ports, first, seed):
        self.ports, self.rng = ports, random.Random(seed)
        self.series = [Ledger(first + i, i % 2 == 1) for i in range(SERIES_EACH)]
        self.version = 0
        self.counts = dict(sent=0, refused=0, deletes=0, late=0, again=0, over=0, requests=0)

    def open(self):
        self.resp, self.http = tt.Resp(self.ports[0]), tt.Http(self.ports[1])
        for s in self.series:
            if s.keyed:
                self.resp.ok("TS.CREATE", s.name, "DUPLICATE_POLICY", "LAST", "LABELS", "job", "soak")

    def rows(self, s, now):
        """Times and values of one request for a series."""
        kind = self.rng.random()
        n = self.rng.randint(1, 40)
        old = s.samples
        if kind < 0.70 or not old:
            times = s.next_times(n, now)
        elif kind < 0.80:
            times = sorted({now - self.rng.randrange(1, SPAN_MS) for _ in range(n)})
            self.counts["late"] += len(times)
        elif kind < 0.90:
            times = sorted(self.rng.sample(list(old.keys()), min(n, len(old)))) if len(old) < 2000 \
                else sorted({self.rng.choice(self.recent(s)) for _ in range(n)})
            self.counts["again"] += len(times)
            return [(t, old[t]) for t in times]
        else:
            times = sorted({self.rng.choice(self.recent(s)) for _ in range(n)})
            self.counts["over"] += len(times)
        self.version += 1
        return [(t, value_of(s.number, t, self.version)) for t in times]

    def recent(self, s):
        """Some times of the series, cheap to come by."""
        if not getattr(s, "cache", None) or self.rng.random() < 0.02:
            s.cache = list(s.samples.keys())[-4000:]
        alive = [t for t in (self.rng.choice(s.cache) for _ in range(50)) if t in s.samples]
        return alive or [next(iter(s.samples))]

    def write_remote(self, chosen, now):
        rows = [(s, self.rows(s, now)) for s in chosen]
        rows = [(s, r) for s, r in rows if r]
        spoil = self.rng.random() < 0.02
        series = [({"__name__": s.name, "job": "soak"}, [(v, t) for t, v in r]) for s, r in rows]
        if spoil:
            series.append(({"__name__": "soak_refused", "job": "soak"}, [(1.0, now + 3600 * 1000)]))
        if not series:
            return
        answer = self.http.request("POST", "/api/v1/write", tt.snappy(tt.write_request(series)),
                                   tt.WRITE_HEADERS)
        tt.check(answer.code == (400 if spoil else 204), "remote write: %d %r"
                 % (answer.code, answer.body))
        self.took(rows, spoil)

    def write_keyed(self, chosen, now):
        rows = [(s, self.rows(s, now)) for s in chosen]
        words = ["TS.MADD"]
        for s, r in rows:
            for t, v in r:
                words += [s.name, t, repr(v)]
        if len(words) == 1:
            return
        for reply in self.resp.ok(*words):
            tt.check(not isinstance(reply, tt.RespError), "TS.MADD: %s" % reply)
        self.took(rows, False)

    def took(self, rows, spoil):
        for s, r in rows:
            for t, v in r:
                s.samples[t] = v
                if t > s.last:
                    s.last = t
            self.counts["sent"] += len(r)
        self.counts["sent"] += spoil
        self.counts["refused"] += spoil
        self.counts["requests"] += 1

    def delete(self, s):
        if not s.samples:
            return
        at = self.rng.choice(self.recent(s))
        start, end = at - self.rng.randrange(1, 600000), at + self.rng.randrange(1, 600000)
        if s.keyed:
            self.resp.ok("TS.DEL", s.name, start, end)
        else:
            answer = self.http.request(
                "POST", "/api/v1/admin/tsdb/delete_series?match[]=%s&start=%.3f&end=%.3f"
                % (s.name, start / 1000, end / 1000), b"")
            tt.check(answer.code == 204, "delete_series: %d %r" % (answer.code, answer.body))
        for t in [t for t in s.samples if start <= t <= end]:
            del s.samples[t]
        self.counts["deletes"] += 1

    def run(self, end):
        self.open()
        keyed = [s for s in self.series if s.keyed]
        remote = [s for s in self.series if not s.keyed]
        while time.monotonic() < end:
            now = int(time.time() * 1000)
            group, write = self.rng.choice(((remote, self.write_remote), (keyed, self.write_keyed)))
            write(self.rng.sample(group, self.rng.randint(1, len(group))), now)
            if self.rng.random() < 0.01:
                self.delete(self.rng.choice(self.series))
            time.sleep(PAUSE_S)

    # --- comparing ---

    def served(self, s, start, end):
        """{time: value} of the series in [start, end)."""
        if s.keyed:
            reply = self.resp.ok("TS.RANGE", s.name, start, end - 1)
            return {int(t): float(v) for t, v in reply}
        answer = self.http.request("GET", "/api/v1/query?query=%s[%dms]&time=%.3f"
                                   % (s.name, end - start, (end - 1) / 1000))
        tt.check(answer.code == 200, "%s: %r" % (s.name, answer.body))
        result = answer.json()["data"]["result"]
        return {round(t * 1000): float(v) for t, v in result[0]["values"]} if result else {}

    def compare(self):
        """How many samples are missing, wrong or too many."""
        bad = []
        for s in self.series:
            got = {}
            start = min(s.samples, default=0)
            stop = max(max(s.samples, default=0), s.last) + 1
            for at in range(start, stop, SPAN_MS):
                got.update(self.served(s, at, min(at + SPAN_MS, stop)))
            for t in set(got) | set(s.samples):
                if got.get(t) != s.samples.get(t):
                    bad.append((s.name, t, got.get(t), s.samples.get(t)))
        return bad


def process(out, work, *args):
    """Runs work in a process of its own; what it returns or raises goes to the queue."""
    try:
        out.put((work.__name__, work(*args), None))
    except Exception:  # pylint: disable=broad-except
        out.put((work.__name__, None, traceback.format_exc()))


def write_and_compare(ports, first, seed, end, quiet):
    """A writer's life: it compares once the others have stopped writing as well."""
    writer = Writer(ports, first, seed)
    writer.run(end)
    quiet.wait(tt.PATIENCE_S)
    bad = writer.compare()
    return writer.counts, len(bad), bad[:5]


def give_births(ports, per_second, end):
    """Makes series at a rate and deletes each generation when its time has come."""
    http = tt.Http(ports[1])
    start, n, sent, gone = time.monotonic(), 0, 0, 0
    alive = []   # (deadline, generation)
    while time.monotonic() < end:
        now = int(time.time() * 1000)
        generation = (n // BIRTH_BATCH) % 4096
        series = [({"__name__": "soak_birth", "generation": str(generation),
                    "instance": "host-%03d" % i, "pod": "pod-%d" % (n + i)}, [(float(i), now)])
                  for i in range(BIRTH_BATCH)]
        answer = http.request("POST", "/api/v1/write", tt.snappy(tt.write_request(series)),
                              tt.WRITE_HEADERS)
        tt.check(answer.code == 204, "births: %d %r" % (answer.code, answer.body))
        n += BIRTH_BATCH
        sent += BIRTH_BATCH
        alive.append((time.monotonic() + LIFE_S, generation))
        while alive and alive[0][0] < time.monotonic():
            answer = http.request("POST", "/api/v1/admin/tsdb/delete_series?match[]="
                                  "soak_birth{generation=\"%d\"}" % alive.pop(0)[1], b"")
            tt.check(answer.code == 204, "delete_series: %d %r" % (answer.code, answer.body))
            gone += BIRTH_BATCH
        ahead = n / per_second - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(ahead)
    return sent, n, gone


def ask(ports, seed, end):
    """Queries of several kinds; every one must be answered."""
    http, rng, n = tt.Http(ports[1]), random.Random(seed), 0
    questions = ["count({job=\"soak\"})", "sum(rate(soak_1[10m]))", "max_over_time(soak_3[3h])",
                 "count({__name__=\"soak_birth\"})", "topk(3, {__name__=~\"soak_[0-9]+\"})",
                 "last_over_time({__name__=~\"soak_1.\"}[1h])"]
    while time.monotonic() < end:
        target = "/api/v1/query?query=" + tt.urllib.parse.quote(rng.choice(questions))
        if rng.random() < 0.3:
            now = time.time()
            target = "/api/v1/query_range?start=%.0f&end=%.0f&step=60&query=%s" % (
                now - 7200, now, tt.urllib.parse.quote("sum by (job) ({job=\"soak\"})"))
        answer = http.request("GET", target)
        tt.check(answer.code == 200, "%s: %d %r" % (target, answer.code, answer.body))
        n += 1
        time.sleep(0.05)
    return n


# ---- the run --------------------------------------------------------------------------------

def metrics(server):
    """Every figure of /metrics by name and labels."""
    text = tt.http_once(server.http_port, "GET", "/metrics").body.decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines() if line and line[0] != "#"}


def watch(server, end):
    """Resident memory every second until the end; now and then what it is made of is printed."""
    seen = []
    while time.monotonic() < end:
        seen.append(server.rss_kb())
        if len(seen) % FIGURES_S == 0:
            show_figures(len(seen), seen[-1], metrics(server))
        time.sleep(1)
    return seen


def show_figures(at_s, rss_kb, figures):
    """One line: what there is of series, and where the memory is (kB)."""
    part = lambda name: int(figures["tsink_memory_bytes{part=\"%s\"}" % name]) // 1024  # noqa: E731
    print("# s=%d %s rss=%d accounted=%d %s"
          % (at_s, " ".join("%s=%d" % (n, figures["tsink_" + n]) for n in COUNTED), rss_kb,
             figures["tsink_memory_used_bytes"] // 1024,
             " ".join("%s=%d" % (n, part(n)) for n in PARTS)))
    sys.stdout.flush()


def judge_memory(seen):
    """Growth between the second and the last third; None when there is too little to tell."""
    third = len(seen) // 3
    if third < 60:
        return None
    return statistics.median(seen[2 * third:]) / statistics.median(seen[third:2 * third]) - 1


def soak(server, args, end):
    """Runs all processes and returns what they said, by kind."""
    ports = (server.port, server.http_port)
    out, quiet = multiprocessing.Queue(), multiprocessing.Barrier(args.writers + 1)
    work = [(write_and_compare, ports, i * SERIES_EACH, args.seed + i, end, quiet)
            for i in range(args.writers)]
    work += [(give_births, ports, args.births_per_second, end), (ask, ports, args.seed, end)]
    jobs = [multiprocessing.Process(target=process, args=(out,) + w, daemon=True) for w in work]
    for job in jobs:
        job.start()
    seen = watch(server, end)
    quiet.wait(tt.PATIENCE_S)
    said = {}
    for _ in jobs:
        kind, result, fault = out.get(timeout=600)
        tt.check(not fault, fault)
        said.setdefault(kind, []).append(result)
    for job in jobs:
        job.join()
    return said, seen


def balance(figures, sent, refused):
    """Received = stored + duplicate + ignored + refused, and as many as were sent."""
    get = lambda name: int(figures["tsink_samples_%s_total" % name])  # noqa: E731
    tt.equal(get("received"), sent, "samples received and sent")
    tt.equal(get("refused"), refused, "samples refused")
    parts = sum(get(n) for n in ("stored", "duplicate", "ignored", "refused"))
    tt.equal(parts, get("received"), "stored + duplicate + ignored + refused")
    by_reason = sum(int(v) for k, v in figures.items()
                    if k.startswith("tsink_samples_rejected_total"))
    tt.equal(by_reason, get("refused"), "refused by reason")


def run(args):
    server = tt.Server(*OPTIONS)
    end = time.monotonic() + args.minutes * 60
    said, seen = soak(server, args, end)
    counts = {}
    for part, _, _ in said["write_and_compare"]:
        for k, v in part.items():
            counts[k] = counts.get(k, 0) + v
    born = said["give_births"][0]
    figures = metrics(server)
    balance(figures, counts["sent"] + born[0], counts["refused"])
    with server.resp() as resp:
        tt.equal(resp.do("DEBUG", "CHECK"), "OK", "db_check()")
    wrong = sum(n for _, n, _ in said["write_and_compare"])
    for _, _, bad in said["write_and_compare"]:
        for row in bad:
            print("# %s at %d: served %r, ledger %r" % row)
    growth = judge_memory(seen)
    series = int(figures["tsink_series"])
    print("# %s queries=%d births=%d deaths=%d" % (counts, said["ask"][0], born[1], born[2]))
    print("# flushes=%d compactions=%d segments=%d series=%d rss_mb=%d..%d"
          % (figures["tsink_flushes_total"], figures.get("tsink_compactions_total", 0),
             figures["tsink_segments"], series, min(seen) / 1024, max(seen) / 1024))
    print("REL soak_minutes=%g samples=%d wrong=%d rss_growth=%s births=%d series_left=%d"
          % (args.minutes, counts["sent"] + born[0], wrong,
             "unknown" if growth is None else "%.3f" % growth, born[1], series))
    server.stop()
    server.discard()
    return wrong == 0 and (growth is None or growth <= FLAT)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30 if tt.LONG else 0.3)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--births-per-second", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=tt.SEED)
    args = parser.parse_args()
    try:
        tt.server_program()
    except tt.Skip as skip:
        print("SKIP: %s" % skip)
        return 77
    print("# TSINK_SEED=%d" % args.seed)
    sys.stdout.flush()
    return 0 if run(args) else 1


if __name__ == "__main__":
    sys.exit(main())
