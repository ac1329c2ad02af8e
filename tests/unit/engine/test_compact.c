/* Goal: compaction makes few segments of many and loses, brings back and doubles nothing:
 * levels, late samples, deletes, retention, series that die, a clock that jumps, damage,
 * a catalog that cannot be written, views that still read. Method: small databases on
 * simulated ports; what they hold is counted and summed through views, and db_check()
 * walks everything after each. (Random histories: test_history.c.) */
#include "base/bytes.h"
#include "base/log.h"
#include "engine/db_priv.h"
#include "tests/lib/db_rig.h"
#include "tests/lib/vfs_crash.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/engine/engine_suites.h"

enum { HOUR = 3600 * 1000 };

static const struct time_range all = {TS_MIN, TS_MAX};

static void set_up(struct db_rig *rig)
{
    rig->options.compaction_interval_ms = 1;
    rig->options.flush_interval_ms = 1;
    rig->options.chunk_points = 64;
    rig->options.fail_fast = false;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void begin(struct db_rig *rig)
{
    log_set_level(LOG_OFF);
    db_rig_init(rig, unit_seed());
    set_up(rig);
}

static void put(struct db_rig *rig, const char *series, ts_time from, size_t n, double value)
{
    struct batch *batch = db_rig_batch(series);
    for (size_t i = 0; i < n; i++) {
        union value v = {.bits = f64_bits(value + (double)i)};
        ck_assert(batch_add_row(batch, 0, from + (ts_time)i, v, 0));
    }
    db_rig_send(rig, batch);
    ck_assert_msg(batch->n_refused == 0, "%s", batch->err.text);
    batch_free(batch);
}

static void pass(struct db_rig *rig, int64_t ms)
{
    clock_sim_advance_ms(&rig->clock, ms);
    for (int i = 0; i < 40; i++) {
        clock_sim_advance_ms(&rig->clock, 2);
        db_rig_settle(rig);
    }
}

static void set_wall(struct db_rig *rig, wall_ms wall)
{
    clock_sim_step_wall_ms(&rig->clock, wall - clock_wall(&rig->clock.clock));
}

/* The number of samples; their sum, if asked for. */
static size_t count(struct db_rig *rig, const char *series, double *sum)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, all, &pts, NULL);
    if (st != ST_NOT_FOUND) ck_assert_msg(st == ST_OK, "%s: %s", series, rig->err.text);
    if (sum) *sum = 0;
    for (size_t i = 0; sum && i < pts.n; i++) *sum += bits_f64(pts.val[i].bits);
    size_t n = pts.n;
    points_release(&pts);
    return n;
}

static struct db_stats stats_of(struct db_rig *rig)
{
    struct db_stats stats;
    db_stats(rig->db, &stats);
    return stats;
}

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
}

