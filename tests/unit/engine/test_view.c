/* Goal: a view is the state at its pin, whatever the owner does before, during and after
 * the capture. Method: random histories go on inside the sync point between the two halves
 * of a capture and before the reading; jobs are left to run anywhere. A journal without
 * room says so. (Real threads: tests/fault/test_view_exact.c.) */
#include "base/log.h"
#include "base/sync_point.h"
#include "engine/db_priv.h"
#include "engine/view_priv.h"
#include "tests/lib/db_history.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

struct stage {
    struct db_rig rig;
    struct db_history history;
    struct rng rng;
    bool busy;                 /* the sync point does not nest */
};

static void go_on(struct stage *stage, uint64_t n_max)
{
    for (uint64_t i = rng_below(&stage->rng, n_max + 1); i > 0; i--)
        ck_assert(db_history_step(&stage->history, &stage->rig) && !stage->history.failure);
}

static void owner_goes_on(void *ctx)
{
    struct stage *stage = ctx;
    if (stage->busy) return;
    stage->busy = true;
    go_on(stage, 6);
    stage->busy = false;
}

enum { ORDINALS_MAX = 4096, NOBODY = UINT32_MAX }; /* series die, and are born anew */
enum { STARTS = 1 << 16 }; /* the companion of the series */

/* One view of every series that there was at the pin, in ordinal order. */
struct looking {
    struct view *view;
    struct model_db model;     /* the state at the pin */
    struct captured at[ORDINALS_MAX];
    uint32_t series[ORDINALS_MAX]; /* whose ordinal it was at the pin, or NOBODY; or STARTS */
    size_t n;
};

static void pin(struct stage *stage, struct looking *looking)
{
    memset(looking, 0, sizeof(*looking));
    ck_assert_int_eq(db_pin(stage->rig.db, &looking->view, &stage->rig.err), ST_OK);
    for (size_t i = 0; i < ORDINALS_MAX; i++) looking->series[i] = NOBODY;
    for (uint32_t s = 0; s < HISTORY_SERIES; s++) {
        uint32_t ordinal = db_rig_ordinal(&stage->rig, db_history_name(s));
        if (ordinal == ORDINAL_NONE) continue;
        looking->series[ordinal] = s;
        ordinal = registry_starts(db_registry(stage->rig.db), ordinal);
        if (ordinal != ORDINAL_NONE) looking->series[ordinal] = s | STARTS;
    }
    db_history_replay(&stage->history, 0, stage->history.n, &looking->model);
}

/* Ordinals that are born behind the pin are captured, too: they must be empty, also when
 * they have the name of a series that died since. */
static void capture(struct stage *stage, struct looking *looking)
{
    uint32_t n_ordinals = registry_n_ordinals(db_registry(stage->rig.db));
    ck_assert_uint_le(n_ordinals, ORDINALS_MAX);
    for (uint32_t i = 0; i < n_ordinals; i++) looking->at[looking->n++].ordinal = i;
    ck_assert_int_eq(view_capture(looking->view, looking->at, looking->n, &stage->rig.err), ST_OK);
}

static void read_and_unpin(struct stage *stage, struct looking *looking, int round)
{
    struct points pts = {0};
    for (size_t i = 0; i < looking->n; i++) {
        pts.n = 0;
        ck_assert_int_eq(
            view_read(looking->view, &looking->at[i], all, &pts, NULL, &stage->rig.err), ST_OK);
        if (looking->series[i] == NOBODY) {
            ck_assert_uint_eq(pts.n, 0);
            continue;
        }
        uint32_t s = looking->series[i] & ~(uint32_t)STARTS;
        const char *why = looking->series[i] & STARTS
                              ? db_history_starts_differ(&looking->model, s, all, &pts)
                              : model_db_differs(&looking->model, db_history_name(s), all, &pts);
        ck_assert_msg(!why, "seed %llu, round %d: %s", (unsigned long long)stage->rig.seed, round,
                      why);
    }
    points_release(&pts);
    model_db_release(&looking->model);
    db_unpin(stage->rig.db, looking->view);
}

/* Two views at a time, so that one captures while the other is already read. */
static void run(uint64_t seed)
{
    static struct stage stage;
    memset(&stage, 0, sizeof(stage));
    db_rig_init(&stage.rig, seed);
    stage.rig.options.chunk_points = 64;
    stage.rig.options.wal_flush_bytes = seed % 2 ? 8 << 10 : 1 << 30;
    ck_assert_int_eq(db_rig_open(&stage.rig), ST_OK);
    db_history_init(&stage.history, seed);
    stage.history.restarts = 0;
    rng_init(&stage.rng, seed);
    sync_point_set("view:between-roots-and-journal", owner_goes_on, &stage);
    for (int round = 0; round < 25; round++) {
        struct looking first, second;
        go_on(&stage, 5);
        pin(&stage, &first);
        go_on(&stage, 3);
        pin(&stage, &second);
        go_on(&stage, 3);
        capture(&stage, round % 2 ? &first : &second);
        go_on(&stage, 3);
        capture(&stage, round % 2 ? &second : &first);
        go_on(&stage, 5);
        read_and_unpin(&stage, &first, round);
        go_on(&stage, 3);
        read_and_unpin(&stage, &second, round);
    }
    sync_point_clear_all();
    struct err err = {.st = ST_OK};
    db_rig_settle(&stage.rig);
    ck_assert_msg(db_check(stage.rig.db, &err) == ST_OK, "%s", err.text);
    ck_assert_uint_eq(stage.rig.db->cell.n_capturing, 0);
    ck_assert_int_eq(db_rig_close(&stage.rig), ST_OK);
    db_history_release(&stage.history);
    db_rig_release(&stage.rig);
}

START_TEST(test_a_view_is_the_state_at_its_pin)
{
    const char *rounds = getenv("TSINK_ROUNDS");
    uint64_t seed = unit_seed();
    long n = rounds ? strtol(rounds, NULL, 10) : 2;
    log_set_level(LOG_OFF);
    for (long i = 0; i < n; i++) run(seed + (uint64_t)i);
}
END_TEST

static void touch_without_memory(struct db_rig *rig)
{
    rig->db->head_account.limit = 1;
    (void)db_rig_put(rig, "m", 2, 2);
    rig->db->head_account.limit = 0;
}

START_TEST(test_a_journal_without_room_says_so)
{
    struct db_rig rig;
    struct points pts = {0};
    struct view *view;
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 1);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "m", 1, 1), ST_OK);
    struct captured at = {.ordinal = 0};
    ck_assert_int_eq(db_pin(rig.db, &view, &rig.err), ST_OK);
    touch_without_memory(&rig);
    ck_assert_int_eq(view_capture(view, &at, 1, &rig.err), ST_AGAIN);
    db_unpin(rig.db, view);
    ck_assert_int_eq(db_pin(rig.db, &view, &rig.err), ST_OK);
    ck_assert_int_eq(view_capture(view, &at, 1, &rig.err), ST_OK);
    ck_assert_int_eq(view_read(view, &at, all, &pts, NULL, &rig.err), ST_OK);
    ck_assert_uint_eq(pts.n, 2);
    points_release(&pts);
    db_unpin(rig.db, view);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_view(void)
{
    Suite *s = suite_create("view");
    TCase *tc = tcase_create("view");
    tcase_set_timeout(tc, 3600);
    tcase_add_test(tc, test_a_view_is_the_state_at_its_pin);
    tcase_add_test(tc, test_a_journal_without_room_says_so);
    suite_add_tcase(s, tc);
    return s;
}
