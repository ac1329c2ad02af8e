/* Goal: a tail of any kind gives back what was put, through growth, misfits and its late
 * lane, whatever count is read; without memory appends still succeed. Method: rows of
 * times and values against a naive list, read at every published word on the way. */
#include "base/log.h"
#include "engine/db_priv.h"
#include "tests/lib/db_rig.h"
#include "tests/lib/model_db.h"
#include "tests/lib/vfs_crash.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

/* --- tails by themselves -------------------------------------------------------------- */

static const struct shape {
    const char *name;
    enum node_kind kind;
    uint8_t cap;
    int64_t step;              /* preset, as the write path does behind a full tail */
    ts_time ts[6];
    uint32_t n_fit;            /* so many of them fit */
} shapes[] = {
    {"steady", NODE_GRID, 8, 0, {100, 115, 130, 145, 160, 175}, 6},
    {"a gap", NODE_GRID, 8, 0, {100, 115, 145, 160, 175, 190}, 2},
    {"steps back are no grid of their own", NODE_GRID, 8, 0, {100, 90, 80, 70, 60, 50}, 6},
    {"full", NODE_GRID, 4, 0, {1, 2, 3, 4, 5, 6}, 4},
    {"the far ends", NODE_GRID, 4, 0, {TS_MIN, TS_MAX, TS_MAX, 0, 0, 0}, 2},
    {"a known step", NODE_GRID, 8, 15, {100, 115, 130, 144, 160, 175}, 3},
    {"jitter", NODE_GRID16, 8, 15000, {0, 15003, 29999, 45000, 60100, 74000}, 6},
    {"jitter too large", NODE_GRID16, 8, 15000, {0, 15003, 29999, 80000, 0, 0}, 3},
    {"the largest residual", NODE_GRID16, 8, 100000, {0, 132767, 167233, 332768, 0, 0}, 3},
    {"raw takes all", NODE_RAW, 8, 0, {5, TS_MIN, TS_MAX, 0, -1, 7}, 6},
    {"another value", NODE_SAME, 64, 0, {0, 15, 30, 45, 60, 75}, 1},
    {"raw, full", NODE_RAW, 4, 0, {1, 5, 6, 90, 100, 0}, 4},
};

START_TEST(test_tails_take_what_fits)
{
    const struct shape *s = &shapes[_i];
    struct account account;
    struct node_space space;
    account_init(&account, "test", NULL, 0);
    node_space_init(&space, &account);
    struct tail *tail = tail_new(&space, s->kind, VALUE_F64, s->cap);
    ck_assert_uint_eq(node_cap(&tail->node), s->cap);
    ck_assert_ptr_nonnull(tail);
    tail->step = s->step;
    uint32_t n = 0;
    while (n < 6 && tail_fits(tail, n, s->ts[n], (union value){.bits = n})) {
        tail_put(tail, n, s->ts[n], (union value){.bits = n});
        n++;
        for (uint32_t i = 0; i < n; i++) ck_assert_int_eq(tail_ts(tail, i), s->ts[i]);
    }
    ck_assert_msg(n == s->n_fit, "%s: %u fit", s->name, n);
    struct tail *grown = tail_grow(&space, tail, n, s->kind, 32);
    ck_assert_ptr_nonnull(grown);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_int_eq(tail_ts(grown, i), s->ts[i]);
        ck_assert_uint_eq(grown->val[i].bits, i);
    }
    node_free_retired(&space, RETIRE_MOVED_TAIL, &tail->node);
    node_free(&space, &grown->node);
    ck_assert_uint_eq(space.own.used_bytes, 0);
    node_space_release(&space);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

static void free_retired(void *space, unsigned kind, void *ptr)
{
    node_free_retired(space, (enum retire_kind)kind, ptr);
}

