/* Keys of TS.* commands <-> series. See ts_key.h. */
#include "api/ts_key.h"

#include <string.h>

#include "api/keyspace.h"
#include "base/utf8.h"
#include "promql/parser.h"

/* --- metric names ------------------------------------------------------------------- */

/* The key up to the first of : { / or blank, other bytes folded to '_'; "ts_" before a
 * digit or nothing. dst has key.len + 3 bytes. */
static struct slice derive_name(char *dst, struct slice key)
{
    size_t n = 0, len = 0;
    while (len < key.len && !strchr(":{/ \t\r\n", key.ptr[len])) len++;
    if (len == 0 || (key.ptr[0] >= '0' && key.ptr[0] <= '9')) {
        memcpy(dst, "ts_", 3);
        n = 3;
    }
    for (size_t i = 0; i < len; i++) {
        char c = key.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_';
        dst[n++] = plain ? c : '_';
    }
    return slice_of(dst, n);
}

static struct slice find_label(const struct label *labels, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(labels[i].name, name)) return labels[i].value;
    return (struct slice){"", 0};
}

/* The metric name of a series made by TS.*, empty when it has none; text may be in dst. */
static struct slice metric_name(const struct app_settings *set, char *dst, struct slice key,
                                const struct label *labels, size_t n)
{
    struct slice name = find_label(labels, n, SLICE_LIT(LABEL_NAME));
    if (name.len) return name;
    if (set->ts_metric_label[0]) {
        name = find_label(labels, n, slice_str(set->ts_metric_label));
        if (name.len) return name;
    }
    switch (set->ts_name_mode) {
    case TS_NAME_DERIVE: return derive_name(dst, key);
    case TS_NAME_KEY: return key;
    case TS_NAME_NONE: break;
    }
    return (struct slice){"", 0};
}

bool ts_label_is_hidden(const struct app_settings *set, struct labels labels, struct slice name)
{
    char small[512];
    if (slice_is(name, LABEL_KEY) || slice_is(name, LABEL_TENANT)) return true;
    if (!slice_is(name, LABEL_NAME)) return false;

    struct slice key = labels_get(labels, SLICE_LIT(LABEL_KEY));
    struct slice value = labels_get(labels, SLICE_LIT(LABEL_NAME));
    if (key.len == 0) return false;
    if (set->ts_metric_label[0] &&
        slice_eq(labels_get(labels, slice_str(set->ts_metric_label)), value))
        return true;
    if (set->ts_name_mode == TS_NAME_KEY) return slice_eq(value, key);
    if (set->ts_name_mode == TS_NAME_NONE || key.len + 3 > sizeof(small)) return false;
    return slice_eq(derive_name(small, key), value);
}

/* --- key to series ------------------------------------------------------------------ */

static bool looks_like_selector(struct slice key)
{
    return key.len > 2 && key.ptr[key.len - 1] == '}' && memchr(key.ptr, '{', key.len);
}

/* The series whose labels are exactly what the selector spells. */
static uint32_t find_selector(struct app *app, struct slice key)
{
    struct ast ast;
    struct label labels[64];
    size_t n = 0;
    uint32_t ordinal = ORDINAL_NONE;
    ast_init(&ast, app->query_account);
    if (promql_parse_selector(&ast, key, NULL) != ST_OK) goto out;
    const struct vector_expr *vec = &ast.root->vec;
    if (vec->n_matchers > sizeof(labels) / sizeof(labels[0])) goto out;
    for (size_t i = 0; i < vec->n_matchers; i++) {
        if (vec->matchers[i].op != MATCH_EQ) goto out;
        labels[n++] = (struct label){vec->matchers[i].name, vec->matchers[i].value};
    }
    if (labels_canonicalise(labels, &n, NULL) != ST_OK) goto out;
    struct labels set = {labels, n};
    size_t len = labels_identity_len(set);
    uint8_t *identity = arena_try(&ast.arena, len);
    if (!identity) goto out;
    labels_identity(identity, set);
    ordinal = registry_find(db_registry(app->db), slice_of(identity, len), hash128(identity, len),
                            VALUE_F64);
out:
    ast_release(&ast);
    return ordinal;
}

uint32_t ts_key_find(struct app *app, struct slice key)
{
    uint32_t ordinal = registry_by_key(db_registry(app->db), (struct slice){"", 0}, key);
    if (ordinal == ORDINAL_NONE && looks_like_selector(key)) ordinal = find_selector(app, key);
    if (ordinal == ORDINAL_NONE) return ordinal;
    bool due = keyspace_is_expired(app, registry_entry(db_registry(app->db), ordinal));
    return due ? ORDINAL_NONE : ordinal;
}

void ts_key_of_labels(struct strbuf *out, struct labels labels)
{
    struct slice key = labels_get(labels, SLICE_LIT(LABEL_KEY));
    if (key.len)
        strbuf_slice(out, key);
    else
        labels_print(out, labels);
}

void ts_key_print(struct strbuf *out, const struct registry *reg, uint32_t ordinal)
{
    struct arena arena;
    struct slice key = registry_key(reg, ordinal);
    if (key.len) {
        strbuf_slice(out, key);
        return;
    }
    arena_init(&arena, NULL, 1024);
    struct labels labels = registry_labels(reg, ordinal, &arena);
    if (labels.n && !labels.ptr)
        out->failed = true;
    else
        labels_print(out, labels);
    arena_release(&arena);
}