static void reopen(struct db_rig *rig)
{
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void end(struct db_rig *rig)
{
    check(rig);
    ck_assert_int_eq(db_rig_close(rig), ST_OK);
    db_rig_release(rig);
}

static void erase(struct db_rig *rig, const char *series, struct time_range range)
{
    uint32_t ordinal = db_rig_ordinal(rig, series);
    lsn at;
    ck_assert_int_eq(db_delete(rig->db, &ordinal, 1, range, &at, &rig->err), ST_OK);
}

START_TEST(test_segments_move_down)
{
    struct db_rig rig;
    double sum, want = 0;
    begin(&rig);
    for (int i = 0; i < 16; i++) {
        put(&rig, "a", i * 1000, 100, i);
        put(&rig, "b", i * 1000, 3, i);
        for (int k = 0; k < 100; k++) want += i + k;
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        pass(&rig, 10);
        check(&rig);
        ck_assert_uint_eq(count(&rig, "a", NULL), 100 * ((size_t)i + 1));
    }
    struct db_stats stats = stats_of(&rig);
    ck_assert_uint_eq(stats.n_segments_at[0], 0);
    ck_assert_uint_eq(stats.n_segments_at[1], 0);
    ck_assert_uint_eq(stats.n_segments_at[2], 1);
    ck_assert_uint_eq(stats.n_compactions, 5);
    ck_assert_uint_eq(stats.n_compact_sources, 20);
    ck_assert_uint_eq(stats.n_compact_points_out, 2 * 16 * 103);
    ck_assert_uint_eq(stats.n_segment_samples, 16 * 103);
    ck_assert(!vfs_exists(rig.vfs, "lane_numeric/l0/seg-0000000000000001"));
    ck_assert_uint_eq(count(&rig, "a", &sum), 1600);
    ck_assert(sum == want);
    reopen(&rig);
    ck_assert_uint_eq(count(&rig, "a", &sum), 1600);
    ck_assert(sum == want);
    ck_assert_uint_eq(count(&rig, "b", NULL), 48);
    end(&rig);
}
END_TEST

START_TEST(test_late_samples_win_and_level_2_does_not_overlap)
{
    struct db_rig rig;
    double sum;
    begin(&rig);
    rig.options.compaction_trigger = 2;
    reopen(&rig);
    for (int i = 0; i < 12; i++) {
        put(&rig, "a", i * 1000, 200, 1000);
        if (i % 3 == 2) put(&rig, "a", (i - 2) * 1000 + 5, 10, 0); /* over what is there */
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        pass(&rig, 10);
        check(&rig);
    }
    const struct manifest *m = rig.db->cell.manifest;
    for (size_t i = 0; i < m->n_segments; i++)
        for (size_t k = i + 1; k < m->n_segments; k++)
            ck_assert(segment_info(m->segments[i])->level < 2 ||
                      segment_info(m->segments[k])->level < 2 ||
                      !range_overlaps(segment_info(m->segments[i])->ts,
                                      segment_info(m->segments[k])->ts));
    ck_assert_uint_eq(count(&rig, "a", &sum), 2400);
    double each = 200 * 1000 + 199 * 100;
    ck_assert(sum == 12 * each - 4 * (10 * 1000 + (5 + 14) * 5 - 45));
    end(&rig);
}
END_TEST

START_TEST(test_large_output_is_cut_in_time)
{
    struct db_rig rig;
    struct rng rng;
    begin(&rig);
    rig.options.compaction_trigger = 2;
    rig.options.segment_bytes = 64 << 10;
    reopen(&rig);
    rng_init(&rng, 1);
    for (int i = 0; i < 4; i++) {
        for (int s = 0; s < 4; s++) {
            char name[20];
            snprintf(name, sizeof(name), "s{n=\"%d\"}", s);
            struct batch *batch = db_rig_batch(name);
            for (int k = 0; k < 2000; k++) {
                union value v = {.bits = f64_bits((double)rng_next(&rng))};
                ck_assert(batch_add_row(batch, 0, i * 2000 + k, v, 0));
            }
            db_rig_send(&rig, batch);
            batch_free(batch);
        }
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        pass(&rig, 10);
        check(&rig);
    }
    struct db_stats stats = stats_of(&rig);
    ck_assert_uint_eq(stats.n_segments_at[0] + stats.n_segments_at[1], 0);
    ck_assert_uint_ge(stats.n_segments_at[2], 3);
    reopen(&rig);
    ck_assert_uint_eq(count(&rig, "s{n=\"3\"}", NULL), 8000);
    end(&rig);
}
END_TEST

START_TEST(test_deleted_samples_and_their_records_go)
{
    struct db_rig rig;
    double sum;
    begin(&rig);
    put(&rig, "a", 0, 1000, 0);
    put(&rig, "b", 0, 1000, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    erase(&rig, "a", (struct time_range){100, 499});
    ck_assert_uint_eq(stats_of(&rig).n_delete_records, 1);
    pass(&rig, 10);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, 1600);
    ck_assert_uint_eq(count(&rig, "a", &sum), 600);
    put(&rig, "a", 200, 10, 0); /* after the delete: stays */
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    pass(&rig, 100000);
    ck_assert_uint_eq(count(&rig, "a", NULL), 610);
    ck_assert_uint_eq(stats_of(&rig).n_delete_records, 0);
    ck_assert_uint_eq(stats_of(&rig).n_deletes_forgotten, 1);
    check(&rig);
    reopen(&rig);
    ck_assert_uint_eq(count(&rig, "a", NULL), 610);
    ck_assert_uint_eq(count(&rig, "b", NULL), 1000);
    ck_assert_uint_eq(stats_of(&rig).n_delete_records, 0);
    /* A delete after that is newer than all that was applied. */
    erase(&rig, "b", (struct time_range){0, 899});
    pass(&rig, 100);
    ck_assert_uint_eq(count(&rig, "b", NULL), 100);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, 710);
    end(&rig);
}
END_TEST

