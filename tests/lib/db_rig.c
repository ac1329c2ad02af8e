/* A database on simulated ports. See db_rig.h. */
#include "tests/lib/db_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/panic.h"
#include "tests/lib/mem_fault.h"

void db_rig_init_on(struct db_rig *rig, uint64_t seed, struct vfs *vfs)
{
    memset(rig, 0, sizeof(*rig));
    rig->seed = seed;
    rig->vfs = vfs;
    rig->vfs_borrowed = true;
    db_options_init(&rig->options);
    rig->options.retention_ms = 0;
    rig->options.wal_file_bytes = 64 << 10;
    rig->options.wal_buffer_bytes = 256 << 10;
    clock_sim_init(&rig->clock, 1767225600000);
    rng_init(&rig->rng, seed);
    hash_seed(seed);
    rig->exec = exec_sim_new(seed);
}

void db_rig_init(struct db_rig *rig, uint64_t seed)
{
    db_rig_init_on(rig, seed, vfs_mem_new());
    rig->vfs_borrowed = false;
}

void db_rig_release(struct db_rig *rig)
{
    ASSERT(!rig->db);
    exec_sim_free(rig->exec);
    if (!rig->vfs_borrowed) vfs_free(rig->vfs);
}

status db_rig_open(struct db_rig *rig)
{
    struct db_ports ports = {.vfs = rig->vfs,
                             .clock = &rig->clock.clock,
                             .rng = &rig->rng,
                             .recover_threads = rig->recover_threads,
                             .exec = exec_sim_exec(rig->exec)};
    rig->err = (struct err){.st = ST_OK};
    return db_open(&rig->db, &rig->options, &ports, &rig->err);
}

static void serve(void *ctx)
{
    struct db_rig *rig = ctx;
    exec_sim_drain(rig->exec);
}

status db_rig_close(struct db_rig *rig)
{
    struct db *db = rig->db;
    rig->db = NULL;
    rig->err = (struct err){.st = ST_OK};
    /* A deadline far away on the clock that does not move by itself. */
    status st = db_close(db, clock_mono(&rig->clock.clock) + 1, serve, rig, &rig->err);
    exec_sim_drain(rig->exec);
    return st;
}

void db_rig_settle(struct db_rig *rig)
{
    do {
        exec_sim_drain(rig->exec);
        (void)db_tick(rig->db);
    } while (exec_sim_n_jobs(rig->exec) || exec_sim_n_tasks(rig->exec));
}

struct flush_result {
    bool done;
    status st;
};

static void flush_done(void *ctx, status st)
{
    struct flush_result *result = ctx;
    *result = (struct flush_result){true, st};
}

status db_rig_flush(struct db_rig *rig)
{
    struct flush_result result = {false, ST_OK};
    db_flush(rig->db, flush_done, &result);
    for (int i = 0; !result.done; i++) {
        ASSERT(i < 100000);
        clock_sim_advance_ms(&rig->clock, 1);
        db_rig_settle(rig);
    }
    return result.st;
}

/* --- batches --------------------------------------------------------------------- */

/* "name{a=\"b\",c=\"d\"}" -> canonical labels in the arena. */
static struct labels parse_series(struct arena *arena, const char *text)
{
    struct label *label = arena_try_array(arena, 16, sizeof(*label));
    size_t n = 0;
    const char *brace = strchr(text, '{');
    size_t name_len = brace ? (size_t)(brace - text) : strlen(text);
    ASSERT(label);
    if (name_len) label[n++] = (struct label){SLICE_LIT(LABEL_NAME), {text, name_len}};
    for (const char *at = brace ? brace + 1 : ""; *at && *at != '}';) {
        const char *eq = strchr(at, '='), *end = eq ? strchr(eq + 2, '"') : NULL;
        ASSERT(eq && end && n < 16);
        label[n++] = (struct label){{at, (size_t)(eq - at)}, {eq + 2, (size_t)(end - eq - 2)}};
        at = end[1] == ',' ? end + 2 : end + 1;
    }
    ASSERT(labels_canonicalise(label, &n, NULL) == ST_OK);
    return (struct labels){label, n};
}

static void name_series(struct batch_name *out, struct arena *arena, const char *text)
{
    out->labels = parse_series(arena, text);
    size_t len = labels_identity_len(out->labels);
    uint8_t *identity = arena_try(arena, len);
    ASSERT(identity);
    out->identity = slice_of(identity, labels_identity(identity, out->labels));
    out->hash = hash128(identity, len);
}

int64_t db_rig_add_series(struct batch *batch, const char *series)
{
    int64_t idx = batch_add_series(batch);
    ASSERT(idx >= 0);
    ASSERT(batch_name_series(batch, &batch->series[idx]));
    name_series(batch->series[idx].name, &batch->arena, series);
    return idx;
}

void db_rig_done(struct batch *batch)
{
    bool *done = batch->ctx;
    *done = true;
}

struct batch *db_rig_batch(const char *series)
{
    struct batch *batch = batch_new(NULL);
    ASSERT(batch);
    if (series) ASSERT(db_rig_add_series(batch, series) == 0);
    return batch;
}

void db_rig_send(struct db_rig *rig, struct batch *batch)
{
    bool done = false;
    batch->done = db_rig_done;
    batch->ctx = &done;
    batch->deferrable = true;
    sink_write(db_sink(rig->db), batch);
    for (int i = 0; !done; i++) {
        ASSERT(i < 100000);
        db_rig_settle(rig);
    }
}

status db_rig_put(struct db_rig *rig, const char *series, ts_time ts, double v)
{
    struct batch *batch = db_rig_batch(series);
    ASSERT(batch_add_row(batch, 0, ts, (union value){.bits = f64_bits(v)}, 0));
    db_rig_send(rig, batch);
    status st = (status)batch->result[0];
    rig->err = batch->err;
    batch_free(batch);
    return st;
}

uint32_t db_rig_ordinal(struct db_rig *rig, const char *series)
{
    struct batch_name at = {.attrs = NULL};
    struct arena arena;
    mem_fault_pause();
    arena_init(&arena, NULL, 1024);
    name_series(&at, &arena, series);
    mem_fault_resume();
    struct registry *reg = db_registry(rig->db);
    uint32_t ordinal = registry_find(reg, at.identity, at.hash, VALUE_F64);
    if (ordinal == ORDINAL_NONE)
        ordinal = registry_find(reg, at.identity, at.hash, VALUE_HISTOGRAM);
    arena_release(&arena);
    return ordinal;
}

status db_rig_read(struct db_rig *rig, const char *series, struct time_range range,
                   struct points *out, struct arena *arena)
{
    struct view *view;
    struct captured at = {.ordinal = db_rig_ordinal(rig, series)};
    out->n = 0;
    rig->err = (struct err){.st = ST_OK};
    if (at.ordinal == ORDINAL_NONE) return ST_NOT_FOUND;
    status st = db_pin(rig->db, &view, &rig->err);
    if (st != ST_OK) return st;
    st = view_capture(view, &at, 1, &rig->err);
    if (st == ST_OK) st = view_read(view, &at, range, out, arena, &rig->err);
    db_unpin(rig->db, view);
    exec_sim_drain(rig->exec);
    return st;
}
