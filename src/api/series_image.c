/* Series as values. See series_image.h. */
#include "api/series_image.h"

#include <string.h>

#include "api/ts_key.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/varint.h"
#include "engine/view.h"
#include "engine/wal_payload.h"

enum { IMAGE_VERSION = 1, TAIL_LEN = 10, LABELS_MAX = 4096 };
static const char magic[] = "TSDI";

/* What a copy has of them: rules stay with the series that they were made for. */
static struct series_attrs without_rule(const struct series_attrs *attrs)
{
    struct series_attrs out = *attrs;
    out.rule_agg = 0;
    out.rule_source = 0;
    out.rule_bucket_ms = out.rule_align_ms = 0;
    out.rule_since = 0;
    return out;
}

/* --- reading ---------------------------------------------------------------------------- */

static status take_labels(struct series_image *out, struct query_work *work, uint32_t ordinal)
{
    const struct app_settings *set = app_settings(work->app);
    struct labels now = registry_labels(db_registry(work->app->db), ordinal, &work->arena);
    if (now.n && !now.ptr) return ST_NO_MEMORY;
    struct labels all = labels_copy(&work->arena, now);
    out->labels = arena_try_array(&work->arena, all.n + 1, sizeof(*out->labels));
    if ((all.n && !all.ptr) || !out->labels) return ST_NO_MEMORY;
    bool keyed = labels_get(all, SLICE_LIT(LABEL_KEY)).len > 0;
    for (size_t i = 0; i < all.n; i++)
        if (!keyed || !ts_label_is_hidden(set, all, all.ptr[i].name))
            out->labels[out->n_labels++] = all.ptr[i];
    return ST_OK;
}

static status take_series(struct series_image *out, struct query_work *work, uint32_t ordinal)
{
    struct db *db = work->app->db;
    const struct series_entry *entry = registry_entry(db_registry(db), ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    struct captured at = {.ordinal = ordinal};
    struct view *view;

    out->type = (enum value_type)entry->type;
    if (out->type == VALUE_BYTES || out->type == VALUE_HISTOGRAM)
        return err_set(&work->err, ST_INVALID, "TSDB: a series of bytes or histograms has no copy");
    out->has_attrs = attrs != NULL;
    if (attrs) out->attrs = without_rule(attrs);
    TRY(take_labels(out, work, ordinal));
    TRY(db_pin(db, &view, &work->err));
    status st = view_capture(view, &at, 1, &work->err);
    if (st == ST_OK)
        st = view_read(view, &at, (struct time_range){TS_MIN, TS_MAX}, &out->pts, &work->arena,
                       &work->err);
    db_unpin(db, view);
    return st == ST_OK ? budget_samples(&work->budget, out->pts.n, &work->err) : st;
}

status series_image_read(struct series_image *out, struct query_work *work, struct slice key,
                         bool *found)
{
    struct db *db = work->app->db;
    int slot = db_reader_enter(db);
    uint32_t ordinal = ts_key_find(work->app, key);
    *out = (struct series_image){.labels = NULL};
    *found = ordinal != ORDINAL_NONE;
    status st = *found ? take_series(out, work, ordinal) : ST_OK;
    db_reader_leave(db, slot);
    if (st != ST_OK) series_image_release(out);
    return st;
}

void series_image_release(struct series_image *image)
{
    points_release(&image->pts);
}

/* --- bytes ------------------------------------------------------------------------------- */

static void put_varint(struct strbuf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(out, bytes, varint_put(bytes, v));
}

static void put_text(struct strbuf *out, struct slice text)
{
    put_varint(out, text.len);
    strbuf_slice(out, text);
}

void series_image_put(struct strbuf *out, const struct series_image *image,
                      enum precision precision)
{
    uint8_t bytes[ATTRS_BYTES];
    ts_time before = 0;

    strbuf_str(out, magic);
    strbuf_char(out, IMAGE_VERSION);
    strbuf_char(out, (char)precision);
    strbuf_char(out, (char)image->type);
    size_t len = image->has_attrs ? attrs_put(bytes, &image->attrs) : 0;
    strbuf_char(out, (char)len);
    strbuf_put(out, bytes, len);
    put_varint(out, image->n_labels);
    for (size_t i = 0; i < image->n_labels; i++) {
        put_text(out, image->labels[i].name);
        put_text(out, image->labels[i].value);
    }
    put_varint(out, image->pts.n);
    for (size_t i = 0; i < image->pts.n; i++) {
        put_varint(out, zigzag((int64_t)((uint64_t)image->pts.ts[i] - (uint64_t)before)));
        before = image->pts.ts[i];
    }
    for (size_t i = 0; i < image->pts.n; i++) {
        store_u64(bytes, image->pts.val[i].bits);
        strbuf_put(out, bytes, 8);
    }
    store_u16(bytes, IMAGE_VERSION);
    strbuf_put(out, bytes, 2);
    if (out->failed) return;
    store_u64(bytes, hash_place(out->ptr, out->len));
    strbuf_put(out, bytes, 8);
}

struct cursor {
    const uint8_t *at, *end;
};

static bool take_varint(struct cursor *cur, uint64_t *out)
{
    if (cur->at == cur->end) return false;
    size_t n = varint_get(out, cur->at, (size_t)(cur->end - cur->at));
    cur->at += n;
    return n > 0;
}

static bool take_bytes(struct cursor *cur, uint64_t len, struct slice *out)
{
    if (len > (uint64_t)(cur->end - cur->at)) return false;
    *out = slice_of(cur->at, (size_t)len);
    cur->at += len;
    return true;
}

static bool take_text(struct cursor *cur, struct slice *out)
{
    uint64_t len;
    return take_varint(cur, &len) && take_bytes(cur, len, out);
}

static status get_labels(struct series_image *out, struct cursor *cur, struct arena *arena)
{
    uint64_t n;
    if (!take_varint(cur, &n) || n > LABELS_MAX) return ST_CORRUPT;
    out->labels = arena_try_array(arena, (size_t)n + 1, sizeof(*out->labels));
    if (!out->labels) return ST_NO_MEMORY;
    for (out->n_labels = 0; out->n_labels < n; out->n_labels++) {
        struct label *label = &out->labels[out->n_labels];
        if (!take_text(cur, &label->name) || !take_text(cur, &label->value)) return ST_CORRUPT;
    }
    return ST_OK;
}

static status get_points(struct series_image *out, struct cursor *cur)
{
    uint64_t n, step;
    ts_time ts = 0;
    /* A sample has 9 bytes and more: n is bounded by what is there. */
    if (!take_varint(cur, &n) || n > (uint64_t)(cur->end - cur->at) / 9) return ST_CORRUPT;
    if (!points_reserve(&out->pts, (size_t)n)) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < n; i++) {
        if (!take_varint(cur, &step)) return ST_CORRUPT;
        ts_time next = (ts_time)((uint64_t)ts + (uint64_t)unzigzag(step));
        if (i > 0 && next <= ts) return ST_CORRUPT;
        ts = next;
        out->pts.ts[i] = ts;
    }
    if ((uint64_t)(cur->end - cur->at) != 8 * n) return ST_CORRUPT;
    for (uint64_t i = 0; i < n; i++) out->pts.val[i].bits = load_u64(cur->at + 8 * i);
    out->pts.n = (size_t)n;
    return ST_OK;
}

