"""Random series and random PromQL for prometheus_promql.py.

Queries are drawn from a grammar whose every production says how well the value of what it
makes is determined, so that the comparison can be as strict as the two formulas allow:

    ANY     the same up to rounding: the order of a summation, a library's logarithm
    BITS    the same to the last bit
    EIGHTHS small multiples of 1/8: sums of such values are exact in any order

What makes a jump of a small difference (comparisons, floor, count_values, ...) takes BITS.

No sample is on the edge of a window, where Prometheus 3 differs from Prometheus 2: samples
are never at whole seconds, queries, steps, offsets and windows always are. Subqueries have
inner steps of even seconds on the clock; their windows begin at odd ones: `odd` says whether
the time at which an expression is evaluated is odd, and an offset corrects it.
"""
import struct

ANY, BITS, EIGHTHS = 0, 1, 2
STALE = 0x7FF0000000000002
NAN = 0x7FF8000000000001
SPAN_S = 3600
STEP_MS = 15000

MODES, ZONES = "abc", ("eu-1", "us-2", "\u00e4s-3")
# Families that have the labels instance and mode, and how well their values add up.
FAMILIES = {"c_total": EIGHTHS, "young_total": EIGHTHS, "g_exact": EIGHTHS, "g_sparse": EIGHTHS,
            "g_real": BITS, "g_odd": BITS}
COUNTERS = ("c_total", "young_total", "frac_total")


# ---- series --------------------------------------------------------------------------------

def clock(rng, start_ms, gaps, jitter=True):
    """Times of scrapes, none of a whole second; None where the target was gone."""
    out, ms, end = [], start_ms, start_ms + SPAN_S * 1000
    while ms < end:
        out.append(ms + (rng.randrange(100, 900) if jitter else 500))
        ms += STEP_MS
        if gaps and rng.random() < 0.02:
            out.append(None)
            ms += STEP_MS * rng.choice((1, 3, 12, 30))
    return out


def with_gaps(rng, times, value):
    """[(value, ms)]: value() at each time; where some gaps begin, a stale marker. A counter is
    told how many samples there were since the last gap."""
    out, since = [], 0
    for ms in times:
        if ms is not None:
            out.append((value(since) if getattr(value, "counts", False) else value(), ms))
            since += 1
            continue
        since = 0
        if out and rng.random() < 0.5:
            out.append((STALE, out[-1][1] + 1003))
    return out


def counter(rng, first, most, resets, unit=1.0):
    """A counter. After a reset it begins at `first` again, which is 0 or a lot more than it
    grows in a window; resets keep away from gaps and from one another: near zero, the
    extrapolation into a gap has changed since 2.42."""
    now, last = None, 0

    def step(since):
        nonlocal now, last
        last += 1
        if now is None or (since > 5 and last > 10 and rng.random() < resets):
            now, last = float(first), 0
        else:
            now += rng.randrange(most) * unit
        return now
    step.counts = True
    return step


def gauge(rng, unit, low, high):
    return lambda: rng.randrange(low, high) * unit


def classic_histogram(rng, times, bounds):
    """{le: [(count, ms)]} with a common clock, and its sum."""
    counts, total = [0] * len(bounds), 0.0
    rows, sums = {le: [] for le in bounds}, []
    for ms in times:
        if ms is None:
            continue
        for _ in range(rng.randrange(6) if sums else 0): # from zero
            at = rng.randrange(len(bounds))
            total += rng.randrange(80) * 0.125
            for i in range(at, len(bounds)):
                counts[i] += 1
        for i, le in enumerate(bounds):
            rows[le].append((float(counts[i]), ms))
        sums.append((total, ms))
    return rows, sums


