/* Bodies of remote write: version 1.0, where a series carries its labels, and 2.0, where
 * it carries references to the request's symbols; snappy or zstd; the head of HTTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/varint.h"
#include "codec/compress.h"
#include "codec/snappy.h"
#include "ingest/wire.h"
#include "utils/tsink-benchmark/bench.h"

enum { SLOTS_MIN = 1024, LABELS_MAX = 128 };

/* The symbols of a request: texts by hash. */
struct symbol_slot {
    struct slice text;
    uint32_t ref; /* 0: free; the empty symbol is never looked up */
};

struct encoder {
    const struct options *opt;
    struct strbuf raw, symbols; /* series; the symbol fields before them (2.0) */
    struct strbuf body;         /* compressed */
    struct symbol_slot *slots;
    size_t n_slots, n_symbols;
    bool failed;
};

struct encoder *encoder_new(const struct options *opt)
{
    struct encoder *e = calloc(1, sizeof(*e));
    if (!e) return NULL;
    e->opt = opt;
    strbuf_init(&e->raw, 0);
    strbuf_init(&e->symbols, 0);
    strbuf_init(&e->body, 0);
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e) return;
    strbuf_release(&e->raw);
    strbuf_release(&e->symbols);
    strbuf_release(&e->body);
    free(e->slots);
    free(e);
}

void encoder_varint(struct strbuf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(out, bytes, varint_put(bytes, v));
}

/* --- symbols ----------------------------------------------------------------------- */

static struct symbol_slot *find_slot(struct encoder *e, struct slice text)
{
    size_t i = (size_t)hash_slice(text) & (e->n_slots - 1);
    while (e->slots[i].ref && !slice_eq(e->slots[i].text, text)) i = (i + 1) & (e->n_slots - 1);
    return &e->slots[i];
}

static bool grow_slots(struct encoder *e)
{
    struct symbol_slot *old = e->slots;
    size_t n_old = e->n_slots;
    e->n_slots = n_old ? n_old * 2 : SLOTS_MIN;
    e->slots = calloc(e->n_slots, sizeof(*e->slots));
    if (!e->slots) {
        free(old);
        e->n_slots = e->n_symbols = 0;
        e->failed = true;
        return false;
    }
    for (size_t i = 0; i < n_old; i++)
        if (old[i].ref) *find_slot(e, old[i].text) = old[i];
    free(old);
    return true;
}

static uint32_t ref_of(struct encoder *e, struct slice text)
{
    if (text.len == 0) return 0;
    if (2 * (e->n_symbols + 2) > e->n_slots && !grow_slots(e)) return 0;
    struct symbol_slot *slot = find_slot(e, text);
    if (slot->ref == 0) {
        *slot = (struct symbol_slot){text, (uint32_t)++e->n_symbols};
        strbuf_char(&e->symbols, 0x22);
        encoder_varint(&e->symbols, text.len);
        strbuf_slice(&e->symbols, text);
    }
    return slot->ref;
}

/* --- series ------------------------------------------------------------------------ */

void encoder_begin(struct encoder *e)
{
    strbuf_reset(&e->raw);
    strbuf_reset(&e->symbols);
    if (e->slots) memset(e->slots, 0, e->n_slots * sizeof(*e->slots));
    e->n_symbols = 0;
    if (e->opt->version == 2) strbuf_put(&e->symbols, "\x22\0", 2);
}

/* The labels are fields of a TimeSeries of 1.0. */
static size_t put_refs(struct encoder *e, uint8_t *dst, struct slice labels)
{
    struct wire w = wire_of(labels);
    struct wire_field label, text;
    size_t n = 0;
    for (unsigned i = 0; i < LABELS_MAX && wire_next(&label, &w); i++) {
        struct wire in = wire_of(label.bytes);
        while (wire_next(&text, &in)) n += varint_put(dst + n, ref_of(e, text.bytes));
    }
    return n;
}

void encoder_add(struct encoder *e, struct slice labels, double value, int64_t ms)
{
    uint8_t refs[2 * LABELS_MAX * VARINT_MAX], sample[32];
    struct slice head = labels;
    uint64_t ts = (uint64_t)ms;
    bool two = e->opt->version == 2;
    if (two) head = slice_of(refs, put_refs(e, refs, labels));
    sample[0] = 0x12;
    sample[1] = (uint8_t)(10 + varint_len(ts));
    sample[2] = 0x09;
    store_u64(sample + 3, f64_bits(value));
    sample[11] = 0x10;
    size_t sample_len = 12 + varint_put(sample + 12, ts);
    size_t refs_head = two ? 1 + varint_len(head.len) : 0;

    strbuf_char(&e->raw, two ? 0x2a : 0x0a);
    encoder_varint(&e->raw, refs_head + head.len + sample_len);
    if (two) {
        strbuf_char(&e->raw, 0x0a);
        encoder_varint(&e->raw, head.len);
    }
    strbuf_slice(&e->raw, head);
    strbuf_put(&e->raw, sample, sample_len);
}

static bool compress(struct encoder *e, struct slice raw)
{
    bool zstd = e->opt->zstd;
    size_t len = 0;
    strbuf_reset(&e->body);
    if (!strbuf_reserve(&e->body, zstd ? zstd_bound(raw.len) : snappy_block_bound(raw.len)))
        return false;
    if (!zstd) len = snappy_block_encode(e->body.ptr, raw.ptr, raw.len);
    else if (zstd_encode(&len, e->body.ptr, e->body.cap, raw.ptr, raw.len, ZSTD_LEVEL_FAST) !=
             ST_OK)
        return false;
    e->body.len = len;
    return len > 0;
}

bool encoder_end(struct encoder *e, struct strbuf *out, uint64_t *n_raw, uint64_t *n_body)
{
    const struct options *opt = e->opt;
    struct slice raw = strbuf_view(&e->raw);
    if (opt->version == 2) {
        strbuf_slice(&e->symbols, raw);
        raw = strbuf_view(&e->symbols);
    }
    if (e->failed || e->raw.failed || e->symbols.failed || !compress(e, raw)) return false;
    *n_raw += raw.len;
    *n_body += e->body.len;
    strbuf_printf(out,
                  "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tsink-benchmark\r\n"
                  "Content-Type: application/x-protobuf%s\r\nContent-Encoding: %s\r\n"
                  "X-Prometheus-Remote-Write-Version: %s\r\nContent-Length: %zu\r\n\r\n",
                  opt->path, opt->host,
                  opt->version == 2 ? ";proto=io.prometheus.write.v2.Request" : "",
                  opt->zstd ? "zstd" : "snappy", opt->version == 2 ? "2.0.0" : "0.1.0",
                  e->body.len);
    strbuf_slice(out, strbuf_view(&e->body));
    return !out->failed;
}
