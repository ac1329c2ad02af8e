/* The way back: parameters, then block after block. A block's sums begin where those
 * before it ended, so the reader carries the last value and the last difference. */
#include <string.h>

#include "base/bits.h"
#include "base/varint.h"
#include "codec/codec_priv.h"
#include "codec/int_column.h"
#include "codec/kernels.h"
#include "codec/pfor.h"

enum { FORM_MASK = 7, FACTOR_FLAG = 8, SHIFT_MASK = 63, ODD_FLAG = 64 };

static bool get_factor(uint64_t *out, struct span *in)
{
    unsigned head;
    uint64_t odd = 1;

    if (!span_byte(&head, in) || head > (SHIFT_MASK | ODD_FLAG)) return false;
    if (head & ODD_FLAG) {
        if (!span_varint(&odd, in)) return false;
    }
    *out = odd << (head & SHIFT_MASK);
    return *out != 0;
}

status int_params_get(struct int_params *out, unsigned *extra, size_t *used,
                      const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    unsigned head;
    int64_t first, step = 0;
    uint64_t factor = 1;

    if (!span_byte(&head, &in)) return ST_CORRUPT;
    unsigned form = head & FORM_MASK;
    if (form > INT_RAMP) return ST_CORRUPT;
    if ((head & FACTOR_FLAG) && !get_factor(&factor, &in)) return ST_CORRUPT;
    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    if (form >= INT_DELTA_LEAST && !span_svarint(&step, &in)) return ST_CORRUPT;
    *out = (struct int_params){
        .form = (enum int_form)form,
        .factor = factor,
        .first = (uint64_t)first,
        .step = (uint64_t)step,
    };
    *extra = head >> 4;
    *used = len - in.len;
    return ST_OK;
}

/* ---- restoring ------------------------------------------------------------------- */

void int_restore_init(struct int_restore *st, const struct int_params *params, size_t n)
{
    *st = (struct int_restore){.params = *params, .n = n, .last = params->first};
    if (params->form == INT_DELTA2 || params->form == INT_RAMP) {
        /* The first value is then one step further, like all others. */
        st->last -= params->factor * params->step;
        st->last_delta = params->step;
    }
}

size_t int_restore_values(const struct int_restore *st)
{
    size_t left = st->n - st->at;
    return left < INT_BLOCK ? left : INT_BLOCK;
}

/* Values of this block without a residual. */
static size_t lead(const struct int_restore *st)
{
    size_t n = int_restore_values(st);
    if (st->params.form == INT_RAMP) return n;
    return st->at ? 0 : int_form_skip(st->params.form, n);
}

size_t int_restore_wants(const struct int_restore *st)
{
    return int_restore_values(st) - lead(st);
}

/* What stands for the residuals that are not there: no step from what was before. */
static void fill_lead(uint64_t *r, const struct int_restore *st, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        r[i] = st->params.form == INT_DELTA_LEAST ? 0 - st->params.step : 0;
    }
}

static void ramp(uint64_t *v, struct int_restore *st, size_t n)
{
    uint64_t step = st->params.factor * st->params.step;
    for (size_t i = 0; i < n; i++) {
        st->last += step;
        v[i] = st->last;
    }
}

/* The block from residuals that begin after the lead. */
static size_t restore(struct int_restore *st, uint64_t *v, uint64_t *r)
{
    const struct int_params *p = &st->params;
    const struct kernels *k = kernels();
    size_t n = int_restore_values(st);

    if (n == 0) return 0;
    if (p->form != INT_RAMP) fill_lead(r, st, lead(st));
    switch (p->form) {
    case INT_FOR:
        k->undo_for(v, r, n, p->factor, p->first);
        break;
    case INT_DELTA:
        st->last = k->undo_delta(v, r, n, p->factor, st->last);
        break;
    case INT_DELTA_LEAST:
        st->last = k->undo_least(v, r, n, p->factor, st->last, p->step);
        break;
    case INT_DELTA2:
        k->undo_delta2(v, r, n, p->factor, &st->last, &st->last_delta);
        break;
    case INT_RAMP:
        ramp(v, st, n);
        break;
    }
    st->at += n;
    return n;
}

size_t int_restore_next(struct int_restore *st, uint64_t *v, uint64_t *r)
{
    size_t before = lead(st);
    if (before && before < INT_BLOCK) {
        memmove(r + before, r, int_restore_wants(st) * sizeof(r[0]));
    }
    return restore(st, v, r);
}

/* ---- reading --------------------------------------------------------------------- */

void int_reader_init(struct int_reader *rd, const struct int_params *params, size_t n,
                     const uint8_t *src, size_t len)
{
    int_restore_init(&rd->restore, params, n);
    rd->at = src;
    rd->end = src + len;
}

status int_reader_open(struct int_reader *rd, unsigned *extra, size_t n, const uint8_t *src,
                       size_t len)
{
    struct int_params params;
    unsigned nibble;
    size_t used;

    if (n < 1 || n > INT_COLUMN_MAX) return ST_CORRUPT;
    TRY(int_params_get(&params, &nibble, &used, src, len));
    if (extra) {
        *extra = nibble;
    } else if (nibble) {
        return ST_CORRUPT;
    }
    int_reader_init(rd, &params, n, src + used, len - used);
    return ST_OK;
}

static status check_end(const struct int_reader *rd)
{
    return rd->restore.at == rd->restore.n && rd->at != rd->end ? ST_CORRUPT : ST_OK;
}

status int_reader_next(struct int_reader *rd, uint64_t *v, size_t *n)
{
    struct int_restore *st = &rd->restore;
    size_t want = int_restore_wants(st);
    uint64_t r[KERNEL_ROOM];

    *n = 0;
    if (want) TRY(pfor_decode(r + lead(st), want, &rd->at, rd->end));
    *n = restore(st, v, r);
    return check_end(rd);
}

static status skip_one(struct int_reader *rd)
{
    struct int_restore *st = &rd->restore;
    uint64_t v[KERNEL_ROOM];
    size_t n = int_restore_values(st);

    if (st->params.form == INT_FOR) {
        TRY(pfor_skip(int_restore_wants(st), &rd->at, rd->end));
        st->at += n;
        return check_end(rd);
    }
    return int_reader_next(rd, v, &n);
}

status int_reader_skip(struct int_reader *rd, size_t n_blocks)
{
    struct int_restore *st = &rd->restore;

    if (st->params.form == INT_RAMP) {
        size_t left = st->n - st->at;
        size_t past = n_blocks > left / INT_BLOCK ? left : n_blocks * INT_BLOCK;
        st->last += st->params.factor * st->params.step * past;
        st->at += past;
        return check_end(rd);
    }
    for (; n_blocks > 0 && st->at < st->n; n_blocks--) TRY(skip_one(rd));
    return ST_OK;
}

status int_column_decode(uint64_t *v, size_t n, const uint8_t *src, size_t len)
{
    uint64_t block[KERNEL_ROOM];
    struct int_reader rd;
    size_t got;

    TRY(int_reader_open(&rd, NULL, n, src, len));
    for (size_t at = 0; at < n; at += got) {
        bool whole = n - at >= INT_BLOCK;
        TRY(int_reader_next(&rd, whole ? v + at : block, &got));
        if (!whole) memcpy(v + at, block, got * sizeof(v[0]));
    }
    return ST_OK;
}
