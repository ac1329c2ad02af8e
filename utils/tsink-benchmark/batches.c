/* Requests encoded beforehand.
 *
 * A round is one sample of every series. A connection owns an equal part of the series and
 * cuts it into batches: bodies of remote write, or pipelines of commands. Round 0 makes the
 * series (with its first sample where the protocol makes series by writing); the later
 * rounds are the run. Rounds are encoded until there are enough for opt->requests, or until
 * opt->memory_mb is full when the run goes by time.
 *
 * Labels and values are series.c's, bodies encode.c's. Timestamps end a little before now,
 * so that no sample is in the future of the server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "utils/tsink-benchmark/bench.h"

enum {
    ROUND_MARGIN_MS = 60000, /* of the last sample to the present */
    SPAN_DAYS_MAX = 12,      /* of all rounds: inside the default retention of 14 days */
};

struct maker {
    const struct options *opt;
    struct series_set *set;
    struct encoder *encoder;
    uint64_t first, count;  /* series of the connection */
    int64_t start_ms;       /* of round 0 */
};

/* Series of one target were scraped together: they have one time. */
static int64_t time_of(const struct maker *m, uint64_t series, uint64_t round)
{
    int64_t ms = m->start_ms + (int64_t)(round * m->opt->step_ms);
    int64_t jitter = (int64_t)m->opt->jitter_ms;
    if (jitter == 0) return ms;
    uint64_t chance = hash_mix(hash_mix(m->opt->seed + series / m->opt->metrics) + round);
    return ms - jitter + (int64_t)(chance % (uint64_t)(2 * jitter + 1));
}

/* --- batches ----------------------------------------------------------------------- */

bool batches_add(struct batches *b, size_t off, uint64_t replies, uint64_t samples)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        struct parcel *list = realloc(b->list, cap * sizeof(*list));
        if (!list) return false;
        b->list = list;
        b->cap = cap;
    }
    b->list[b->n++] = (struct parcel){.off = off, .len = b->bytes.len - off,
                                     .replies = (uint32_t)replies, .samples = (uint32_t)samples};
    return !b->bytes.failed;
}

static bool add_write(struct batches *b, struct maker *m, uint64_t from, uint64_t n,
                      uint64_t round)
{
    size_t off = b->bytes.len;
    encoder_begin(m->encoder);
    for (uint64_t i = from; i < from + n; i++)
        encoder_add(m->encoder, series_labels(m->set, i), series_value(m->set, i, round),
                    time_of(m, i, round));
    return encoder_end(m->encoder, &b->bytes, &b->n_raw, &b->n_body) && batches_add(b, off, 1, n);
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

static void put_point(struct strbuf *out, const struct maker *e, uint64_t series, uint64_t round)
{
    char text[64];
    put_key(out, e->opt, series);
    snprintf(text, sizeof(text), "%lld",
             (long long)time_of(e, series, round));
    put_arg(out, text);
    snprintf(text, sizeof(text), "%.2f", series_value(e->set, series, round));
    put_arg(out, text);
}

static void put_create(struct strbuf *out, const struct maker *e, uint64_t series)
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
static bool add_commands(struct batches *b, struct maker *e, uint64_t round)
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
        if (!batches_add(b, off, commands, samples)) return false;
    }
    return true;
}

static bool add_round(struct batches *b, struct maker *e, uint64_t round)
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
    return batches_add(b, 0, opt->pipeline, 0);
}

/* Rounds that the run needs by opt->requests; by time, as many as memory takes. */
static uint64_t rounds_wanted(const struct options *opt)
{
    if (opt->rounds) return opt->rounds;
    if (opt->requests == 0) return UINT64_MAX;
    uint64_t part = (opt->series + opt->connections - 1) / opt->connections;
    uint64_t per_batch = opt->mode == BENCH_ADD ? opt->pipeline : opt->per_request * opt->pipeline;
    uint64_t batches = (part + per_batch - 1) / per_batch * opt->connections;
    return (opt->requests + batches - 1) / batches;
}

/* As many rounds as memory takes, by the bytes of one: of round 1, which is taken back. */
static bool fit_rounds(uint64_t *rounds, struct batches *b, struct maker *m)
{
    uint64_t memory = (m->opt->memory_mb << 20) / m->opt->connections;
    size_t before = b->bytes.len;
    if (!add_round(b, m, 1)) return false;
    size_t round_bytes = b->bytes.len - before;
    uint64_t fit = round_bytes ? memory / round_bytes : 1;
    if (*rounds > fit) *rounds = fit ? fit : 1;
    return true;
}

/* Timestamps are given when all rounds are counted, so round 0 is made once to see how
 * many batches it has. */
static bool make_connection(struct batches *b, struct maker *m, int64_t now_ms)
{
    uint64_t rounds = rounds_wanted(m->opt);
    m->start_ms = now_ms;
    if (!add_round(b, m, 0)) return false;
    b->n_create = b->n;
    if (!m->opt->rounds && !fit_rounds(&rounds, b, m)) return false;
    uint64_t span_max = SPAN_DAYS_MAX * UINT64_C(86400000) / m->opt->step_ms;
    if (rounds > span_max) rounds = span_max;

    int64_t end_ms = m->opt->end_ms ? (int64_t)m->opt->end_ms : now_ms - ROUND_MARGIN_MS;
    m->start_ms = end_ms - (int64_t)(rounds * m->opt->step_ms);
    b->bytes.len = 0;
    b->n = b->n_raw = b->n_body = 0;
    for (uint64_t round = 0; round <= rounds; round++)
        if (!add_round(b, m, round)) return false;
    return true;
}

bool batches_make(struct batches *all, const struct options *opt, int64_t now_ms)
{
    struct maker e = {.opt = opt};
    e.set = series_set_new(opt);
    e.encoder = encoder_new(opt);
    bool good = e.set && e.encoder;
    for (uint64_t c = 0; c < opt->connections && good; c++) {
        all[c] = (struct batches){.n = 0};
        strbuf_init(&all[c].bytes, 0);
        e.first = opt->series * c / opt->connections;
        e.count = opt->series * (c + 1) / opt->connections - e.first;
        good = opt->mode == BENCH_PING ? add_pings(&all[c], opt)
                                       : make_connection(&all[c], &e, now_ms);
    }
    series_set_free(e.set);
    encoder_free(e.encoder);
    return good;
}

void batches_release(struct batches *b)
{
    strbuf_release(&b->bytes);
    free(b->list);
}