START_TEST(test_the_late_lane_holds_64_and_the_last_wins)
{
    struct account account;
    struct node_space space;
    struct retire_list list;
    account_init(&account, "test", NULL, 0);
    node_space_init(&space, &account);
    retire_init(&list, free_retired, &space);
    struct tail *tail = tail_new(&space, NODE_GRID, VALUE_F64, 4);
    for (uint32_t i = 0; i < 4; i++) tail_put(tail, i, i * 10, (union value){.bits = i});
    /* 0, 3, 6... 30, and around again: some hit slots, all hit each other. */
    for (uint32_t i = 0; i < TAIL_LATE_MAX; i++)
        ck_assert(
            tail_put_late(&space, tail, i, i % 11 * 3, (union value){.bits = 100 + i}, &list));
    ck_assert(!tail_put_late(&space, tail, TAIL_LATE_MAX, 1, (union value){.bits = 0}, &list));
    for (uint32_t n_late = 0; n_late <= TAIL_LATE_MAX; n_late++) {
        struct model_db model = {0};
        struct points pts = {0};
        struct time_range bounds;
        node_word word = word_make(&tail->node, n_late << 8 | 4);
        for (uint32_t i = 0; i < 4; i++)
            ck_assert_int_eq(model_db_put(&model, "m", i * 10, i, DUP_LAST), ST_OK);
        for (uint32_t i = 0; i < n_late; i++)
            ck_assert_int_eq(model_db_put(&model, "m", i % 11 * 3, 100 + i, DUP_LAST), ST_OK);
        ck_assert_int_eq(node_read(word, all, &pts, NULL), ST_OK);
        const char *why = model_db_differs(&model, "m", all, &pts);
        ck_assert_msg(!why, "%u late: %s", n_late, why);
        ck_assert(node_bounds(word, &bounds));
        ck_assert_int_eq(bounds.from, pts.ts[0]);
        ck_assert_int_eq(bounds.to, pts.ts[pts.n - 1]);
        pts.n = 0;
        struct time_range part = {4, 20};
        ck_assert_int_eq(node_read(word, part, &pts, NULL), ST_OK);
        ck_assert_ptr_null(model_db_differs(&model, "m", part, &pts));
        points_release(&pts);
        model_db_release(&model);
    }
    node_free(&space, &tail->node);
    retire_release(&list);
    ck_assert_uint_eq(space.own.used_bytes, 0);
    node_space_release(&space);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_the_next_kind_follows_what_was_seen)
{
    static const struct {
        const char *name;
        ts_time ts[5];         /* four in the tail, one that comes */
        enum node_kind kind;
        int64_t step;
    } rows[] = {
        {"steady", {0, 15, 30, 45, 60}, NODE_GRID, 15},
        {"a little jitter", {0, 15, 31, 45, 59}, NODE_GRID16, 16},
        {"a jump", {0, 15, 30, 45, 100000}, NODE_RAW, 0},
        {"wild", {0, 1000000, 1000001, 90000000, 90000001}, NODE_RAW, 0},
        {"the far ends", {TS_MIN, -1, 0, 1, TS_MAX}, NODE_RAW, 0},
    };
    struct node_space space;
    node_space_init(&space, NULL);
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        struct tail *tail = tail_new(&space, NODE_RAW, VALUE_F64, 4);
        int64_t step;
        for (uint32_t i = 0; i < 4; i++)
            tail_put(tail, i, rows[r].ts[i], (union value){.bits = i});
        ck_assert_msg(tail_next_kind(tail, 4, rows[r].ts[4], &step) == rows[r].kind, "%s",
                      rows[r].name);
        ck_assert_msg(step == rows[r].step, "%s: step %lld", rows[r].name, (long long)step);
        node_free(&space, &tail->node);
    }
    node_space_release(&space);
}
END_TEST

/* --- heads in a database --------------------------------------------------------------- */

/* Where the first full tails of a fleet end: spread over 17..32 slots. */
START_TEST(test_first_tails_do_not_fill_together)
{
    bool seen[TAIL_SLOTS_MAX + 1] = {false};
    struct db_rig rig;
    int n_distinct = 0;
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 1);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    for (int s = 0; s < 60; s++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", s);
        int full = 0;
        for (int i = 0; i < 40 && !full; i++) {
            ck_assert_int_eq(db_rig_put(&rig, name, i * 15, i), ST_OK);
            struct node *top = word_node(head_root(cell_head(&rig.db->cell, (uint32_t)s)));
            if (word_node(node_older(top))) full = i;
        }
        ck_assert_int_ge(full, 17);
        ck_assert_int_le(full, 32);
        n_distinct += !seen[full];
        seen[full] = true;
    }
    ck_assert_int_ge(n_distinct, 10);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* A series of one value has it once, until another comes; wherever that is, nothing is lost
 * and the rest of the series' life goes on. */
