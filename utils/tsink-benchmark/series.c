/* The series of a run: their labels, encoded once, and their values, by seed.
 *
 * A hundred metrics a target, as a scrape of a container has them: eight labels are the
 * target's, the metric's name varies. The pod's name is padded so that one sample of a
 * series takes 252 bytes of remote write 1.0, which is what nine labels of a Kubernetes
 * target come to; snappy leaves about 22 of them.
 *
 * Values of set C are of ten kinds (set_kinds), each series one of them for ever; they
 * are made round by round from the state of the round before. All other runs have a slow
 * walk of hundredths, neither constant nor noise.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "utils/tsink-benchmark/bench.h"

enum {
    SAMPLE_BYTES = 252,    /* of remote write 1.0, with the heads of TimeSeries and Sample */
    HEADS = 3 + 18,
    LABELS_TEXT_MAX = 8192,
};

/* Set C: how many of a hundred series are of each kind. */
enum kind { CONSTANT, IDLE, EVENTS, BYTES, CENTISECONDS, PAGES, HUNDREDTHS, ADDED, NOISE, SMALL };
static const uint8_t set_kinds[] = {
    [CONSTANT] = 30, [IDLE] = 15,       [EVENTS] = 10, [BYTES] = 8, [CENTISECONDS] = 12,
    [PAGES] = 10,    [HUNDREDTHS] = 8,  [ADDED] = 3,   [NOISE] = 2, [SMALL] = 2};

struct series_state {
    uint64_t rng;
    int64_t n;
    double v;
};

struct series_set {
    const struct options *opt;
    struct strbuf labels;     /* of all, one after the other: fields of a TimeSeries */
    size_t *off;              /* n + 1 */
    struct series_state *state; /* set C */
};

/* --- labels ------------------------------------------------------------------------ */

/* A Label inside a TimeSeries; name and value are shorter than 128 bytes together. */
static size_t put_label(char *dst, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value), at = 0;
    dst[at++] = 0x0a;
    dst[at++] = (char)(n + v + 4);
    dst[at++] = 0x0a;
    dst[at++] = (char)n;
    memcpy(dst + at, name, n);
    at += n;
    dst[at++] = 0x12;
    dst[at++] = (char)v;
    memcpy(dst + at, value, v);
    return at + v;
}

static void value_text(char value[64], const struct options *opt, unsigned label, uint64_t series)
{
    unsigned long long target = series / opt->metrics;
    unsigned long long h = hash_mix(target ^ hash_mix(opt->seed + 1));
    switch (label) {
    case 0:
        snprintf(value, 64, "bench_container_%02u_seconds_total",
                 (unsigned)(series % opt->metrics));
        break;
    case 1: snprintf(value, 64, "%.24s", opt->run); break;
    case 2: snprintf(value, 64, "app-%02llu", h % 97); break;
    case 3: snprintf(value, 64, "http-metrics"); break;
    case 4: snprintf(value, 64, "10.%llu.%llu.%llu:9100", target >> 16 & 255, target >> 8 & 255,
                     target & 255);
        break;
    case 5: snprintf(value, 64, "kubernetes-pods"); break;
    case 6: snprintf(value, 64, "team-%02llu", h / 97 % 31); break;
    case 7: snprintf(value, 64, "app-%02llu-%08llx", h % 97, h >> 32); break;
    case 8: snprintf(value, 64, "eu-west-%llu%c", 1 + h / 7 % 3, (char)('a' + h / 11 % 3)); break;
    default: snprintf(value, 64, "value-%llu", h / label % 50); break;
    }
}

static size_t put_labels(char *dst, const struct options *opt, uint64_t series)
{
    static const char *const names[] = {"__name__", "cluster", "container", "endpoint", "instance",
                                        "job",      "namespace", "pod",     "zone"};
    static const char filler[] = "x7q2m9k4w8r3t6y1p5s0d8f2g7h4j9l3z6c1v5b8n2";
    char name[32], value[64 + sizeof(filler)];
    size_t at = 0, n_names = sizeof(names) / sizeof(names[0]);
    size_t pad = 0, rest = 0;
    for (unsigned i = 0; i < opt->labels; i++) {
        if (i == 7 && opt->labels == n_names) { /* what the other labels leave free */
            value_text(value, opt, 8, series);
            rest = HEADS + at + 6 + strlen(names[8]) + strlen(value) + 6 + strlen(names[7]);
        }
        value_text(value, opt, i, series);
        if (i == 7 && rest && rest + strlen(value) + 1 < SAMPLE_BYTES) {
            pad = SAMPLE_BYTES - rest - strlen(value) - 1;
            if (pad > sizeof(filler) - 1) pad = sizeof(filler) - 1;
            size_t len = strlen(value);
            snprintf(value + len, sizeof(value) - len, "-%.*s", (int)pad,
                     filler + (series / opt->metrics) % (sizeof(filler) - pad));
        }
        if (i < n_names) snprintf(name, sizeof(name), "%s", names[i]);
        else snprintf(name, sizeof(name), "zz_label_%02u", i); /* behind zone: sorted */
        at += put_label(dst + at, name, value);
    }
    return at;
}

