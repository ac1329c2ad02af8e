/* f64 values by XOR with the value before (Gorilla 4.1.2, in our own bit order).
 *
 * Two neighbours of a gauge share sign, exponent and the upper part of the mantissa,
 * so their XOR is a window of significant bits with zeros on both sides:
 *
 *     1.5  3ff8000000000000
 *     1.75 3ffc000000000000     XOR 0004000000000000: 13 zeros, 1 bit, 50 zeros
 *
 * Each value is one of
 *
 *     0                              the same as before
 *     1 0  window                    the bits of the window used last
 *     1 1  lead:5 len-1:6  window    a new window: lead zeros above, len bits
 *
 * A new window is opened when it does not fit, and also when the old one wastes more
 * bits than naming a new one costs: a single outlier must not widen everything after
 * it. The window before the first is all 64 bits. The first value is 8 bytes, then
 * come the bits. Layout: docs/formats/chunk.md. */
#include "codec/bitio.h"
#include "codec/codec_priv.h"

enum { LEAD_BITS = 5, LEAD_MAX = 31, LEN_BITS = 6, WINDOW_COST = LEAD_BITS + LEN_BITS };

struct window {
    unsigned lead, len; /* zeros above, and significant bits; lead + len <= 64 */
};

static inline unsigned trail_of(struct window w)
{
    return 64 - w.lead - w.len;
}

/* The window for x (not 0): *win when it holds x at no great waste, else the tight one. */
static inline bool choose_window(struct window *win, uint64_t x)
{
    unsigned lead = leading_zeros(x), trail = trailing_zeros(x);
    if (lead > LEAD_MAX) lead = LEAD_MAX;
    unsigned len = 64 - lead - trail;

    if (lead >= win->lead && trail >= trail_of(*win) && win->len <= len + WINDOW_COST) {
        return false;
    }
    *win = (struct window){lead, len};
    return true;
}

size_t gorilla_cost(enum value_type type, const union value *val, size_t n)
{
    struct window win = {0, 64};
    size_t n_bits = 0;

    (void)type;
    for (size_t i = 1; i < n; i++) {
        uint64_t x = val[i].bits ^ val[i - 1].bits;
        n_bits++;
        if (x == 0) continue;
        n_bits += choose_window(&win, x) ? 1 + WINDOW_COST : 1;
        n_bits += win.len;
    }
    return 8 + (n_bits + 7) / 8;
}

size_t gorilla_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    struct window win = {0, 64};
    struct bit_writer w = {.dst = dst + 8};

    (void)type;
    store_u64(dst, val[0].bits);
    for (size_t i = 1; i < n; i++) {
        uint64_t x = val[i].bits ^ val[i - 1].bits;
        if (x == 0) {
            bit_put(&w, 0, 1);
        } else if (choose_window(&win, x)) {
            uint64_t head = 3 | (uint64_t)win.lead << 2 | (uint64_t)(win.len - 1) << 7;
            bit_put(&w, head, 2 + WINDOW_COST);
            bit_put(&w, x >> trail_of(win), win.len);
        } else {
            bit_put(&w, 1, 2);
            bit_put(&w, x >> trail_of(win), win.len);
        }
    }
    return 8 + bit_finish(&w);
}

/* The significant bits of one change whose first bit (1) is in sight; moves past it.
 * One look ahead shows 57 bits, mostly enough for the control bits and the window. */
static inline bool get_change(uint64_t *x, struct window *win, struct bit_reader *r,
                              uint64_t ahead)
{
    unsigned used = 2;

    if (ahead & 2) {
        win->lead = (ahead >> 2) & LEAD_MAX;
        win->len = (unsigned)((ahead >> 7) & 63) + 1;
        if (win->lead + win->len > 64) return false;
        used += WINDOW_COST;
    }
    if (used + win->len <= 57) {
        *x = ((ahead >> used) & ((1ull << win->len) - 1)) << trail_of(*win);
        r->at += used + win->len;
    } else {
        r->at += used;
        *x = bit_get(r, win->len) << trail_of(*win);
    }
    return true;
}

status gorilla_decode(union value *val, size_t n, enum value_type type, struct arena *arena,
                      const uint8_t *src, size_t len)
{
    struct window win = {0, 64};
    uint64_t before, x;

    (void)type;
    (void)arena;
    if (len < 8) return ST_CORRUPT;
    val[0].bits = before = load_u64(src);
    struct bit_reader r = {.src = src + 8, .len = len - 8};
    for (size_t i = 1; i < n;) {
        uint64_t ahead = bit_peek57(&r);
        if (ahead & 1) {
            if (!get_change(&x, &win, &r, ahead)) return ST_CORRUPT;
            before ^= x;
            val[i++].bits = before;
            continue;
        }
        /* A run of 0 bits is a run of equal values. */
        size_t same = trailing_zeros(ahead | 1ull << 56);
        if (same > n - i) same = n - i;
        for (size_t end = i + same; i < end; i++) val[i].bits = before;
        r.at += same;
    }
    return bit_done(&r) ? ST_OK : ST_CORRUPT;
}