START_TEST(test_equal_samples_share_a_slot)
{
    enum { N = 300 };
    static const uint32_t changes[] = {1, 2, 4, 5, 16, 17, 31, 33, 64, 90, 150};
    for (size_t c = 0; c < ARRAY_LEN(changes); c++) {
        uint32_t change = changes[c];
        struct db_rig rig;
        log_set_level(LOG_ERROR);
        db_rig_init(&rig, 1);
        ck_assert_int_eq(db_rig_open(&rig), ST_OK);
        struct cell *cell = &rig.db->cell;
        ck_assert_int_eq(db_rig_put(&rig, "m", 0, 5), ST_OK);
        struct head *head = cell_head(cell, 0);
        uint64_t bits = head->last_bits, n_same = 0;
        for (uint32_t i = 1; i < N; i++) {
            ck_assert_int_eq(head_reserve(cell, 1), ST_OK);
            ts_time ts = (ts_time)i * 15 + (i > 250 ? 1 : 0);
            head_append(cell, 0, ts, (union value){.bits = i >= change ? bits + 1 : bits});
            struct node *top = word_node(head_root(head));
            n_same += node_kind(top) == NODE_SAME;
            ck_assert_uint_le(word_n(head_root(head)), node_cap(top));
            if (i == change) ck_assert_int_ne(node_kind(top), NODE_SAME);
        }
        ck_assert_uint_ge(n_same, N / 4);
        struct encode_job *job = encode_take(cell, 10);
        ck_assert_ptr_nonnull(job);
        for (int round = 0; round < 2; round++) { /* as tails, and encoded */
            struct points pts = {0}, part = {0};
            node_word words[64];
            uint32_t n = 0;
            for (node_word w = head_root(head); word_node(w); w = node_older(word_node(w)))
                words[n++] = w;
            while (n-- > 0) {
                part.n = 0;
                ck_assert_int_eq(node_read(words[n], (struct time_range){0, TS_MAX}, &part, NULL),
                                 ST_OK);
                for (size_t i = 0; i < part.n; i++)
                    ck_assert(points_push(&pts, part.ts[i], part.val[i]));
            }
            ck_assert_uint_eq(pts.n, N);
            for (uint32_t i = 0; i < N; i++) {
                ck_assert_int_eq(pts.ts[i], (ts_time)i * 15 + (i > 250 ? 1 : 0));
                ck_assert_uint_eq(pts.val[i].bits, i >= change ? bits + 1 : bits);
            }
            points_release(&pts);
            points_release(&part);
            if (round == 0) {
                encode_work(job);
                encode_put(job);
            }
        }
        ck_assert_int_eq(db_rig_close(&rig), ST_OK);
        db_rig_release(&rig);
    }
}
END_TEST

/* Who waits longest is encoded first, whoever comes meanwhile. */
START_TEST(test_encoding_is_first_come_first_served)
{
    enum { N = 40, TAKE = 7 };
    struct db_rig rig;
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 1);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    struct cell *cell = &rig.db->cell;
    for (int s = 0; s < N; s++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", s);
        ck_assert_int_eq(db_rig_put(&rig, name, 0, 1), ST_OK);
    }
    ck_assert_uint_eq(encode_waiting(&cell->encode), 0);
    ck_assert_int_eq(head_reserve(cell, (size_t)N * TAIL_SLOTS_MAX), ST_OK);
    uint32_t n_pushed = 0, n_taken = 0;
    while (n_taken < N) {
        for (int i = 0; i < 2 * TAKE && n_pushed < N; i++, n_pushed++)
            for (int t = 1; t <= TAIL_SLOTS_MAX; t++)
                head_append(cell, n_pushed, t * 15, (union value){.bits = (uint64_t)t});
        struct encode_job *job = encode_take(cell, TAKE);
        ck_assert_ptr_nonnull(job);
        encode_work(job);
        encode_put(job);
        n_taken += TAKE;
        for (uint32_t i = 0; i < n_pushed; i++) {
            struct node *top = word_node(head_root(cell_head(cell, i)));
            ck_assert_int_eq(node_is_tail(word_node(node_older(top))), i >= n_taken);
        }
        ck_assert_uint_eq(encode_waiting(&cell->encode),
                          n_taken < n_pushed ? n_pushed - n_taken : 0);
    }
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* The account refuses everything: what was reserved must do for in-order, misfitting and
 * late samples, and reserving more is refused in words. */
