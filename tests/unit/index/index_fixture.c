/* See index_fixture.h. */
#include "tests/unit/index/index_fixture.h"

#include "base/mem.h"

static void keep_retired(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                         size_t bytes)
{
    struct index_fixture *fx = ctx;
    if (fx->n_retired == fx->cap_retired) {
        fx->cap_retired = fx->cap_retired ? fx->cap_retired * 2 : 64;
        fx->retired = realloc(fx->retired, fx->cap_retired * sizeof(*fx->retired));
    }
    fx->retired[fx->n_retired++] = (struct retired){free_fn, ptr, arg, bytes};
}

void fixture_init(struct index_fixture *fx)
{
    *fx = (struct index_fixture){.rc = {keep_retired, fx}};
    account_init(&fx->account, "test", NULL, 0);
    arena_init(&fx->arena, NULL, 4096);
    fx->reg = registry_new(&fx->account, &fx->rc);
    ck_assert_ptr_nonnull(fx->reg);
}

void fixture_grace(struct index_fixture *fx)
{
    for (size_t i = 0; i < fx->n_retired; i++) {
        fx->retired[i].free_fn(fx->retired[i].ptr, fx->retired[i].arg);
    }
    fx->n_retired = 0;
}

void fixture_release(struct index_fixture *fx)
{
    struct err err = {.st = ST_OK};
    status st = registry_check(fx->reg, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    fixture_grace(fx);
    st = registry_check(fx->reg, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    fixture_release_part(fx);
}

void fixture_release_part(struct index_fixture *fx)
{
    fixture_grace(fx);
    registry_free(fx->reg);
    ck_assert_uint_eq(account_used(&fx->account), 0);
    arena_release(&fx->arena);
    free(fx->retired);
}

status fixture_save(const struct registry *reg, const struct registry_prefix *prefix,
                    const uint8_t database[16], struct vfs *vfs, const char *path,
                    struct err *err)
{
    return registry_save(reg, prefix, NULL, database, vfs, path, NULL, NULL, err);
}

status fixture_load(struct registry *reg, struct registry_loaded *out, struct vfs *vfs,
                    const char *path, struct err *err)
{
    struct registry_part part = {.path = path};
    struct registry_load_options opt = {.parts = &part, .n = 1, .any_bytes = true};
    return registry_load(reg, out, vfs, &opt, err);
}

static struct slice copy_text(struct index_fixture *fx, const char *ptr, size_t len)
{
    return arena_copy(&fx->arena, slice_of(ptr, len));
}

struct labels fixture_labels(struct index_fixture *fx, const char *spelling)
{
    struct label *labels = arena_try_array(&fx->arena, 64, sizeof(*labels));
    size_t n = 0;
    for (const char *at = spelling; *at;) {
        size_t len = strcspn(at, ",");
        const char *eq = memchr(at, '=', len);
        if (len > 4 && memcmp(at, "key:", 4) == 0 && !eq) {
            labels[n++] = (struct label){slice_str(LABEL_KEY), copy_text(fx, at + 4, len - 4)};
        } else if (!eq) {
            labels[n++] = (struct label){slice_str(LABEL_NAME), copy_text(fx, at, len)};
        } else {
            size_t n_name = (size_t)(eq - at);
            labels[n++] = (struct label){copy_text(fx, at, n_name),
                                         copy_text(fx, eq + 1, len - n_name - 1)};
        }
        at += len + (at[len] == ',');
    }
    ck_assert_int_eq(labels_canonicalise(labels, &n, NULL), ST_OK);
    return (struct labels){labels, n};
}

static struct slice identity_of(struct index_fixture *fx, struct labels labels)
{
    size_t len = labels_identity_len(labels);
    uint8_t *bytes = arena_try(&fx->arena, len);
    labels_identity(bytes, labels);
    return slice_of(bytes, len);
}

status fixture_try_add(uint32_t *ordinal, struct index_fixture *fx, struct labels labels,
                       const struct series_attrs *attrs)
{
    struct slice identity = identity_of(fx, labels);
    return registry_add(ordinal, fx->reg,
                        &(struct series_new){.labels = labels,
                                             .identity = identity,
                                             .hash = hash128(identity.ptr, identity.len),
                                             .place = labels_place(labels, identity),
                                             .type = VALUE_F64,
                                             .attrs = attrs});
}

uint32_t fixture_add_labels(struct index_fixture *fx, struct labels labels)
{
    uint32_t ordinal;
    ck_assert_int_eq(fixture_try_add(&ordinal, fx, labels, NULL), ST_OK);
    return ordinal;
}

uint32_t fixture_add(struct index_fixture *fx, const char *spelling)
{
    return fixture_add_labels(fx, fixture_labels(fx, spelling));
}

uint32_t fixture_add_starts(struct index_fixture *fx, uint32_t parent)
{
    const struct series_entry *entry = registry_entry(fx->reg, parent);
    struct starts_name name;
    uint32_t ordinal;
    starts_name_make(&name, entry->id, entry->place);
    struct slice identity = slice_of(name.identity, STARTS_IDENTITY_LEN);
    const struct series_new make = {.labels = {&name.label, 1},
                                    .identity = identity,
                                    .hash = hash128(identity.ptr, identity.len),
                                    .place = entry->place,
                                    .type = VALUE_I64};
    ck_assert_int_eq(registry_add(&ordinal, fx->reg, &make), ST_OK);
    registry_set_started(fx->reg, parent, true);
    return ordinal;
}

uint32_t fixture_find(struct index_fixture *fx, struct labels labels)
{
    struct slice identity = identity_of(fx, labels);
    return registry_find(fx->reg, identity, hash128(identity.ptr, identity.len), VALUE_F64);
}

void fixture_fold(struct index_fixture *fx)
{
    while (registry_rebuild_due(fx->reg)) {
        struct registry_rebuild *rb = registry_rebuild_plan(fx->reg);
        ck_assert_ptr_nonnull(rb);
        status st = registry_rebuild_run(rb, NULL);
        ck_assert_int_eq(st, ST_OK);
        registry_rebuild_publish(fx->reg, rb, st);
    }
}

bool fixture_purge(struct index_fixture *fx)
{
    bool any = false;
    for (int n_waited = 0; n_waited < 40; n_waited++) { /* a little is worth it after 32 */
        struct registry_rebuild *rb = registry_purge_plan(fx->reg);
        if (!rb) continue;
        status st = registry_rebuild_run(rb, NULL);
        ck_assert_int_eq(st, ST_OK);
        ck_assert(registry_rebuild_publish(fx->reg, rb, st));
        any = true;
    }
    return any;
}

struct matchers fixture_matchers(struct index_fixture *fx, const char *spelling)
{
    static const struct {
        const char *text;
        enum match_op op;
    } ops[] = {{"=~", MATCH_RE}, {"!~", MATCH_NRE}, {"!=", MATCH_NE}, {"=", MATCH_EQ}};
    struct matcher *ms = calloc(16, sizeof(*ms));
    size_t n = 0;
    for (const char *at = spelling; *at;) {
        size_t len = strcspn(at, ";"), n_name = strcspn(at, "=!");
        for (size_t i = 0; i < 4; i++) {
            size_t n_op = strlen(ops[i].text);
            if (strncmp(at + n_name, ops[i].text, n_op) != 0) continue;
            size_t used = n_name + n_op;
            struct err err = {.st = ST_OK};
            status st = matcher_init(&ms[n++], ops[i].op, copy_text(fx, at, n_name),
                                     copy_text(fx, at + used, len - used), &err);
            ck_assert_msg(st == ST_OK, "%s: %s", spelling, err.text);
            break;
        }
        at += len + (at[len] == ';');
    }
    return (struct matchers){ms, n};
}

void fixture_matchers_free(struct matchers ms)
{
    for (size_t i = 0; i < ms.n; i++) matcher_release((struct matcher *)(uintptr_t)&ms.ptr[i]);
    free((void *)(uintptr_t)ms.ptr);
}
