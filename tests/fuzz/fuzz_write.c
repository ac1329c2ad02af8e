/* Remote write, both versions. The first byte says which and whether the series of the
 * body are known already. Checked of what is accepted: rows lie in their series, refused
 * ones are counted, a good row has a name or a known series, histograms hold together, start
 * timestamps follow their rows;
 * and decoding once more with every series learned gives the same rows, so that no short
 * cut for known series reads anything else than the walk does; numbers that were accepted,
 * of either version, written as a request of version 1 are read as the same rows. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/panic.h"
#include "ingest/prom_write.h"
#include "ingest/prom_write2.h"
#include "model/histogram.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/pb_write.h"

enum { KNOWN_MAX = 4096 };
static const ts_time NOW = 1700000000000;

int fuzz_write(const uint8_t *src, size_t len);

struct known {
    struct hash128 raw[KNOWN_MAX];
    size_t n;
};

static bool is_known(void *ctx, struct hash128 raw, uint32_t *ordinal, uint32_t *gen)
{
    const struct known *known = ctx;
    for (size_t i = 0; i < known->n; i++) {
        if (known->raw[i].lo != raw.lo || known->raw[i].hi != raw.hi) continue;
        *ordinal = (uint32_t)i;
        *gen = 1;
        return true;
    }
    return false;
}

static void look_at_metadata(void *ctx, const struct metric_meta *meta)
{
    (void)ctx;
    ASSERT(meta->family.len > 0 && meta->type < N_METRIC_TYPES);
}

static void check_batch(const struct batch *b, const struct decode_report *report)
{
    uint64_t n_refused = 0;
    ASSERT(b->n_rows == report->n_samples && b->n_series == report->n_series);
    for (size_t i = 0; i < b->n_rows; i++) {
        ASSERT(b->row_series[i] < b->n_series);
        const struct batch_series *s = &b->series[b->row_series[i]];
        if (b->result[i] != ST_OK) {
            n_refused++;
            continue;
        }
        ASSERT(s->st == ST_OK);
        ASSERT(s->ordinal != ORDINAL_NONE || batch_name_of(s)->identity.len > 0);
        ASSERT(b->ts[i] >= NOW - 3600000 && b->ts[i] <= NOW + 60000);
        if (s->type == VALUE_HISTOGRAM)
            ASSERT(histogram_check(b->val[i].hist, NULL) == ST_OK);
    }
    ASSERT(b->n_exemplars + report->n_exemplars_refused == report->n_exemplars);
    for (size_t i = 0; i < b->n_exemplars; i++) {
        const struct batch_exemplar *e = &b->exemplars[i];
        ASSERT(e->series < b->n_series && b->series[e->series].st == ST_OK);
        ASSERT(exemplar_packed_valid(e->ex.labels));
        ASSERT(e->ex.ts >= NOW - 3600000 && e->ex.ts <= NOW + 60000);
    }
    for (size_t i = 0; i < b->n_starts; i++) {
        ASSERT(b->starts[i].row < b->n_rows && b->starts[i].start != START_NONE);
        ASSERT(i == 0 || b->starts[i - 1].row < b->starts[i].row);
    }
    ASSERT(n_refused == report->n_refused);
    ASSERT(n_refused == 0 || report->first.st != ST_OK);
}

static void check_same(const struct batch *a, const struct batch *b)
{
    ASSERT(a->n_rows == b->n_rows && a->n_series == b->n_series && a->n_starts == b->n_starts);
    for (size_t i = 0; i < a->n_starts; i++)
        ASSERT(a->starts[i].row == b->starts[i].row && a->starts[i].start == b->starts[i].start);
    for (size_t i = 0; i < a->n_rows; i++) {
        ASSERT(a->row_series[i] == b->row_series[i] && a->ts[i] == b->ts[i]);
        ASSERT(a->result[i] == b->result[i]);
        bool hist = a->series[a->row_series[i]].type == VALUE_HISTOGRAM;
        if (!hist) ASSERT(a->val[i].bits == b->val[i].bits);
    }
}

static void learn(struct known *known, const struct batch *batch)
{
    for (size_t i = 0; i < batch->n_series && known->n < KNOWN_MAX; i++) {
        const struct batch_series *s = &batch->series[i];
        struct hash128 raw = batch_name_of(s)->raw_hash;
        if (s->st == ST_OK && (raw.lo | raw.hi)) known->raw[known->n++] = raw;
    }
}

static void check_same_exemplars(const struct batch *a, const struct batch *b)
{
    ASSERT(a->n_exemplars == b->n_exemplars);
    for (size_t i = 0; i < a->n_exemplars; i++) {
        ASSERT(a->exemplars[i].series == b->exemplars[i].series);
        ASSERT(exemplar_cmp(&a->exemplars[i].ex, &b->exemplars[i].ex) == 0);
    }
}

static bool is_number(const struct batch *b, size_t row)
{
    return b->result[row] == ST_OK && b->series[b->row_series[row]].type == VALUE_F64;
}

/* One message a run of rows of one series. */
static void encode(struct strbuf *out, const struct batch *b)
{
    struct strbuf series, label;
    strbuf_init(&series, 0);
    strbuf_init(&label, 0);
    for (size_t i = 0; i < b->n_rows;) {
        uint32_t idx = b->row_series[i];
        struct labels set = batch_name_of(&b->series[idx])->labels;
        bool any = false;
        for (size_t k = 0; k < set.n; k++) {
            pb_bytes(&label, 1, set.ptr[k].name);
            pb_bytes(&label, 2, set.ptr[k].value);
            pb_message(&series, 1, &label);
        }
        for (; i < b->n_rows && b->row_series[i] == idx; i++) {
            if (!is_number(b, i)) continue;
            pb_sample(&series, bits_f64(b->val[i].bits), b->ts[i]);
            any = true;
        }
        if (any) pb_message(out, 1, &series);
        strbuf_reset(&series);
    }
    strbuf_release(&label);
    strbuf_release(&series);
}