static bool head_ok(struct cursor *cur, enum precision precision, struct series_image *out)
{
    struct slice head;
    if (!take_bytes(cur, 8, &head) || memcmp(head.ptr, magic, 4) != 0) return false;
    out->type = (enum value_type)head.ptr[6];
    return head.ptr[4] == IMAGE_VERSION && head.ptr[5] == (char)precision &&
           (out->type == VALUE_F64 || out->type == VALUE_I64 || out->type == VALUE_U64 ||
            out->type == VALUE_BOOL);
}

static status get(struct series_image *out, struct cursor *cur, enum precision precision,
                  struct arena *arena)
{
    struct slice attrs;
    if (!head_ok(cur, precision, out)) return ST_CORRUPT;
    size_t len = cur->at[-1];
    if (!take_bytes(cur, len, &attrs)) return ST_CORRUPT;
    out->has_attrs = len > 0;
    if (len) TRY(attrs_get(&out->attrs, attrs));
    out->attrs = without_rule(&out->attrs);
    TRY(get_labels(out, cur, arena));
    return get_points(out, cur);
}

status series_image_get(struct series_image *out, struct slice src, enum precision precision,
                        struct arena *arena)
{
    *out = (struct series_image){.labels = NULL};
    if (src.len < TAIL_LEN) return ST_CORRUPT;
    const uint8_t *tail = (const uint8_t *)src.ptr + src.len - TAIL_LEN;
    if (load_u16(tail) != IMAGE_VERSION ||
        load_u64(tail + 2) != hash_place(src.ptr, src.len - TAIL_LEN + 2))
        return ST_CORRUPT;
    struct cursor cur = {(const uint8_t *)src.ptr, tail};
    status st = get(out, &cur, precision, arena);
    if (st != ST_OK) series_image_release(out);
    return st;
}