START_TEST(test_a_small_delete_is_not_worth_a_rewrite_at_once)
{
    struct db_rig rig;
    begin(&rig);
    put(&rig, "a", 0, 1000, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    erase(&rig, "a", (struct time_range){0, 49});
    pass(&rig, 100);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, 1000);
    ck_assert_uint_eq(stats_of(&rig).n_delete_records, 1);
    for (int i = 0; i < 12; i++) { /* flushes go by: then it is */
        put(&rig, "b", i, 1, 0);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    }
    pass(&rig, 100);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, 962);
    ck_assert_uint_eq(count(&rig, "a", NULL), 950);
    end(&rig);
}
END_TEST

/* --- compactions that somebody asks for --------------------------------------------- */

struct told {
    int n;
    status st;
};

static void tell(void *ctx, status st)
{
    struct told *told = ctx;
    told->n++;
    told->st = st;
}

START_TEST(test_who_asks_waits_until_all_is_merged)
{
    struct db_rig rig;
    struct told told = {0}, second = {0}, third = {0};
    begin(&rig);
    db_compact(rig.db, tell, &told); /* nothing there: done at once */
    pass(&rig, 1);
    ck_assert_int_eq(told.n, 1);
    ck_assert_int_eq(told.st, ST_OK);
    for (int i = 0; i <= _i; i++) {
        put(&rig, "a", 1000 * i, 1000, 0);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    }
    put(&rig, "a", 1000000, 10, 0); /* in memory: stays there */
    db_compact(rig.db, tell, &told);
    db_compact(rig.db, tell, &second);
    for (int i = 0; i < 10; i++) pass(&rig, 1);
    ck_assert_int_eq(told.n, 2);
    ck_assert_int_eq(second.n, 1);
    ck_assert_int_eq(told.st, ST_OK);
    struct db_stats stats = stats_of(&rig);
    ck_assert_uint_eq(stats.n_segments_at[0], 0);
    ck_assert_uint_eq(stats.n_segments_at[1], 0);
    ck_assert_uint_eq(stats.n_segments_at[2], 1);
    ck_assert_uint_eq(stats.n_unflushed, 10);
    ck_assert_uint_eq(count(&rig, "a", NULL), 1000 * (size_t)(_i + 1) + 10);
    uint64_t before = stats.n_compactions;
    db_compact(rig.db, tell, &third); /* once more: nothing to do */
    for (int i = 0; i < 3; i++) pass(&rig, 1);
    ck_assert_int_eq(third.n, 1);
    ck_assert_uint_eq(stats_of(&rig).n_compactions, before);
    end(&rig);
}
END_TEST

START_TEST(test_what_deletes_hide_goes_when_somebody_asks)
{
    struct db_rig rig;
    struct told told = {0};
    begin(&rig);
    put(&rig, "a", 0, 1000, 0);
    put(&rig, "k{__key__=\"k\"}", 0, 10, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    erase(&rig, "a", (struct time_range){0, 9});
    if (_i) { /* a key that is removed leaves nothing behind either */
        erase(&rig, "k{__key__=\"k\"}", all);
        ck_assert(cell_remove_series(&rig.db->cell, db_rig_ordinal(&rig, "k{__key__=\"k\"}")));
    }
    pass(&rig, 100);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, 1010);
    db_clean_deletes(rig.db, tell, &told);
    for (int i = 0; i < 5; i++) pass(&rig, 1);
    ck_assert_int_eq(told.n, 1);
    ck_assert_int_eq(told.st, ST_OK);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, _i ? 990 : 1000);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[0], 1); /* in its place */
    ck_assert_uint_eq(count(&rig, "a", NULL), 990);
    end(&rig);
}
END_TEST