/* --- a series for a batch ------------------------------------------------------------- */

/* User labels, key and metric name, canonical, in the batch's arena. */
static status full_labels(const struct app_settings *set, struct arena *arena, struct slice key,
                          const struct label *labels, size_t n_labels, struct labels *out,
                          struct err *err)
{
    struct label *all = arena_try_array(arena, n_labels + 2, sizeof(*all));
    char *derived = arena_try(arena, key.len + 3);
    size_t n = n_labels;
    if (!all || !derived) return ST_NO_MEMORY;
    if (n_labels) memcpy(all, labels, n_labels * sizeof(*all));
    if (find_label(labels, n_labels, SLICE_LIT(LABEL_KEY)).len)
        return err_set(err, ST_BAD_LABEL, "label " LABEL_KEY " is reserved");
    struct slice name = metric_name(set, derived, key, labels, n_labels);
    bool given = find_label(labels, n_labels, SLICE_LIT(LABEL_NAME)).len > 0;
    if (name.len && !given) all[n++] = (struct label){SLICE_LIT(LABEL_NAME), name};
    all[n++] = (struct label){SLICE_LIT(LABEL_KEY), key};
    TRY(labels_canonicalise(all, &n, err));
    *out = (struct labels){all, n};
    return ST_OK;
}

static status check_key(struct app *app, struct slice key, struct err *err)
{
    size_t max = db_options(app->db)->limits.key_len_max;
    if (key.len == 0 || key.len > max)
        return err_set(err, ST_BAD_LABEL, "a key has 1 to %zu bytes", max);
    if (!utf8_valid(key)) return err_set(err, ST_BAD_LABEL, "a key must be valid UTF-8");
    return ST_OK;
}

status ts_key_series(struct app *app, struct batch *batch, struct batch_series *series,
                     struct slice key, const struct label *labels, size_t n_labels,
                     struct err *err)
{
    const struct app_settings *set = app_settings(app);
    struct registry *reg = db_registry(app->db);
    TRY(check_key(app, key, err));

    series->ordinal = ts_key_find(app, key);
    if (series->ordinal != ORDINAL_NONE) {
        const struct series_entry *entry = registry_entry(reg, series->ordinal);
        series->gen = entry_gen(entry);
        series->type = (enum value_type)entry->type;
        return ST_OK; /* should it go stale on the way, the row is refused as TRYAGAIN */
    }
    if (!batch_name_series(batch, series)) return ST_NO_MEMORY;
    struct batch_name *name = series->name;
    TRY(full_labels(set, &batch->arena, key, labels, n_labels, &name->labels, err));
    TRY(validate_labels(name->labels, &db_options(app->db)->limits, true, err));
    size_t len = labels_identity_len(name->labels);
    uint8_t *identity = arena_try(&batch->arena, len);
    if (!identity) return ST_NO_MEMORY;
    labels_identity(identity, name->labels);
    name->identity = slice_of(identity, len);
    name->hash = hash128(identity, len);
    return ST_OK;
}

/* Labels, identity and id for the operation. */
static status ready_relabel(struct app *app, struct relabel_op *op, struct arena *arena,
                            uint32_t ordinal, struct slice key, const struct label *labels,
                            size_t n_labels, struct err *err)
{
    TRY(full_labels(app_settings(app), arena, key, labels, n_labels, &op->labels, err));
    status st = validate_labels(op->labels, &db_options(app->db)->limits, true, err);
    if (st != ST_OK) return err_wrap(err, st, "TSDB");
    size_t len = labels_identity_len(op->labels);
    uint8_t *identity = arena_try(arena, len);
    if (!identity) return ST_NO_MEMORY;
    labels_identity(identity, op->labels);
    op->identity = slice_of(identity, len);
    op->id = registry_entry(db_registry(app->db), ordinal)->id;
    return ST_OK;
}

static status no_key(struct err *err)
{
    return err_set(err, ST_BAD_LABEL, "TSDB: the labels of a series without a key are its name "
                                      "and cannot be changed");
}

status ts_key_relabel(struct app *app, struct relabel_op *op, struct arena *arena,
                      uint32_t ordinal, const struct label *labels, size_t n_labels,
                      struct err *err)
{
    struct slice key = arena_copy(arena, registry_key(db_registry(app->db), ordinal));
    if (!key.ptr) return ST_NO_MEMORY;
    if (key.len == 0) return no_key(err);
    return ready_relabel(app, op, arena, ordinal, key, labels, n_labels, err);
}

status ts_key_rename(struct app *app, struct relabel_op *op, struct arena *arena,
                     uint32_t ordinal, struct slice key, struct err *err)
{
    const struct app_settings *set = app_settings(app);
    struct registry *reg = db_registry(app->db);
    if (registry_key(reg, ordinal).len == 0) return no_key(err);
    TRY(check_key(app, key, err));
    struct labels now = registry_labels(reg, ordinal, arena);
    if (now.n && !now.ptr) return ST_NO_MEMORY;
    struct labels old = labels_copy(arena, now);
    struct label *kept = arena_try_array(arena, old.n + 1, sizeof(*kept));
    key = arena_copy(arena, key);
    if ((old.n && !old.ptr) || !kept || !key.ptr) return ST_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < old.n; i++)
        if (!ts_label_is_hidden(set, old, old.ptr[i].name)) kept[n++] = old.ptr[i];
    return ready_relabel(app, op, arena, ordinal, key, kept, n, err);
}