static void check_again(const struct batch *b, const struct decode_env *env)
{
    struct decode_report report;
    struct strbuf body;
    struct batch *again = batch_new(NULL);
    size_t at = 0;
    ASSERT(again);
    strbuf_init(&body, 0);
    encode(&body, b);
    ASSERT(prom_write_decode(again, strbuf_view(&body), env, &report, NULL) == ST_OK);
    for (size_t i = 0; i < b->n_rows; i++) {
        if (!is_number(b, i)) continue;
        ASSERT(at < again->n_rows && is_number(again, at));
        ASSERT(again->ts[at] == b->ts[i] && again->val[at].bits == b->val[i].bits);
        ASSERT(slice_eq(batch_name_of(&again->series[again->row_series[at]])->identity,
                        batch_name_of(&b->series[b->row_series[i]])->identity));
        at++;
    }
    ASSERT(at == again->n_rows);
    strbuf_release(&body);
    batch_free(again);
}

int fuzz_write(const uint8_t *src, size_t len)
{
    struct known known = {.n = 0};
    struct decode_env env = {.limits = &limits_default,
                             .precision = PRECISION_MS,
                             .window = time_window_at(NOW, 3600000, 60000),
                             .now = NOW,
                             .exemplars_max = 100,
                             .metadata = look_at_metadata,
                             .known = is_known,
                             .ctx = &known};
    struct decode_report report;
    if (len == 0) return 0;
    decode_fn *decode = src[0] & 1 ? prom_write2_decode : prom_write_decode;
    struct slice body = slice_of(src + 1, len - 1);
    struct batch *first = batch_new(NULL), *second = batch_new(NULL);
    ASSERT(first && second);
    if (decode(first, body, &env, &report, NULL) == ST_OK) {
        check_batch(first, &report);
        check_again(first, &env);
        learn(&known, first);
        ASSERT(decode(second, body, &env, &report, NULL) == ST_OK);
        check_batch(second, &report);
        check_same(first, second);
        check_same_exemplars(first, second);
    }
    batch_free(first);
    batch_free(second);
    return 0;
}

FUZZ_ENTRY(fuzz_write)
