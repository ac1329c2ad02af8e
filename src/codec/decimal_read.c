/* Decoding: the head once, then block after block: integers, doubles of them, the units
 * of the last place added, the exceptions put over. Exceptions are read as their blocks
 * come, so a reader holds no list. */
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/varint.h"
#include "codec/codec_priv.h"
#include "codec/decimal_priv.h"
#include "codec/kernels.h"

static bool type_ok(enum value_type type)
{
    return type == VALUE_F64 || type == VALUE_I64 || type == VALUE_U64;
}

static status get_extension(struct decimal_reader *rd, struct span *in)
{
    unsigned ext;
    uint64_t len;

    if (!span_byte(&ext, in) || ext & 0x80) return ST_CORRUPT;
    rd->exponent = ext & 15;
    rd->form = (ext >> DECIMAL_FORM_SHIFT) & DECIMAL_FORM_MASK;
    if (rd->form > DECIMAL_RAW) return ST_CORRUPT;
    if (ext & DECIMAL_HAS_EXCEPTIONS) {
        if (!span_varint(&len, in)) return ST_CORRUPT;
        rd->exc = span_take(in, len);
        if (!rd->exc) return ST_CORRUPT;
        rd->exc_end = rd->exc + len;
    }
    return ST_OK;
}

/* Everything before the blocks; *in begins with them after. */
static status get_head(struct decimal_reader *rd, struct int_params p[2],
                       enum value_type type, size_t n, struct span *in)
{
    unsigned nibble, none = 0;
    size_t used;

    if (!type_ok(type) || n < 1 || n > DECIMAL_COLUMN_MAX) return ST_CORRUPT;
    *rd = (struct decimal_reader){.n = n, .form = DECIMAL_INTS};
    TRY(int_params_get(&p[0], &nibble, &used, in->src, in->len));
    (void)span_take(in, used);
    if (type != VALUE_F64) return nibble ? ST_CORRUPT : ST_OK;

    rd->form = DECIMAL_PLAIN;
    rd->exponent = (uint8_t)nibble;
    if (nibble <= DECIMAL_NIBBLE_EXPONENT_MAX) return ST_OK;
    if (nibble != DECIMAL_NIBBLE_EXTENDED) return ST_CORRUPT;
    TRY(get_extension(rd, in));
    if (rd->form != DECIMAL_ULP) return ST_OK;
    TRY(int_params_get(&p[1], &none, &used, in->src, in->len));
    (void)span_take(in, used);
    return none ? ST_CORRUPT : ST_OK;
}

status decimal_open(struct decimal_reader *rd, enum value_type type, size_t n,
                    const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    struct int_params p[2];
    uint64_t main_len;

    TRY(get_head(rd, p, type, n, &in));
    if (rd->form == DECIMAL_ULP) {
        if (!span_varint(&main_len, &in)) return ST_CORRUPT;
        const uint8_t *main = span_take(&in, main_len);
        if (!main) return ST_CORRUPT;
        int_reader_init(&rd->main, &p[0], n, main, (size_t)main_len);
        int_reader_init(&rd->ulp, &p[1], n, in.src, in.len);
    } else {
        int_reader_init(&rd->main, &p[0], n, in.src, in.len);
    }
    return ST_OK;
}

/* ---- exceptions ------------------------------------------------------------------ */

/* One exception's head: where it stands and its kind; *used of its bytes. */
static status peek_exception(size_t *pos, unsigned *kind, size_t *used,
                             const struct decimal_reader *rd)
{
    uint64_t head;

    *used = varint_get(&head, rd->exc, (size_t)(rd->exc_end - rd->exc));
    if (*used == 0) return ST_CORRUPT;
    uint64_t gap = head >> EXC_KIND_BITS;
    if (gap >= rd->n || rd->exc_next + gap >= rd->n) return ST_CORRUPT;
    *pos = rd->exc_next + (size_t)gap;
    *kind = head & ((1u << EXC_KIND_BITS) - 1);
    return ST_OK;
}

/* Those that stand before `end`, to bits[], whose first is value `start` (NULL: only
 * passed over). */
