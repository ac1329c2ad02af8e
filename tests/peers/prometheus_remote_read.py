#!/usr/bin/env python3
"""Remote read beside a real Prometheus: what it is asked for, it answers bit for bit alike.

Goal: both kinds of answer (samples, streamed chunks) to a set of requests hold what
Prometheus' own hold: labels, times, values to the bit, and of streamed chunks the very bytes;
and a Prometheus that reads from tsink answers queries as one that has the samples itself.
Method: the same remote write to both, floats and native histograms of every shape, few enough
samples a series that Prometheus makes one chunk of them; then the same read requests.

usage: prometheus_remote_read.py
Exit 0 the same, 1 not, 77 a program is missing.
"""
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer_prometheus as peer  # pylint: disable=wrong-import-position
from peer_prometheus import tt  # pylint: disable=wrong-import-position

STALE = 0x7FF0000000000002
NAN = 0x7FF8000000000001


# ---- the wire ------------------------------------------------------------------------------

def zigzag(n):
    return n * 2 if n >= 0 else -n * 2 - 1


def double_field(number, value):
    return tt.varint(number << 3 | 1) + struct.pack("<Q", tt.double_bits(value))


def spans(number, pairs):
    return b"".join(tt.field(number, tt.varint_field(1, zigzag(offset)) + tt.varint_field(2, n))
                    for offset, n in pairs)


def histogram(ms, h):
    """h: dict of count, sum, zero, schema, threshold, pos, neg ([spans], [counts]), hint."""
    out = b""
    if h["float"]:
        out += double_field(2, h["count"]) + double_field(7, h["zero"])
    else:
        out += tt.varint_field(1, h["count"]) + tt.varint_field(6, h["zero"])
    out += double_field(3, h["sum"]) + tt.varint_field(4, zigzag(h["schema"]))
    out += double_field(5, h["threshold"])
    for number, side in ((8, "neg"), (11, "pos")):
        pairs, counts = h[side]
        out += spans(number, pairs)
        if h["float"]:
            out += tt.field(number + 2, b"".join(struct.pack("<d", c) for c in counts))
        else:
            deltas = [c - (counts[i - 1] if i else 0) for i, c in enumerate(counts)]
            out += tt.field(number + 1, b"".join(tt.varint(zigzag(d)) for d in deltas))
    return out + tt.varint_field(14, h["hint"]) + tt.varint_field(15, ms)


# ---- what is written -----------------------------------------------------------------------

def float_series(rng, now):
    """{name: [(value, ms)]}: times that are even, uneven and far apart; values of all kinds."""
    even = [now + 15000 * i for i in range(100)]
    jitter = [now + 15000 * i + rng.randrange(-300, 300) for i in range(100)]
    far = sorted(rng.sample(range(now, now + 1500000), 90))
    total, walk = 0, []
    for _ in range(100):
        total += rng.randrange(1000)
        walk.append(total)
    odd = [0.0, -0.0, float("inf"), float("-inf"), NAN, 5e-324, -1.7e308, 1 / 3, 1e22, STALE]
    return {
        "counter": list(zip([float(v) for v in walk], jitter)),
        "constant": [(4.5, t) for t in even],
        "gauge": [(rng.uniform(-1, 1), t) for t in far],
        "odd": [(odd[i % len(odd)], t) for i, t in enumerate(even)],
        "small": [(round(rng.uniform(0, 100), 2), t) for t in jitter],
        "one": [(1.0, now)],
        "two": [(1.0, now), (2.0, now + 1)],
    }


def grow(rng, h):
    """The same histogram a little later."""
    new = dict(h)
    for side in ("pos", "neg"):
        pairs, counts = h[side]
        new[side] = (pairs, [c + rng.randrange(5) * (0.5 if h["float"] else 1) for c in counts])
    new["zero"] = h["zero"] + rng.randrange(3)
    new["count"] = new["zero"] + sum(new["pos"][1]) + sum(new["neg"][1])
    new["sum"] = h["sum"] + rng.uniform(0, 10)
    return new