START_TEST(test_who_asks_is_told_of_a_close)
{
    struct db_rig rig;
    struct told told = {0};
    begin(&rig);
    put(&rig, "a", 0, 1000, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    db_compact(rig.db, tell, &told);
    ck_assert_int_eq(told.n, 0);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(told.n, 1);
    ck_assert_int_eq(told.st, ST_CLOSED);
    db_rig_release(&rig);
}
END_TEST

START_TEST(test_series_die_with_their_last_sample)
{
    struct db_rig rig;
    begin(&rig);
    put(&rig, "gone{x=\"only here\"}", 0, 10, 0);
    put(&rig, "back", 0, 10, 0);
    put(&rig, "stays", 0, 10, 0);
    put(&rig, "k{__key__=\"k\"}", 0, 10, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    erase(&rig, "gone{x=\"only here\"}", all);
    erase(&rig, "back", all);
    erase(&rig, "stays", (struct time_range){0, 8});
    erase(&rig, "k{__key__=\"k\"}", all);
    put(&rig, "memory", 0, 10, 0);
    erase(&rig, "memory", all); /* never in a segment */
    pass(&rig, 1); /* the segment is rewritten; the log still has the samples */
    put(&rig, "back", 50, 1, 0);
    ck_assert_uint_eq(count(&rig, "stays", NULL), 1);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    pass(&rig, 10);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    pass(&rig, 10);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "gone{x=\"only here\"}"), ORDINAL_NONE);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "memory"), ORDINAL_NONE);
    ck_assert_uint_ne(db_rig_ordinal(&rig, "back"), ORDINAL_NONE);
    ck_assert_uint_ne(db_rig_ordinal(&rig, "stays"), ORDINAL_NONE);
    ck_assert_uint_ne(db_rig_ordinal(&rig, "k{__key__=\"k\"}"), ORDINAL_NONE);
    ck_assert_uint_eq(stats_of(&rig).n_series_gone, 3); /* `back` is another one now */
    check(&rig);
    put(&rig, "gone{x=\"only here\"}", 5, 3, 0); /* born again */
    ck_assert_uint_eq(count(&rig, "gone{x=\"only here\"}", NULL), 3);
    reopen(&rig);
    ck_assert_uint_eq(count(&rig, "gone{x=\"only here\"}", NULL), 3);
    ck_assert_uint_eq(count(&rig, "back", NULL), 1);
    end(&rig);
}
END_TEST

START_TEST(test_what_has_expired_is_rewritten_away)
{
    struct db_rig rig;
    begin(&rig);
    rig.options.retention_ms = HOUR;
    reopen(&rig);
    ts_time now = clock_wall(&rig.clock.clock);
    for (int i = 0; i < 10; i++) put(&rig, "m", now - HOUR + 1000 + i * 6 * 60 * 1000, 10, 0);
    put(&rig, "old", now - HOUR + 1000, 10, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    pass(&rig, 31 * 60 * 1000); /* half of it */
    ck_assert_uint_eq(stats_of(&rig).n_segments, 1);
    ck_assert_uint_lt(stats_of(&rig).n_segment_samples, 60);
    ck_assert_uint_eq(count(&rig, "m", NULL), stats_of(&rig).n_segment_samples);
    ck_assert_uint_eq(stats_of(&rig).n_segments_expired, 0);
    ck_assert_uint_eq(stats_of(&rig).n_samples_expired, 110 - stats_of(&rig).n_segment_samples);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    pass(&rig, 6000);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "old"), ORDINAL_NONE);
    pass(&rig, HOUR);
    ck_assert_uint_eq(stats_of(&rig).n_segments, 0);
    ck_assert_uint_eq(stats_of(&rig).n_segments_expired, 1);
    ck_assert_uint_eq(stats_of(&rig).n_samples_expired, 110);
    end(&rig);
}
END_TEST

