/* Requests encoded beforehand.
 *
 * A round is one sample of every series. A connection owns an equal part of the series and
 * cuts it into batches: bodies of remote write, or pipelines of commands. Round 0 makes the
 * series (with its first sample where the protocol makes series by writing); the later
 * rounds are the run. Rounds are encoded until there are enough for opt->requests, or until
 * opt->memory_mb is full when the run goes by time.
 *
 * Values are a slow random walk of hundredths around the series' number: neither constant
 * nor noise, as gauges are. Timestamps end a little before now, so that no sample is in the
 * future of the server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/snappy.h"
#include "utils/tsink-benchmark/bench.h"

enum {
    LABELS_TEXT_MAX = 4096,
    ROUND_MARGIN_MS = 60000, /* of the last sample to the present */
    SPAN_DAYS_MAX = 12,      /* of all rounds: inside the default retention of 14 days */
};

struct encoder {
    const struct options *opt;
    struct strbuf raw;      /* a protobuf message before compression */
    uint64_t first, count;  /* series of the connection */
    int64_t start_ms;       /* of round 0 */
};

/* --- protobuf ---------------------------------------------------------------------- */

static void put_varint(struct strbuf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) strbuf_char(out, (char)(v | 0x80));
    strbuf_char(out, (char)v);
}

static size_t varint_len(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7) n++;
    return n;
}

/* A Label inside a TimeSeries; name and value are shorter than 128 bytes. */
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

/* The labels of a series, sorted by name: the shape of a scraped target's. */
static size_t put_labels(char *dst, const struct options *opt, uint64_t series)
{
    char name[32], value[64];
    size_t at = 0;
    snprintf(value, sizeof(value), "bench_metric_%llu_total", (unsigned long long)(series % 100));
    at += put_label(dst + at, "__name__", value);
    for (uint64_t i = 1; i + 1 < opt->labels; i++) {
        snprintf(name, sizeof(name), "label_%02llu", (unsigned long long)i);
        snprintf(value, sizeof(value), "value-%llu-%llu", (unsigned long long)i,
                 (unsigned long long)(i == 1 ? series : series / (i * 10)));
        at += put_label(dst + at, name, value);
    }
    if (opt->labels > 1) {
        snprintf(value, sizeof(value), "%.40s-%llu", opt->run, (unsigned long long)series);
        at += put_label(dst + at, "run", value);
    }
    return at;
}

static double value_of(uint64_t series, uint64_t round)
{
    uint64_t x = (series * 0x9e3779b97f4a7c15u) ^ (round / 4 * 0xbf58476d1ce4e5b9u);
    x ^= x >> 29;
    return (double)(series % 1000) + (double)round + (double)(x % 100) / 100;
}

static void put_series(struct encoder *e, uint64_t series, uint64_t round)
{
    char labels[LABELS_TEXT_MAX], sample[32];
    size_t n = put_labels(labels, e->opt, series);
    double value = value_of(series, round);
    uint64_t ts = (uint64_t)(e->start_ms + (int64_t)(round * e->opt->step_ms));
    sample[0] = 0x12;
    sample[1] = (char)(10 + varint_len(ts));
    sample[2] = 0x09;
    store_u64(sample + 3, f64_bits(value));
    sample[11] = 0x10;

    put_varint(&e->raw, 0x0a);
    put_varint(&e->raw, n + 12 + varint_len(ts));
    strbuf_put(&e->raw, labels, n);
    strbuf_put(&e->raw, sample, 12);
    put_varint(&e->raw, ts);
}

/* --- batches ----------------------------------------------------------------------- */

static bool add_batch(struct batches *b, size_t off, uint64_t replies, uint64_t samples)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        struct batch *list = realloc(b->list, cap * sizeof(*list));
        if (!list) return false;
        b->list = list;
        b->cap = cap;
    }
    b->list[b->n++] = (struct batch){.off = off, .len = b->bytes.len - off,
                                     .replies = (uint32_t)replies, .samples = (uint32_t)samples};
    return !b->bytes.failed;
}

static bool add_write(struct batches *b, struct encoder *e, uint64_t from, uint64_t n,
                      uint64_t round)
{
    size_t off = b->bytes.len;
    strbuf_reset(&e->raw);
    for (uint64_t i = 0; i < n; i++) put_series(e, from + i, round);
    if (e->raw.failed) return false;

    size_t bound = snappy_block_bound(e->raw.len);
    char *body = malloc(bound);
    if (!body) return false;
    size_t len = snappy_block_encode(body, e->raw.ptr, e->raw.len);
    strbuf_printf(&b->bytes,
                  "POST /api/v1/write HTTP/1.1\r\nHost: %s\r\nUser-Agent: tsink-benchmark\r\n"
                  "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
                  "X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: %zu\r\n\r\n",
                  e->opt->host, len);
    strbuf_put(&b->bytes, body, len);
    free(body);
    return add_batch(b, off, 1, n);
}