def all_series(rng, start_ms):
    """[(labels, [(value, ms)])]"""
    out = []

    def add(name, labels, rows):
        out.append((dict(labels, __name__=name, job="peer"), rows))

    # Not 0 beside -0: which of them is the least is chance, and then infinite under a fraction.
    odd = [-0.0, float("inf"), float("-inf"), NAN, 3e-308, -2.5, 1e300, 1e-7, 123456789.0]
    for i in range(5):
        add("build_info", {"instance": "i%d" % i, "version": "v%d" % (i % 3), "zone": ZONES[i % 3]},
            with_gaps(rng, clock(rng, start_ms, i == 4), lambda: 1.0))
        for mode in MODES:
            both = {"instance": "i%d" % i, "mode": mode}
            gaps = rng.random() < 0.6
            add("c_total", both, with_gaps(rng, clock(rng, start_ms, gaps),
                                           counter(rng, 1 << 20, 500, 0.02)))
            add("frac_total", both, with_gaps(rng, clock(rng, start_ms, gaps),
                                              counter(rng, 1 << 20, 5000, 0.01, 0.1)))
            late = clock(rng, start_ms, False)[rng.randrange(200):]
            add("young_total", both, with_gaps(rng, late, counter(rng, 0, 50, 0.01)))
            add("g_exact", dict(both, zone=rng.choice(ZONES)),
                with_gaps(rng, clock(rng, start_ms, gaps), gauge(rng, 0.125, -4000, 4000)))
            add("g_real", both, with_gaps(rng, clock(rng, start_ms, gaps),
                                          lambda: rng.uniform(-1e3, 1e3)))
            add("g_odd", both, with_gaps(rng, clock(rng, start_ms, gaps),
                                         lambda: rng.choice(odd)))
            sparse = clock(rng, start_ms, False, False)[::rng.choice((7, 17, 25))]
            add("g_sparse", both, with_gaps(rng, sparse, gauge(rng, 1.0, -50, 50)))
            unique = rng.sample(range(1 << 40), 400)
            add("g_unique", both, with_gaps(rng, clock(rng, start_ms, gaps),
                                            lambda u=unique: float(u.pop())))
    for path in ("/", "/a", "/b\"c\\", "/\u00fc"):
        bounds = ["0.1", "0.5", "1", "2.5", "10", "+Inf"]
        rows, sums = classic_histogram(rng, clock(rng, start_ms, False), bounds)
        for le, samples in rows.items():
            add("h_bucket", {"path": path, "le": le}, samples)
            if le != "+Inf":
                add("h_open_bucket", {"path": path, "le": le}, samples)
            broken = [(v - 3.0 if rng.random() < 0.1 and v > 3 else v, t) for v, t in samples]
            add("h_broken_bucket", {"path": path, "le": le}, broken)
        add("h_count", {"path": path}, rows["+Inf"])
        add("h_sum", {"path": path}, sums)
    many = {"l%02d" % i: "v%d" % rng.randrange(3) for i in range(30)}
    for i in range(3):
        add("many_labels", dict(many, l03="x%d" % i),
            with_gaps(rng, clock(rng, start_ms, True), gauge(rng, 0.125, 0, 100)))
    add("alone", {}, with_gaps(rng, clock(rng, start_ms, False), gauge(rng, 0.125, 1, 100)))
    return [(labels, rows) for labels, rows in out if rows]


def in_order(series):
    """Two requests: the second has the samples that came late, between those of the first."""
    early = [(labels, rows[::2]) for labels, rows in series]
    late = [(labels, rows[1::2]) for labels, rows in series if len(rows) > 1]
    return early, late


# ---- queries -------------------------------------------------------------------------------