START_TEST(test_keyed_series_expire_by_their_own_retention)
{
    struct db_rig rig;
    struct series_attrs attrs = {.retention_ms = 1000};
    lsn at;
    begin(&rig);
    rig.options.retention_ms = HOUR;
    reopen(&rig);
    ts_time now = clock_wall(&rig.clock.clock);
    put(&rig, "k{__key__=\"k\"}", 0, 1000, 0);
    put(&rig, "long{__key__=\"long\"}", 0, 1000, 0);
    put(&rig, "m", now - HOUR + 1000, 500, 0);
    uint32_t ordinal = db_rig_ordinal(&rig, "k{__key__=\"k\"}");
    ck_assert_int_eq(db_set_attrs(rig.db, ordinal, &attrs, &at, &rig.err), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    put(&rig, "k{__key__=\"k\"}", 1500, 1, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    pass(&rig, 20 * 60 * 1000); /* twice the time between looks at keyed series */
    pass(&rig, 20 * 60 * 1000);
    ck_assert_uint_eq(count(&rig, "k{__key__=\"k\"}", NULL), 501);
    ck_assert_uint_eq(count(&rig, "long{__key__=\"long\"}", NULL), 1000);
    ck_assert_uint_eq(count(&rig, "m", NULL), 0);
    ck_assert_uint_eq(stats_of(&rig).n_segment_samples, 1501);
    ck_assert_uint_eq(stats_of(&rig).n_samples_expired, 500 + 500);
    end(&rig);
}
END_TEST

START_TEST(test_a_clock_that_jumps_expires_nothing)
{
    struct db_rig rig;
    begin(&rig);
    rig.options.retention_ms = 48 * HOUR;
    reopen(&rig);
    ts_time now = clock_wall(&rig.clock.clock);
    put(&rig, "m", now, 10, 0);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    set_wall(&rig, now + 1000ll * 24 * HOUR);
    pass(&rig, 1000);
    ck_assert_uint_eq(stats_of(&rig).retention_suspended, 1);
    ck_assert_uint_eq(stats_of(&rig).n_segments, 1);
    ck_assert_uint_eq(count(&rig, "m", NULL), 10);
    reopen(&rig); /* it remembers what time it was */
    pass(&rig, 1000);
    ck_assert_uint_eq(stats_of(&rig).retention_suspended, 1);
    set_wall(&rig, now + HOUR);
    pass(&rig, 1000);
    ck_assert_uint_eq(stats_of(&rig).retention_suspended, 0);
    ck_assert_uint_eq(count(&rig, "m", NULL), 10);
    set_wall(&rig, now + 1000ll * 24 * HOUR);
    pass(&rig, 1000);
    ck_assert_uint_eq(stats_of(&rig).retention_suspended, 1);
    db_confirm_clock(rig.db);
    pass(&rig, 1000);
    ck_assert_uint_eq(stats_of(&rig).retention_suspended, 0);
    ck_assert_uint_eq(stats_of(&rig).n_segments, 0);
    end(&rig);
}
END_TEST

static void ignore(void *ctx, status st)
{
    (void)ctx;
    (void)st;
}

START_TEST(test_a_view_reads_on_while_its_segments_go)
{
    struct db_rig rig;
    struct view *view;
    struct points pts = {0};
    begin(&rig);
    for (int i = 0; i < 3; i++) {
        put(&rig, "a", i * 1000, 100, 0);
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    }
    struct captured at = {.ordinal = db_rig_ordinal(&rig, "a")};
    ck_assert_int_eq(db_pin(rig.db, &view, &rig.err), ST_OK);
    ck_assert_int_eq(view_capture(view, &at, 1, &rig.err), ST_OK);
    put(&rig, "a", 3000, 100, 0);
    db_flush(rig.db, ignore, NULL);
    pass(&rig, 10);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[0] + stats_of(&rig).n_segments_at[1], 1);
    ck_assert(vfs_exists(rig.vfs, "lane_numeric/l0"));
    ck_assert(!list_empty(&rig.db->cell.removals)); /* they wait for the view */
    ck_assert_int_eq(view_read(view, &at, all, &pts, NULL, &rig.err), ST_OK);
    ck_assert_uint_eq(pts.n, 300);
    points_release(&pts);
    db_unpin(rig.db, view);
    pass(&rig, 10);
    ck_assert(list_empty(&rig.db->cell.removals));
    ck_assert_uint_eq(count(&rig, "a", NULL), 400);
    end(&rig);
}
END_TEST

static void four_flushes(struct db_rig *rig)
{
    rig->options.compaction_interval_ms = HOUR;
    ck_assert_int_eq(db_rig_open(rig), ST_OK);
    for (int i = 0; i < 4; i++) {
        put(rig, "a", i * 1000, 100, 0);
        ck_assert_int_eq(db_rig_flush(rig), ST_OK);
    }
}

START_TEST(test_a_catalog_that_cannot_be_written_changes_nothing)
{
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init_on(&rig, 1, vfs_fault_vfs(fault));
    rig.options.fail_fast = false;
    four_flushes(&rig);
    struct vfs_fault_rule rule = {
        .ops = VFS_OP_CHANGES, .glob = "*catalog*", .nth = 1, .forever = true, .st = ST_IO};
    (void)vfs_fault_add(fault, &rule);
    pass(&rig, HOUR);
    ck_assert_uint_ge(stats_of(&rig).n_compact_errors, 1);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[0], 4);
    ck_assert_uint_eq(count(&rig, "a", NULL), 400);
    check(&rig);
    vfs_fault_clear(fault);
    pass(&rig, HOUR);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[1], 1);
    ck_assert_uint_eq(count(&rig, "a", NULL), 400);
    end(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

/* The output is where it belongs, and its directory could not be synced: the next attempt
 * must not meet it there, or no compaction ever succeeds again. */
START_TEST(test_an_output_that_is_not_durable_is_not_in_the_way)
{
    static const struct {
        enum vfs_op op;
        const char *glob;
        uint64_t nth;
        bool stays; /* nothing can be removed */
    } faults[] = {
        {VFS_OP_SYNC_DIR, "lane_numeric/l1", 2, false}, /* the first comes before the rename */
        {VFS_OP_OPEN, "lane_numeric/l1/seg-*/manifest.json", 1, false},
        {VFS_OP_SYNC_DIR, "lane_numeric/l1", 2, true},
        {VFS_OP_OPEN, "lane_numeric/l1/seg-*/manifest.json", 1, true},
    };
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init_on(&rig, 1, vfs_fault_vfs(fault));
    four_flushes(&rig);
    struct vfs_fault_rule rule = {
        .ops = 1u << faults[_i].op, .glob = faults[_i].glob, .nth = faults[_i].nth, .st = ST_IO};
    unsigned number = vfs_fault_add(fault, &rule);
    rule = (struct vfs_fault_rule){.ops = VFS_OP(REMOVE),
                                   .glob = "lane_numeric/l1/*",
                                   .nth = 1,
                                   .forever = true,
                                   .st = ST_IO};
    if (faults[_i].stays) (void)vfs_fault_add(fault, &rule);
    pass(&rig, HOUR);
    ck_assert_uint_eq(vfs_fault_n_fired(fault, number), 1);
    ck_assert_uint_eq(stats_of(&rig).n_compact_errors, 1);
    pass(&rig, HOUR);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[1], 1);
    ck_assert_uint_eq(stats_of(&rig).n_compact_errors, 1);
    vfs_fault_clear(fault);
    ck_assert_uint_eq(count(&rig, "a", NULL), 400);
    end(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

/* The new catalog is there although its replacement failed. Killed then, the database is
 * what that one says: nothing that it names may have been removed. */
START_TEST(test_a_catalog_that_is_not_durable_may_be_there_all_the_same)
{
    struct vfs_crash *disk = vfs_crash_new();
    struct vfs_fault *fault = vfs_fault_new(vfs_crash_vfs(disk), 1);
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init_on(&rig, 1, vfs_fault_vfs(fault));
    rig.options.fail_fast = false;
    four_flushes(&rig);
    /* Two come before the output is in its place. */
    struct vfs_fault_rule rule = {
        .ops = VFS_OP(SYNC_DIR), .glob = ".", .nth = 3, .forever = true, .st = ST_IO};
    (void)vfs_fault_add(fault, &rule);
    pass(&rig, HOUR);
    ck_assert_uint_ge(stats_of(&rig).n_compact_errors, 1);
    if (_i == 1) { /* and then another one succeeds: outputs that nobody names go */
        vfs_fault_clear(fault);
        pass(&rig, HOUR);
        ck_assert_uint_eq(stats_of(&rig).n_segments_at[1], 1);
        ck_assert(list_empty(&rig.db->cell.removals));
    }
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_fault_free(fault);
    vfs_crash_free(disk);
    db_rig_init_on(&rig, 1, vfs_crash_vfs(after));
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    ck_assert_uint_eq(count(&rig, "a", NULL), 400);
    ck_assert_uint_eq(stats_of(&rig).n_quarantined, 0);
    end(&rig);
    vfs_crash_free(after);
}
END_TEST

START_TEST(test_a_full_disk_puts_compaction_off)
{
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, 1);
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init_on(&rig, 1, vfs_fault_vfs(fault));
    four_flushes(&rig);
    vfs_fault_set_free(fault, 64 << 20); /* the reserve, and nothing more */
    pass(&rig, HOUR);
    ck_assert_uint_ge(stats_of(&rig).n_compact_deferred, 1);
    ck_assert_uint_eq(stats_of(&rig).n_compact_errors, 0);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[0], 4);
    vfs_fault_set_free(fault, UINT64_MAX);
    pass(&rig, HOUR);
    ck_assert_uint_eq(stats_of(&rig).n_segments_at[1], 1);
    end(&rig);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

START_TEST(test_a_damaged_source_is_left_alone)
{
    struct db_rig rig;
    struct vfs_file *file;
    uint8_t byte = 0xa5;
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 1);
    four_flushes(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    const char *path = "lane_numeric/l0/seg-0000000000000003/chunks.bin";
    ck_assert_int_eq(vfs_open(rig.vfs, &file, path, VFS_WRITE, &rig.err), ST_OK);
    ck_assert_int_eq(vfs_write(file, 70, &byte, 1, &rig.err), ST_OK);
    vfs_close(file);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    pass(&rig, HOUR);
    pass(&rig, HOUR);
    ck_assert_uint_eq(stats_of(&rig).n_compact_errors, 1); /* it tries once */
    ck_assert_int_eq(db_refusing(rig.db, &rig.err), ST_OK);
    ck_assert_uint_ge(stats_of(&rig).n_segments_at[0], 1);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_compact(void)
{
    Suite *s = suite_create("compact");
    TCase *tc = tcase_create("compact");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_segments_move_down);
    tcase_add_test(tc, test_late_samples_win_and_level_2_does_not_overlap);
    tcase_add_test(tc, test_large_output_is_cut_in_time);
    tcase_add_test(tc, test_deleted_samples_and_their_records_go);
    tcase_add_test(tc, test_a_small_delete_is_not_worth_a_rewrite_at_once);
    tcase_add_loop_test(tc, test_who_asks_waits_until_all_is_merged, 0, 6);
    tcase_add_loop_test(tc, test_what_deletes_hide_goes_when_somebody_asks, 0, 2);
    tcase_add_test(tc, test_who_asks_is_told_of_a_close);
    tcase_add_test(tc, test_series_die_with_their_last_sample);
    tcase_add_test(tc, test_what_has_expired_is_rewritten_away);
    tcase_add_test(tc, test_keyed_series_expire_by_their_own_retention);
    tcase_add_test(tc, test_a_clock_that_jumps_expires_nothing);
    tcase_add_test(tc, test_a_view_reads_on_while_its_segments_go);
    tcase_add_test(tc, test_a_catalog_that_cannot_be_written_changes_nothing);
    tcase_add_loop_test(tc, test_an_output_that_is_not_durable_is_not_in_the_way, 0, 4);
    tcase_add_loop_test(tc, test_a_catalog_that_is_not_durable_may_be_there_all_the_same, 0, 2);
    tcase_add_test(tc, test_a_full_disk_puts_compaction_off);
    tcase_add_test(tc, test_a_damaged_source_is_left_alone);
    suite_add_tcase(s, tc);
    return s;
}