static void put_arg(struct strbuf *out, const char *text)
{
    strbuf_printf(out, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void put_key(struct strbuf *out, const struct options *opt, uint64_t series)
{
    char key[BENCH_TEXT_MAX + 32];
    snprintf(key, sizeof(key), "bench:%s:%llu", opt->run, (unsigned long long)series);
    put_arg(out, key);
}

static void put_point(struct strbuf *out, const struct encoder *e, uint64_t series, uint64_t round)
{
    char text[64];
    put_key(out, e->opt, series);
    snprintf(text, sizeof(text), "%lld",
             (long long)(e->start_ms + (int64_t)(round * e->opt->step_ms)));
    put_arg(out, text);
    snprintf(text, sizeof(text), "%.2f", value_of(series, round));
    put_arg(out, text);
}

static void put_create(struct strbuf *out, const struct encoder *e, uint64_t series)
{
    char name[32], value[64];
    uint64_t labels = e->opt->labels - 1;
    strbuf_printf(out, "*%llu\r\n", (unsigned long long)(2 + (labels ? 1 + 2 * labels : 0)));
    put_arg(out, "TS.CREATE");
    put_key(out, e->opt, series);
    if (labels) put_arg(out, "LABELS");
    for (uint64_t i = 1; i <= labels; i++) {
        snprintf(name, sizeof(name), "label_%02llu", (unsigned long long)i);
        snprintf(value, sizeof(value), "value-%llu-%llu", (unsigned long long)i,
                 (unsigned long long)(i == 1 ? series : series / (i * 10)));
        put_arg(out, name);
        put_arg(out, value);
    }
}

/* Commands for series [from, from + n); n is the whole of a connection's round. */
static bool add_commands(struct batches *b, struct encoder *e, uint64_t round)
{
    bool madd = e->opt->mode == BENCH_MADD && round > 0;
    uint64_t per_command = madd ? e->opt->per_request : 1, done = 0;
    while (done < e->count) {
        size_t off = b->bytes.len;
        uint64_t commands = 0, samples = 0;
        for (; commands < e->opt->pipeline && done < e->count; commands++) {
            uint64_t n = e->count - done < per_command ? e->count - done : per_command;
            if (round == 0) {
                put_create(&b->bytes, e, e->first + done);
            } else {
                strbuf_printf(&b->bytes, "*%llu\r\n", (unsigned long long)(1 + 3 * n));
                put_arg(&b->bytes, madd ? "TS.MADD" : "TS.ADD");
                for (uint64_t i = 0; i < n; i++)
                    put_point(&b->bytes, e, e->first + done + i, round);
                samples += n;
            }
            done += n;
        }
        if (!add_batch(b, off, commands, samples)) return false;
    }
    return true;
}

static bool add_round(struct batches *b, struct encoder *e, uint64_t round)
{
    if (e->opt->mode != BENCH_WRITE) return add_commands(b, e, round);
    for (uint64_t done = 0; done < e->count;) {
        uint64_t left = e->count - done;
        uint64_t n = left < e->opt->per_request ? left : e->opt->per_request;
        if (!add_write(b, e, e->first + done, n, round)) return false;
        done += n;
    }
    return true;
}

static bool add_pings(struct batches *b, const struct options *opt)
{
    for (uint64_t i = 0; i < opt->pipeline; i++) strbuf_str(&b->bytes, "*1\r\n$4\r\nPING\r\n");
    return add_batch(b, 0, opt->pipeline, 0);
}

/* Rounds that the run needs by opt->requests; by time, as many as memory takes. */
static uint64_t rounds_wanted(const struct options *opt)
{
    if (opt->requests == 0) return UINT64_MAX;
    uint64_t part = (opt->series + opt->connections - 1) / opt->connections;
    uint64_t per_batch = opt->mode == BENCH_ADD ? opt->pipeline : opt->per_request * opt->pipeline;
    uint64_t batches = (part + per_batch - 1) / per_batch * opt->connections;
    return (opt->requests + batches - 1) / batches;
}

/* Timestamps are given when all rounds are counted, so the first rounds decide how many
 * there will be: bytes of a round against the memory allowed. */
static bool make_connection(struct batches *b, struct encoder *e, int64_t now_ms)
{
    uint64_t memory = (e->opt->memory_mb << 20) / e->opt->connections;
    uint64_t rounds = rounds_wanted(e->opt);
    e->start_ms = now_ms;
    if (!add_round(b, e, 0)) return false;
    b->n_create = b->n;

    size_t before = b->bytes.len, n_before = b->n;
    if (!add_round(b, e, 1)) return false;
    size_t round_bytes = b->bytes.len - before;
    b->bytes.len = before;
    b->n = n_before;
    uint64_t fit = round_bytes ? memory / round_bytes : 1;
    if (rounds > fit) rounds = fit ? fit : 1;
    uint64_t span_max = SPAN_DAYS_MAX * UINT64_C(86400000) / e->opt->step_ms;
    if (rounds > span_max) rounds = span_max;

    /* Round 0 again, now that its time is known. */
    e->start_ms = now_ms - ROUND_MARGIN_MS - (int64_t)(rounds * e->opt->step_ms);
    b->bytes.len = 0;
    b->n = 0;
    for (uint64_t round = 0; round <= rounds; round++)
        if (!add_round(b, e, round)) return false;
    return true;
}

bool batches_make(struct batches *all, const struct options *opt, int64_t now_ms)
{
    struct encoder e = {.opt = opt};
    bool good = true;
    strbuf_init(&e.raw, 0);
    for (uint64_t c = 0; c < opt->connections && good; c++) {
        all[c] = (struct batches){.n = 0};
        strbuf_init(&all[c].bytes, 0);
        e.first = opt->series * c / opt->connections;
        e.count = opt->series * (c + 1) / opt->connections - e.first;
        good = opt->mode == BENCH_PING ? add_pings(&all[c], opt)
                                       : make_connection(&all[c], &e, now_ms);
    }
    strbuf_release(&e.raw);
    return good;
}

void batches_release(struct batches *b)
{
    strbuf_release(&b->bytes);
    free(b->list);
}