static status apply_exceptions(struct decimal_reader *rd, uint64_t *bits, size_t start,
                               size_t end)
{
    size_t pos, used;
    unsigned kind;

    while (rd->exc < rd->exc_end) {
        TRY(peek_exception(&pos, &kind, &used, rd));
        if (pos >= end) return ST_OK;
        rd->exc += used;
        if (kind == EXC_BITS) {
            if (rd->exc_end - rd->exc < 8) return ST_CORRUPT;
            rd->exc_last = load_u64(rd->exc);
            rd->exc += 8;
        } else if (kind != EXC_AGAIN) {
            rd->exc_last = decimal_special_bits[kind];
        }
        if (bits) bits[pos - start] = rd->exc_last;
        rd->exc_next = pos + 1;
    }
    return ST_OK;
}

/* ---- blocks ---------------------------------------------------------------------- */

/* Makes values of n integers (in v) and ulps, and moves on. */
static status finish_block(struct decimal_reader *rd, uint64_t *v, const uint64_t *ulps,
                           size_t n)
{
    size_t start = rd->at;

    rd->at += n;
    if (n == 0 || rd->form == DECIMAL_INTS) return ST_OK;
    if (rd->form != DECIMAL_RAW) kernels()->to_f64(v, v, n, rd->exponent);
    if (rd->form == DECIMAL_ULP) {
        for (size_t i = 0; i < n; i++) v[i] += ulps[i];
    }
    return rd->exc < rd->exc_end ? apply_exceptions(rd, v, start, rd->at) : ST_OK;
}

status decimal_next(struct decimal_reader *rd, union value *val, size_t *n)
{
    uint64_t ulps[KERNEL_ROOM];
    size_t n_ulps;

    *n = 0;
    if (rd->at == rd->n) return ST_OK;
    TRY(int_reader_next(&rd->main, &val[0].bits, n));
    if (rd->form == DECIMAL_ULP) TRY(int_reader_next(&rd->ulp, ulps, &n_ulps));
    return finish_block(rd, &val[0].bits, ulps, *n);
}

status decimal_skip(struct decimal_reader *rd, size_t n_blocks)
{
    TRY(int_reader_skip(&rd->main, n_blocks));
    if (rd->form == DECIMAL_ULP) TRY(int_reader_skip(&rd->ulp, n_blocks));
    size_t left = (rd->n - rd->at + DECIMAL_BLOCK - 1) / DECIMAL_BLOCK;
    rd->at = n_blocks >= left ? rd->n : rd->at + n_blocks * DECIMAL_BLOCK;
    return apply_exceptions(rd, NULL, 0, rd->at);
}

status decimal_decode(union value *val, enum value_type type, size_t n, const uint8_t *src,
                      size_t len)
{
    union value block[DECIMAL_BLOCK];
    struct decimal_reader rd;
    size_t got;

    TRY(decimal_open(&rd, type, n, src, len));
    for (size_t at = 0; at < n; at += got) {
        /* Kernels write whole vectors: eights of values go straight to their place. */
        bool in_place = n - at >= DECIMAL_BLOCK || (n - at) % 8 == 0;
        TRY(decimal_next(&rd, in_place ? val + at : block, &got));
        if (!in_place) memcpy(val + at, block, got * sizeof(val[0]));
    }
    return ST_OK;
}

/* ---- residuals from elsewhere ---------------------------------------------------- */

status decimal_join_open(struct decimal_reader *rd, enum value_type type, size_t n,
                         size_t *used, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    struct int_params p[2];

    TRY(get_head(rd, p, type, n, &in));
    int_restore_init(&rd->main.restore, &p[0], n);
    if (rd->form == DECIMAL_ULP) int_restore_init(&rd->ulp.restore, &p[1], n);
    *used = len - in.len;
    return ST_OK;
}

size_t decimal_join_streams(const struct decimal_reader *rd)
{
    return rd->form == DECIMAL_ULP ? 2 : 1;
}

size_t decimal_join_wants(const struct decimal_reader *rd, size_t stream)
{
    return int_restore_wants(stream ? &rd->ulp.restore : &rd->main.restore);
}

status decimal_join(struct decimal_reader *rd, union value *val, size_t *n, uint64_t *r0,
                    uint64_t *r1)
{
    *n = int_restore_next(&rd->main.restore, &val[0].bits, r0);
    if (rd->form == DECIMAL_ULP) (void)int_restore_next(&rd->ulp.restore, r1, r1);
    return finish_block(rd, &val[0].bits, r1, *n);
}