START_TEST(test_spare_tails_serve_when_memory_is_refused)
{
    enum { N = 200 };
    struct db_rig rig;
    struct model_db model = {0};
    struct points pts = {0};
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 2);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "m", 0, 0), ST_OK);
    (void)model_db_put(&model, "m", 0, f64_bits(0), DUP_LAST);
    struct cell *cell = &rig.db->cell;
    ck_assert_int_eq(head_reserve(cell, N), ST_OK);
    cell->account.limit = 1;
    /* What the spans at hand still hold may be had. */
    size_t n_spare = N;
    while (head_reserve(cell, ++n_spare) == ST_OK) ck_assert_uint_lt(n_spare, N + 100);
    ck_assert_uint_eq(cell->n_spare, n_spare - 1);
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int i = 0; i < N; i++) {
        struct head *head = cell_head(cell, 0);
        ts_time ts = rng_below(&rng, 4) ? head->last_ts + 1 + (ts_time)rng_below(&rng, 3)
                                        : (ts_time)rng_below(&rng, (uint64_t)head->last_ts + 1);
        union value v = {.bits = f64_bits(i)};
        if (ts > head->last_ts) head_append(cell, 0, ts, v);
        else head_append_late(cell, 0, ts, v);
        (void)model_db_put(&model, "m", ts, v.bits, DUP_LAST);
    }
    cell->account.limit = 0;
    ck_assert_int_eq(db_rig_read(&rig, "m", all, &pts, NULL), ST_OK);
    const char *why = model_db_differs(&model, "m", all, &pts);
    ck_assert_msg(!why, "%s", why);
    points_release(&pts);
    model_db_release(&model);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* --- how far late samples spread ---------------------------------------------------------- */

enum writer { BACKWARDS, JUMPS, MIXED, ONE_HOUR };

static const struct spread {
    const char *name;
    enum writer writer;
    enum precision precision;
    int64_t window_ms;
    uint32_t heads;
    int n, batch;              /* samples, samples a batch */
    uint32_t widest, longest;  /* partitions and samples of a lane that must be seen; 0: any */
} spreads[] = {
    {"a year backwards", BACKWARDS, PRECISION_MS, 3600000, 8, 8760, 24, 0, 0},
    {"backwards, each alone", BACKWARDS, PRECISION_MS, 3600000, 8, 1000, 1, 8, 8},
    {"backwards, two an hour's window", BACKWARDS, PRECISION_US, 7200000, 8, 1000, 1, 8, 16},
    {"one partition", BACKWARDS, PRECISION_NS, 3600000, 1, 500, 1, 1, 1},
    {"as many as a lane holds", BACKWARDS, PRECISION_MS, 3600000, 64, 500, 1, 64, 64},
    {"a window below a tick", JUMPS, PRECISION_S, 10, 8, 1000, 1, 8, 0},
    {"a window that knows no end", JUMPS, PRECISION_NS, INT64_MAX / 1000000, 1, 1000, 1, 1, 0},
    {"jumps", JUMPS, PRECISION_MS, 3600000, 8, 3000, 1, 8, 0},
    {"jumps in batches", JUMPS, PRECISION_MS, 3600000, 3, 3000, 50, 0, 0},
    {"in order and jumps", MIXED, PRECISION_MS, 3600000, 8, 3000, 7, 0, 0},
    {"all in one hour", ONE_HOUR, PRECISION_MS, 3600000, 1, 300, 1, 1, 64},
};

static ts_time spread_time(const struct spread *s, struct rng *rng, int i)
{
    int64_t per_ms = precision_ticks_per_ms(s->precision);
    int64_t hour = per_ms ? 3600000 * per_ms : 3600;
    if (i == 0) return s->n / 2 * hour;
    switch (s->writer) {
    case BACKWARDS: return (s->n / 2 - i) * hour; /* half of it before 1970 */
    case MIXED:
        if (i % 3) return (s->n / 2 + i) * hour;
        break;
    case ONE_HOUR: return (int64_t)rng_below(rng, (uint64_t)hour);
    case JUMPS: break;
    }
    return ((int64_t)rng_below(rng, 2000) - 1000) * (hour / 4); /* some twice */
}

/* Partitions in a tail's late lane, one by one. */
static uint32_t lane_spread(const struct late_lane *lane, uint32_t n_late, uint64_t window)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_late; i++) {
        uint64_t mine = ((uint64_t)lane->at[i].ts + window * (INT64_MAX / window)) / window;
        uint32_t k = 0;
        while (k < i && ((uint64_t)lane->at[k].ts + window * (INT64_MAX / window)) / window != mine)
            k++;
        n += k == i;
    }
    return n;
}

struct widest {
    uint32_t spread, late;
};

static void open_spread(struct db_rig *rig, const struct spread *s, struct vfs_crash *disk)
{
    db_rig_init_on(rig, 3, vfs_crash_vfs(disk));
    rig->options.precision = s->precision;
    rig->options.partition_ms = s->window_ms;
    rig->options.partition_heads = s->heads;
    rig->options.retention_ms = 0;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s: %s", s->name, rig->err.text);
}