class Query:
    """Draws expressions. exact() tells after a draw whether its result is the same to the bit;
    `loose_order` that which of equal values are chosen is not determined."""

    def __init__(self, rng, start_s):
        self.rng, self.start_s = rng, start_s
        self.ranged = False

    def draw(self, ranged):
        """(text, level)"""
        self.ranged = ranged
        pick = self.rng.random()
        if pick < 0.04:
            return self.scalar(3, ANY, True)
        if pick < 0.08:
            op = self.rng.choice(("topk", "bottomk"))
            return "%s%s(%d, %s)" % (op, self.grouping(), self.rng.randrange(-1, 6),
                                     self.selector("g_unique", True)), BITS
        if pick < 0.12 and not ranged:
            op = self.rng.choice(("sort", "sort_desc"))
            return "%s(%s)" % (op, self.selector("g_unique", True)), BITS
        if pick < 0.14 and not ranged:
            return self.matrix(self.rng.choice(list(FAMILIES)), True), BITS
        return self.vector(self.rng.choice((1, 2, 2, 3, 3, 4)), self.rng.choice((ANY, BITS)), True)

    # --- times ---

    def duration(self, seconds):
        """Some way to write a duration."""
        forms = ["%ds" % seconds]
        if seconds % 60 == 0:
            forms.append("%dm" % (seconds // 60))
        if seconds > 60 and seconds % 60:
            forms.append("%dm%ds" % divmod(seconds, 60))
        return self.rng.choice(forms)

    def shift(self, odd, at_allowed=True):
        """Modifiers that leave an odd time of evaluation, and none that leave the data."""
        text = ""
        if at_allowed and self.rng.random() < 0.12:
            text = self.rng.choice((" @ %d" % (self.start_s + self.rng.randrange(SPAN_S) // 2 * 2),
                                    " @ start()", " @ end()"))
            odd = True
        if odd and self.rng.random() < 0.8:
            return text
        seconds = self.rng.randrange(-150, 600) // 2 * 2 + (0 if odd else 1)
        offset = " offset %s%s" % ("-" if seconds < 0 else "", self.duration(abs(seconds)))
        if seconds == 0:
            return text
        return text + offset if self.rng.random() < 0.5 else offset + text

    # --- selectors ---

    def matchers(self):
        rng, out = self.rng, []
        if rng.random() < 0.35:
            out.append(rng.choice(('instance="i%d"' % rng.randrange(6), 'instance!="i1"',
                                   'instance=~"i[0-2]"', 'instance!~"i(3|4)"', 'instance=~".+"')))
        if rng.random() < 0.35:
            out.append(rng.choice(('mode="a"', 'mode!=""', "mode=~'a|b'", 'mode!~`c|d`',
                                   'zone=~"(eu|us).*"', 'nothing=""', 'mode=~"a|"', 'zone=""')))
        return "{%s}" % ",".join(out) if out else ""

    def selector(self, name, odd):
        """An instant selector."""
        if self.rng.random() < 0.03:
            text = '{__name__="%s",job="peer"}' % name
        else:
            text = name + self.matchers()
        return text + self.shift(odd)

    def matrix(self, name, odd, at_allowed=True):
        """A range of a family's samples."""
        window = self.rng.choice((20, 46, 60, 120, 300, 300, 900, 1800))
        return "%s%s[%s]%s" % (name, self.matchers(), self.duration(window),
                               self.shift(odd, at_allowed))

    def subquery(self, depth, level, odd):
        """A subquery; its inner times are even."""
        inner, level = self.vector(depth - 1, level, False)
        step = self.rng.choice((10, 30, 60, 120))
        window = step * self.rng.randrange(1, 15) + self.rng.choice((0, 0, 2, 8))
        text = "" if step == 60 and self.rng.random() < 0.5 else self.duration(step)
        # Prometheus 2 begins a subquery at an inner step that meets the window's edge.
        return "(%s)[%s:%s]%s" % (inner, self.duration(window), text, self.shift(odd)), level

    def series_range(self, depth, level, odd, names):
        """Anything of type range vector, with values of the level at least."""
        if depth > 1 and self.rng.random() < 0.2:
            return self.subquery(depth, level, odd)
        fit = [n for n in names if FAMILIES.get(n, BITS) >= level]
        name = self.rng.choice(fit)
        return self.matrix(name, odd), FAMILIES.get(name, BITS)

    # --- vectors ---

    def vector(self, depth, level, odd):
        """An instant vector whose values are of the level at least: (text, level)."""
        if depth <= 0:
            fit = [n for n, has in FAMILIES.items() if has >= level]
            name = self.rng.choice(fit)
            return self.selector(name, odd), FAMILIES[name]
        makers = [self.over_time, self.over_time, self.of_range, self.aggregate, self.aggregate,
                  self.math, self.arithmetic, self.arithmetic, self.comparison, self.joined,
                  self.sets, self.labels, self.constant, self.counted, self.leaf]
        if level == ANY:
            makers += [self.inexact, self.inexact, self.quantiles, self.summary]
        while True:
            text, has = self.rng.choice(makers)(depth, level, odd)
            if has >= level:
                return text, has

    def leaf(self, _depth, level, odd):
        return self.vector(0, level, odd)

    def over_time(self, depth, level, odd):
        rng = self.rng
        name = rng.choice(("min", "max", "last", "count", "present", "sum", "quantile"))
        arg, has = self.series_range(depth, max(level, BITS), odd, list(FAMILIES))
        if name == "quantile":
            return "quantile_over_time(%s, %s)" % (self.phi(), arg), BITS
        if name in ("count", "present"):
            has = EIGHTHS
        if name == "sum":
            has = min(has, BITS)
        return "%s_over_time(%s)" % (name, arg), has

    def of_range(self, depth, level, odd):
        rng = self.rng
        name = rng.choice(("rate", "increase", "irate", "delta", "idelta", "changes", "resets",
                           "deriv", "predict_linear", "holt_winters"))
        if name in ("changes", "resets"):
            arg, _ = self.series_range(depth, BITS, odd, list(FAMILIES))
            return "%s(%s)" % (name, arg), EIGHTHS
        names = COUNTERS if name in ("rate", "increase", "irate") else ("g_exact", "g_real",
                                                                          "g_sparse")
        # Not over subqueries: the values there may be near zero after a gap.
        arg = self.matrix(rng.choice(names), odd, name != "predict_linear")
        if name == "predict_linear":
            return "predict_linear(%s, %d)" % (arg, rng.randrange(-600, 3600)), BITS
        if name == "holt_winters":
            return "holt_winters(%s, %s, %s)" % (arg, rng.choice(("0.1", "0.5", "0.9")),
                                                 rng.choice(("0.2", "0.7"))), BITS
        return "%s(%s)" % (name, arg), BITS

    def grouping(self):
        rng = self.rng
        if rng.random() < 0.3:
            return ""
        labels = rng.choice(("instance", "mode", "instance, mode", "", "zone,", "nothing",
                             "__name__, mode"))
        return " %s (%s)" % (rng.choice(("by", "without", "by")), labels)

    def aggregate(self, depth, level, odd):
        rng = self.rng
        name = rng.choice(("sum", "min", "max", "quantile", "count_values", "MIN"))
        by = self.grouping()
        need = EIGHTHS if name == "sum" else max(level, BITS)
        arg, has = self.vector(depth - 1, need, odd)
        if name == "quantile":
            return "quantile%s(%s, %s)" % (by, self.phi(), arg), BITS
        if name == "count_values":
            return 'count_values%s("value", (%s) + 0)' % (by, arg), EIGHTHS # no -0
        if rng.random() < 0.3:
            return "%s(%s)%s" % (name, arg, by), has
        return "%s%s(%s)" % (name, by, arg), has

    def counted(self, depth, _level, odd):
        name = self.rng.choice(("count", "group"))
        arg, _ = self.vector(depth - 1, ANY, odd)
        return "%s%s(%s)" % (name, self.grouping(), arg), EIGHTHS

    def summary(self, depth, _level, odd):
        """Means and sums: their order of summation has changed."""
        name = self.rng.choice(("sum", "avg", "stddev", "stdvar"))
        arg, _ = self.vector(depth - 1, BITS, odd)
        # NaN in a deviation means something else in Prometheus 3.
        arg = "clamp(%s, -1e6, 1e6) <= 1e6" % arg if name[:3] == "std" else "abs(%s)" % arg
        return "%s%s(%s)" % (name, self.grouping(), arg), ANY

    def inexact(self, depth, _level, odd):
        rng = self.rng
        if rng.random() < 0.4:
            name = rng.choice(("avg", "stddev", "stdvar"))
            names = ["g_exact", "g_real", "g_sparse", "c_total"] + ["g_odd"] * (name == "avg")
            return "%s_over_time(%s)" % (name, self.matrix(rng.choice(names), odd)), ANY
        # The logarithm of what is below 2^-1022 is wrong in Go's assembler.
        name = rng.choice(("exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos",
                           "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "^",
                           "atan2"))
        arg, _ = self.vector(depth - 1, BITS, odd)
        if name == "atan2": # one may have its name still: take it away
            arg = "abs(%s)" % arg
        if name in ("^", "atan2"):
            return "(%s) %s %s" % (arg, name, rng.choice(("2", "0.5", "-1", "3.7"))), ANY
        small = "clamp(%s, %s, 20)" % (arg, "1e-9" if name[0] == "l" else "-20")
        return "%s(%s)" % (name, small), ANY

    def quantiles(self, _depth, _level, odd):
        """Classic histograms. Buckets that are not monotonous may be 1e-12 of one another."""
        rng = self.rng
        name = rng.choice(("h_bucket", "h_open_bucket", "h_broken_bucket"))
        if rng.random() < 0.5:
            arg = name + self.shift(odd)
        else:
            arg = "rate(%s[%s]%s)" % (name, self.duration(rng.choice((120, 300))), self.shift(odd))
        if rng.random() < 0.4:
            arg = "sum by (le%s) (%s)" % (rng.choice(("", ", path", ", job")), arg)
        return "histogram_quantile(%s, %s)" % (self.phi(), arg), ANY

    def phi(self):
        return self.rng.choice(("0.5", "0.9", "0", "1", ".25", "-1", "1.5", "NaN", "99e-2"))

    def math(self, depth, level, odd):
        rng = self.rng
        name = rng.choice(("abs", "ceil", "floor", "sgn", "sqrt", "deg", "rad", "round", "round2",
                           "clamp", "clamp_min", "clamp_max", "-", "hour"))
        if name == "hour":
            name = rng.choice(("minute", "hour", "day_of_week", "day_of_month", "day_of_year",
                               "days_in_month", "month", "year", "timestamp"))
            inner = rng.choice(list(FAMILIES)) + self.matchers() + self.shift(odd, False)
            if name == "timestamp":
                return "timestamp(%s)" % inner, BITS
            return "%s(timestamp(%s) * %d)" % (name, inner, rng.randrange(1, 9)), EIGHTHS
        arg, has = self.vector(depth - 1, max(level, BITS), odd)
        if name in ("sqrt", "deg", "rad"):
            return "%s(%s)" % (name, arg), BITS
        if name == "round2":
            return "round(%s, %s)" % (arg, rng.choice(("0.5", "10", "0.1"))), BITS
        if name == "clamp":
            low = rng.randrange(-50, 50)
            return "clamp(%s, %d, %d)" % (arg, low, low + rng.randrange(-3, 90)), has
        if name in ("clamp_min", "clamp_max"):
            return "%s(%s, %d)" % (name, arg, rng.randrange(-50, 50)), has
        if name == "-":
            return "-%s" % (arg if rng.random() < 0.3 else "(" + arg + ")"), has
        return "%s(%s)" % (name, arg), has

    def both(self, depth, level, odd):
        """Two vectors of the same labels, most of the time."""
        left, has_left = self.vector(depth - 1, level, odd)
        right, has_right = self.vector(self.rng.randrange(depth), level, odd)
        return left, right, min(has_left, has_right)

    def matching(self):
        rng = self.rng
        if rng.random() < 0.4:
            return ""
        return rng.choice((" on (instance, mode) ", " ignoring (zone) ", " on (mode, instance,) ",
                           " ignoring () ", " on (instance) ", " on () "))

    def arithmetic(self, depth, level, odd):
        rng = self.rng
        op = rng.choice("+-*/%")
        need = max(level, BITS)
        pick = rng.random()
        if pick < 0.35:
            arg, has = self.vector(depth - 1, need, odd)
            number = rng.choice(("2", "0.5", "1e3", "0x10", "-4", "Inf", "scalar(alone%s)"
                                 % self.shift(odd), "0"))
            pair = (arg, number) if rng.random() < 0.6 else (number, arg)
            has = has if op in "+-" and number in ("2", "0.5", "-4") else BITS
            return "(%s) %s (%s)" % (pair[0], op, pair[1]), has
        left, right, has = self.both(depth, need, odd)
        return "(%s) %s%s(%s)" % (left, op, self.matching(), right), has if op in "+-" else BITS

    def comparison(self, depth, level, odd):
        rng = self.rng
        op = rng.choice(("==", "!=", "<", ">", "<=", ">="))
        boolean = rng.random() < 0.4
        op += " bool " if boolean else " "
        if rng.random() < 0.6:
            arg, has = self.vector(depth - 1, max(level, BITS), odd)
            number = str(rng.choice((0, 1, 10, -5, 500, 1 << 20, "NaN")))
            text = "(%s) %s%s" % (arg, op, number) if rng.random() < 0.6 else \
                "%s %s(%s)" % (number, op, arg)
        else:
            left, right, has = self.both(depth, max(level, BITS), odd)
            text = "(%s) %s%s(%s)" % (left, op, self.matching(), right)
        return text, EIGHTHS if boolean else has

    def joined(self, depth, _level, odd):
        """Many to one, with and without labels of the one."""
        rng = self.rng
        many, _ = self.vector(depth - 1, BITS, odd)
        extra = rng.choice(("", "version", "version, zone", "nothing"))
        one = "build_info" + self.shift(odd)
        on = rng.choice(("on (instance)", "ignoring (mode, version, zone)"))
        op = rng.choice(("*", "/", "+", "> bool", "=="))
        if rng.random() < 0.6:
            return "(%s) %s %s group_left (%s) %s" % (many, op, on, extra, one), BITS
        return "%s %s %s group_right (%s) (%s)" % (one, op, on, extra, many), BITS

    def sets(self, depth, level, odd):
        left, right, has = self.both(depth, level, odd)
        op = self.rng.choice(("and", "or", "unless", "OR"))
        return "(%s) %s%s(%s)" % (left, op, self.matching() or " ", right), has

    def labels(self, depth, level, odd):
        rng = self.rng
        arg, has = self.vector(depth - 1, level, odd)
        if rng.random() < 0.4:
            return 'label_join(%s, "%s", "%s", %s)' % (
                arg, rng.choice(("new", "mode", "zone")), rng.choice(("-", "", "\\t")),
                rng.choice(('"instance", "mode"', '"job"', '"zone", "nothing"'))), has
        return 'label_replace(%s, "%s", "%s", "%s", "%s")' % (
            arg, rng.choice(("new", "mode", "instance")), rng.choice(("$1", "x$2y", "${1}", "")),
            rng.choice(("instance", "mode", "nothing", "zone")),
            rng.choice(("(.*)", "i(.)", "(.)(.?).*", "no", ""))), has

    def constant(self, depth, level, odd):
        rng = self.rng
        if rng.random() < 0.4:
            text, has = self.scalar(depth - 1, level, odd)
            return "vector(%s)" % text, has
        if rng.random() < 0.5:
            return "absent(%s)" % self.selector(rng.choice(("nobody", "g_sparse")), odd), EIGHTHS
        return "absent_over_time(%s)" % self.matrix(rng.choice(("nobody", "g_sparse")), odd), EIGHTHS

    def scalar(self, depth, level, odd):
        rng = self.rng
        pick = rng.random()
        if depth <= 0 or pick < 0.3:
            return rng.choice((("1", EIGHTHS), ("2.5", EIGHTHS), ("time()", EIGHTHS),
                               ("-0x1F", EIGHTHS), ("pi()", BITS), ("1e-7", BITS), ("Inf", BITS),
                               ("1234567890123456789012", BITS), ("NaN", BITS)))
        if pick < 0.6:
            arg, has = self.vector(depth - 1, level, odd)
            return "scalar(%s)" % arg, has
        left, _ = self.scalar(depth - 1, BITS, odd)
        right, _ = self.scalar(depth - 1, BITS, odd)
        op = rng.choice(("+", "-", "*", "/", "%", "== bool", "< bool", ">= bool"))
        return "(%s) %s (%s)" % (left, op, right), BITS


def bits_of(text):
    """A value as Prometheus prints it."""
    return struct.unpack("<Q", struct.pack("<d", float(text)))[0]