/* --- the set ----------------------------------------------------------------------- */

struct series_set *series_set_new(const struct options *opt)
{
    struct series_set *set = calloc(1, sizeof(*set));
    char text[LABELS_TEXT_MAX];
    if (!set) return NULL;
    set->opt = opt;
    strbuf_init(&set->labels, 0);
    set->off = calloc(opt->series + 1, sizeof(*set->off));
    if (opt->set == 'c') set->state = calloc(opt->series, sizeof(*set->state));
    if (!set->off || (opt->set == 'c' && !set->state)) goto fail;
    for (uint64_t i = 0; i < opt->series; i++) {
        strbuf_put(&set->labels, text, put_labels(text, opt, i));
        set->off[i + 1] = set->labels.len;
    }
    if (!set->labels.failed) return set;
fail:
    series_set_free(set);
    return NULL;
}

void series_set_free(struct series_set *set)
{
    if (!set) return;
    strbuf_release(&set->labels);
    free(set->off);
    free(set->state);
    free(set);
}

struct slice series_labels(const struct series_set *set, uint64_t series)
{
    return slice_of(set->labels.ptr + set->off[series], set->off[series + 1] - set->off[series]);
}

/* --- values ------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *rng)
{
    return hash_mix(*rng += UINT64_C(0x9e3779b97f4a7c15));
}

static enum kind kind_of(uint64_t series)
{
    unsigned at = (unsigned)(series * 37 % 100), kind = 0;
    while (at >= set_kinds[kind]) at -= set_kinds[kind++];
    return (enum kind)kind;
}

static void begin(struct series_state *s, enum kind kind, uint64_t series, uint64_t seed)
{
    static const double constants[] = {0, 1, 1, 0, 42, 1700000000, 16777216000, 0.75};
    s->rng = hash_mix(series ^ hash_mix(seed));
    uint64_t r = next_random(&s->rng);
    s->n = (int64_t)(r % 100000);
    s->v = kind == CONSTANT ? constants[r % 8] : (double)s->n;
}

static double step(struct series_state *s, enum kind kind)
{
    uint64_t r = next_random(&s->rng);
    switch (kind) {
    case CONSTANT: return s->v;
    case IDLE: return (double)(s->n += r % 100 == 0 ? (int64_t)(r >> 8) % 3 + 1 : 0);
    case EVENTS: return (double)(s->n += (int64_t)(r % 20));
    case BYTES: return (double)(s->n += (int64_t)(r % 400) * 1448 + (int64_t)(r >> 20) % 1448);
    case CENTISECONDS: return (double)(s->n += (int64_t)(r % 1500)) / 100;
    case PAGES: return (double)(s->n += r % 5 < 2 ? 0 : (int64_t)(r >> 8) % 65 - 32) * 4096;
    case HUNDREDTHS: return (double)(s->n += (int64_t)(r % 21) - 10) / 100;
    case ADDED: return s->v += (double)(r % 1000) / 7000;
    case NOISE: return (double)(r >> 11) / 9007199254740992.0;
    case SMALL: return (double)(s->n = r % 5 ? s->n % 10 : (int64_t)(r >> 8) % 10);
    }
    return 0;
}

double series_value(struct series_set *set, uint64_t series, uint64_t round)
{
    if (!set->state) {
        uint64_t x = (series * 0x9e3779b97f4a7c15u) ^ (round / 4 * 0xbf58476d1ce4e5b9u);
        x ^= x >> 29;
        return (double)(series % 1000) + (double)round + (double)(x % 100) / 100;
    }
    struct series_state *s = &set->state[series];
    enum kind kind = kind_of(series);
    if (round == 0) begin(s, kind, series, set->opt->seed);
    return step(s, kind);
}