static void look_at_lanes(struct db_rig *rig, const struct spread *s, struct widest *widest)
{
    node_word word = head_root(cell_head(&rig->db->cell, db_rig_ordinal(rig, "m")));
    int64_t window = db_ticks(rig->db, s->window_ms);
    for (bool newest = true; word_node(word); newest = false) {
        struct node *node = word_node(word);
        if (!node_is_tail(node)) return;
        ck_assert_msg(newest, "%s: a closed tail is not encoded", s->name);
        uint32_t n_late = word_late(word);
        uint32_t n = lane_spread(container_of(node, struct tail, node)->late, n_late,
                                 window ? (uint64_t)window : 1);
        ck_assert_msg(n <= s->heads, "%s: %u partitions", s->name, n);
        if (n > widest->spread) widest->spread = n;
        if (n_late > widest->late) widest->late = n_late;
        word = node_older(node);
    }
}

static void compare(struct db_rig *rig, const struct spread *s, const struct model_db *model)
{
    struct points pts = {0};
    struct err err = {.st = ST_OK};
    ck_assert_int_eq(db_rig_read(rig, "m", all, &pts, NULL), ST_OK);
    const char *why = model_db_differs(model, "m", all, &pts);
    ck_assert_msg(!why, "%s: %s", s->name, why);
    points_release(&pts);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s: %s", s->name, err.text);
}

START_TEST(test_late_samples_spread_no_further_than_they_may)
{
    const struct spread *s = &spreads[_i];
    struct vfs_crash *disk = vfs_crash_new();
    struct db_rig rig;
    struct rng rng;
    struct model_db model = {0};
    struct widest widest = {0};
    log_set_level(LOG_OFF); /* power goes */
    rng_init(&rng, unit_seed());
    open_spread(&rig, s, disk);
    for (int i = 0; i < s->n; i += s->batch) {
        struct batch *batch = db_rig_batch("m");
        for (int k = i; k < i + s->batch && k < s->n; k++) {
            ts_time ts = spread_time(s, &rng, k);
            ck_assert(batch_add_row(batch, 0, ts, (union value){.bits = f64_bits(k)}, 0));
            (void)model_db_put(&model, "m", ts, f64_bits(k), DUP_LAST);
        }
        db_rig_send(&rig, batch);
        ck_assert_uint_eq(batch->n_stored, batch->n_rows);
        batch_free(batch);
        db_rig_settle(&rig);
        look_at_lanes(&rig, s, &widest);
    }
    ck_assert_msg(!s->widest || widest.spread == s->widest, "%s: %u partitions", s->name,
                  widest.spread);
    ck_assert_msg(!s->longest || widest.late == s->longest, "%s: %u late", s->name, widest.late);
    compare(&rig, s, &model);

    /* All of it again, from the log. */
    struct vfs_crash *after = vfs_crash_cut(disk, VFS_CRASH_KEEP_ALL, 1);
    vfs_crash_stop_after(disk, vfs_crash_n_changes(disk));
    (void)db_rig_close(&rig);
    db_rig_release(&rig);
    vfs_crash_free(disk);
    open_spread(&rig, s, after);
    db_rig_settle(&rig);
    ck_assert(node_is_tail(word_node(head_root(cell_head(&rig.db->cell, 0)))));
    look_at_lanes(&rig, s, &widest);
    compare(&rig, s, &model);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
    vfs_crash_free(after);
    model_db_release(&model);
}
END_TEST

Suite *suite_head(void)
{
    Suite *s = suite_create("head");
    TCase *tc = tcase_create("head");
    tcase_add_loop_test(tc, test_tails_take_what_fits, 0, ARRAY_LEN(shapes));
    tcase_add_test(tc, test_the_late_lane_holds_64_and_the_last_wins);
    tcase_add_test(tc, test_the_next_kind_follows_what_was_seen);
    tcase_add_test(tc, test_first_tails_do_not_fill_together);
    tcase_add_test(tc, test_equal_samples_share_a_slot);
    tcase_add_test(tc, test_encoding_is_first_come_first_served);
    tcase_add_test(tc, test_spare_tails_serve_when_memory_is_refused);
    tcase_add_loop_test(tc, test_late_samples_spread_no_further_than_they_may, 0,
                        ARRAY_LEN(spreads));
    suite_add_tcase(s, tc);
    return s;
}