def hist_series(rng, now):
    """{name: [(histogram, ms)]}, each of one layout: Prometheus widens a layout in place."""
    times = [now + 15000 * i + rng.randrange(-40, 40) for i in range(60)]
    kinds = {
        "hist_int": dict(float=False, threshold=2.0 ** -128, schema=3,
                         pos=([(0, 2), (3, 4)], [1, 2, 3, 4, 5, 6]), neg=([(1, 1)], [7])),
        "hist_coarse": dict(float=False, threshold=0.001, schema=-1, pos=([(-2, 3)], [1, 0, 9]),
                            neg=([], [])),
        "hist_float": dict(float=True, threshold=0.0, schema=8, pos=([(0, 3)], [0.5, 1.25, 2.0]),
                           neg=([(5, 2)], [1.0, 3.5])),
        "hist_gauge": dict(float=False, threshold=1e-3, schema=0, pos=([(0, 2)], [4, 5]),
                           neg=([], [])),
    }
    out = {}
    for name, base in kinds.items():
        h = dict(base, zero=2, sum=1.5, hint=3 if name == "hist_gauge" else 0)
        h["count"] = h["zero"] + sum(h["pos"][1]) + sum(h["neg"][1])
        if h["float"]:
            h["zero"], h["count"] = float(h["zero"]), float(h["count"])
        rows = []
        for ms in times:
            rows.append((h, ms))
            h = grow(rng, h)
        out[name] = rows
    return out


def write_body(floats, hists):
    out = b""
    for name, rows in floats.items():
        out += tt.field(1, tt.time_series({"__name__": name, "job": "peer"}, rows))
    for name, rows in hists.items():
        head = tt.time_series({"__name__": name, "job": "peer"}, [])
        out += tt.field(1, head + b"".join(tt.field(4, histogram(ms, h)) for h, ms in rows))
    return tt.snappy(out)


# ---- what is read --------------------------------------------------------------------------

def labels_of(pairs):
    return tuple((dict(tt.fields(p))[1], dict(tt.fields(p)).get(2, b"")) for p in pairs)


def read_samples(port, queries):
    """[[(labels, [(ms, bits)], [histogram fields])]]"""
    answer = tt.http_once(port, "POST", "/api/v1/read", tt.read_request(tt.READ_SAMPLES, queries),
                          tt.READ_HEADERS)
    tt.equal(answer.code, 200, "status: %r" % answer.body[:300])
    tt.equal(answer.header("Content-Type"), "application/x-protobuf")
    tt.equal(answer.header("Content-Encoding"), "snappy")
    results = []
    for _, result in tt.fields(tt.unsnappy(answer.body)):
        series = []
        for _, one in tt.fields(result):
            parts = tt.fields(one)
            rows = [dict(tt.fields(v)) for n, v in parts if n == 2]
            series.append((labels_of([v for n, v in parts if n == 1]),
                           [(r.get(2, 0), r.get(1, 0)) for r in rows],
                           [normal_hist(v) for n, v in parts if n == 4]))
        results.append(series)
    return results


def normal_hist(data):
    """Fields of a histogram, defaults left out, runs of packed numbers as they are."""
    return sorted((n, v) for n, v in tt.fields(data) if v not in (0, b""))


def read_chunks(port, queries):
    """{query: [(labels, [(from, to, kind, bytes)])]}"""
    answer = tt.http_once(port, "POST", "/api/v1/read", tt.read_request(tt.READ_STREAMED, queries),
                          tt.READ_HEADERS)
    tt.equal(answer.code, 200, "status: %r" % answer.body[:300])
    tt.equal(answer.header("Content-Type"),
             "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
    data, at, out = answer.body, 0, {}
    while at < len(data):
        n, at = tt.take_varint(data, at)
        crc = struct.unpack_from(">I", data, at)[0]
        message = data[at + 4:at + 4 + n]
        tt.equal(tt.crc32c(message), crc, "checksum of a frame")
        at += 4 + n
        parts = tt.fields(message)
        query = dict(parts).get(2, 0)
        for number, series in parts:
            if number != 1:
                continue
            inner = tt.fields(series)
            chunks = [dict(tt.fields(v)) for n, v in inner if n == 2]
            labels = labels_of([v for n, v in inner if n == 1])
            rows = [(c.get(1, 0), c.get(2, 0), c.get(3, 0), c.get(4, b"")) for c in chunks]
            sets = out.setdefault(query, [])
            if sets and sets[-1][0] == labels:
                sets[-1][1].extend(rows)
            else:
                sets.append((labels, rows))
    return out


# ---- what is compared ------------------------------------------------------------------------

def hists_between(hists, labels, query):
    """What was written of a series of histograms in the query's range."""
    rows = hists.get(dict(labels)[b"__name__"].decode(), [])
    return [normal_hist(histogram(ms, h)) for h, ms in rows if query[0] <= ms <= query[1]]


def compare_samples(want, got, hists, queries, what):
    """Histograms with what was written: Prometheus 2.42 leaves them out of samples."""
    tt.equal(len(got), len(want), what + ": results")
    for a, b, query in zip(want, got, queries):
        a = [s for s in a if s[1] or hists_between(hists, s[0], query)]
        tt.equal([s[0] for s in b], [s[0] for s in a], what + ": series")
        for x, y in zip(a, b):
            name = dict(x[0])[b"__name__"].decode()
            # Prometheus writes -0 as 0, which is left out.
            tt.equal([(t, 0 if v == 1 << 63 else v) for t, v in y[1]], x[1],
                     "%s: samples of %s" % (what, name))
            tt.equal(y[2], hists_between(hists, x[0], query), "%s: histograms of %s" % (what, name))


def without_flags(rows):
    return [(a, b, kind, data[:2] + b"\0" + data[3:]) for a, b, kind, data in rows]


def without_end(rows):
    """Prometheus leaves an empty byte behind a chunk that ends on a byte."""
    return [(a, b, kind, data.rstrip(b"\0")) for a, b, kind, data in rows]


def compare_chunks(want, got):
    tt.equal(sorted(got), sorted(want), "queries with chunks")
    for query, series in want.items():
        tt.equal([s[0] for s in got[query]], [s[0] for s in series], "series of chunks")
        for a, b in zip(series, got[query]):
            if dict(a[0])[b"__name__"] == b"hist_gauge": # 2.42 knows no gauges
                tt.equal([data[2] for _, _, _, data in b[1]], [0xC0], "flags of a gauge")
                a, b = [(s[0], without_flags(s[1])) for s in (a, b)]
            tt.equal(without_end(b[1]), without_end(a[1]), "chunks of %s" % (a[0],))


def run(scratch):
    with tt.Server("--retention", "0") as server:
        compare(scratch, server)


def compare(scratch, server):
    rng = random.Random(20260101)
    now = int(time.time() * 1000) - 1800 * 1000
    prom = peer.Prometheus(scratch, "peer", "--web.enable-remote-write-receiver",
                           "--enable-feature=native-histograms")
    reader = None
    try:
        hists = hist_series(rng, now)
        body = write_body(float_series(rng, now), hists)
        for port in (prom.port, server.http_port):
            answer = tt.http_once(port, "POST", "/api/v1/write", body, tt.WRITE_HEADERS)
            tt.check(answer.code in (200, 204), "write: %d %r" % (answer.code, answer.body[:300]))
        everything = [(now - 1000, now + 3600000, [(0, "job", "peer")])]
        several = [(now + 100000, now + 400000, [(2, "__name__", "c.*|hist_(int|float)")]),
                   (now, now, [(1, "__name__", "counter"), (0, "job", "peer")]),
                   (now, now + 1000000, [(3, "__name__", "hist.*"), (0, "job", "peer")]),
                   (now, now + 1000, [(0, "job", "nobody")])]
        for name, queries in (("everything", everything), ("several", several)):
            compare_samples(read_samples(prom.port, queries),
                            read_samples(server.http_port, queries), hists, queries, name)
            print("ok - samples: " + name)
        compare_chunks(read_chunks(prom.port, everything),
                       read_chunks(server.http_port, everything))
        print("ok - streamed chunks are the same bytes")

        url = "http://127.0.0.1:%d/api/v1/read" % server.http_port
        reader = peer.Prometheus(scratch, "reader", config="remote_read:\n  - url: %s\n"
                                 "    read_recent: true\n" % url)
        for expr in ('sum by (__name__) ({job="peer",__name__!~"hist.*|odd"})',
                     'rate(counter[5m])', 'count({job="peer",__name__!~"hist.*"})', 'small > 50'):
            asked = "/api/v1/query_range?query=%s&start=%d&end=%d&step=60" % (
                tt.urllib.parse.quote(expr), now // 1000, now // 1000 + 1500)
            answers = [tt.http_once(port, "GET", asked).json()["data"]
                       for port in (prom.port, reader.port)]
            tt.equal(answers[1], answers[0], expr)
            print("ok - through another Prometheus: " + expr)
    finally:
        prom.stop()
        if reader:
            reader.stop()


if __name__ == "__main__":
    sys.exit(peer.main(run))
