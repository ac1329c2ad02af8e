/* Goal: no failing allocation and no failing disk leaves the registry broken, the file
 * half written or memory behind. Method: one script of everything the room does, run
 * with the n-th allocation failing for every n until it runs through; a save with the
 * n-th call to the disk failing for every n. */
#include "base/mem.h"
#include "index/label_scan.h"
#include "index/registry_file.h"
#include "tests/lib/mem_fault.h"
#include "tests/lib/vfs_fault.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static const uint8_t database[16] = "fedcba9876543210";

static void drop_now(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free_fn(ptr, arg);
}

struct script {
    struct account account;
    struct registry *reg;
    struct arena arena;
    struct vfs *vfs;
    struct matcher ms[3];
};

static status add(struct script *s, uint32_t i, uint32_t *ordinal)
{
    struct series_attrs attrs = {.retention_ms = i};
    char name[32], pod[32];
    snprintf(name, sizeof(name), "m%u", i % 3);
    snprintf(pod, sizeof(pod), "p%u", i);
    struct label labels[] = {{SLICE_LIT("__key__"), slice_str(pod)},
                             {SLICE_LIT("__name__"), slice_str(name)},
                             {SLICE_LIT("pod"), slice_str(pod)}};
    struct labels set = i % 4 ? (struct labels){labels + 1, 2} : (struct labels){labels, 3};
    uint8_t identity[128];
    size_t len = labels_identity(identity, set);
    return registry_add(ordinal, s->reg,
                        &(struct series_new){.labels = set,
                                             .identity = slice_of(identity, len),
                                             .hash = hash128(identity, len),
                                             .type = VALUE_F64,
                                             .attrs = i % 5 ? NULL : &attrs});
}

static status run_job(struct script *s, struct registry_rebuild *rb)
{
    if (!rb) return ST_NO_MEMORY;
    status st = registry_rebuild_run(rb, NULL);
    registry_rebuild_publish(s->reg, rb, st);
    return st;
}

static status ask(struct script *s)
{
    struct ordinals set = {.ptr = NULL};
    struct label_scan found;
    struct resolve_args args = {.matchers = {s->ms, 3}, .account = &s->account};
    status st = resolve(&set, s->reg, &args, NULL);
    if (st == ST_OK) {
        ck_assert_uint_eq(set.n, 14); /* p1 p10..p19 p21 p31 p51; p41 is dead */
        set.n_births = 0;
        st = resolve_births(&set, s->reg, &args, registry_n_births(s->reg), NULL);
    }
    if (st == ST_OK) {
        st = label_scan_values(&found, s->reg, SLICE_LIT("pod"), &set, 0, NULL, &s->arena);
    }
    ordinals_release(&set);
    if (st == ST_OK) st = label_scan_names(&found, s->reg, NULL, 0, NULL, &s->arena);
    return st;
}

static status run(struct script *s)
{
    static const struct reclaim drop = {drop_now, NULL};
    uint32_t ordinal;
    s->reg = registry_new(&s->account, &drop);
    if (!s->reg) return ST_NO_MEMORY;
    for (uint32_t i = 0; i < 60; i++) TRY(add(s, i, &ordinal));
    for (uint32_t i = 40; i < 50; i++) registry_remove(s->reg, i);
    TRY(registry_set_attrs(s->reg, 3, &(struct series_attrs){.policy = DUP_MIN}));
    TRY(ask(s));
    TRY(run_job(s, registry_purge_plan(s->reg)));
    struct registry_prefix prefix = registry_prefix(s->reg, 0, 1);
    return fixture_save(s->reg, &prefix, database, s->vfs, "f", NULL);
}

START_TEST(test_every_allocation_fails_once)
{
    mem_fault_install();
    uint64_t n = 1;
    for (bool hit = true; hit; n++) {
        struct script s = {.reg = NULL};
        struct err err = {.st = ST_OK};
        account_init(&s.account, "script", NULL, 0);
        arena_init(&s.arena, NULL, 1024);
        s.vfs = vfs_mem_new();
        ck_assert_int_eq(matcher_init(&s.ms[0], MATCH_NE, SLICE_LIT("__name__"),
                                      SLICE_LIT("m9"), NULL), ST_OK);
        ck_assert_int_eq(matcher_init(&s.ms[1], MATCH_RE, SLICE_LIT("pod"),
                                      SLICE_LIT("p1|p1.|p[0-9]1"), NULL), ST_OK);
        ck_assert_int_eq(matcher_init(&s.ms[2], MATCH_EQ, SLICE_LIT("absent"), SLICE_LIT(""),
                                      NULL), ST_OK);
        mem_fault_arm(n, 1);
        status st = run(&s);
        hit = mem_fault_disarm() > 0;
        /* What may be done without memory is done without: a lost place in a queue. */
        ck_assert_msg(st == ST_OK || (hit && st == ST_NO_MEMORY), "allocation %d: %s", (int)n,
                      status_name(st));
        if (s.reg) {
            st = registry_check(s.reg, &err);
            ck_assert_msg(st == ST_OK, "allocation %d: %s", (int)n, err.text);
        }
        registry_free(s.reg);
        ck_assert_uint_eq(account_used(&s.account), 0);
        ck_assert(!vfs_exists(s.vfs, "f.tmp"));
        arena_release(&s.arena);
        vfs_free(s.vfs);
        for (size_t i = 0; i < 3; i++) matcher_release(&s.ms[i]);
    }
    printf("# %d allocations\n", (int)n - 2);
    ck_assert_uint_gt(n, 50);
}
END_TEST

START_TEST(test_loading_with_every_allocation_failing_once)
{
    mem_fault_install();
    struct index_fixture fx;
    struct vfs *vfs = vfs_mem_new();
    fixture_init(&fx);
    for (int i = 0; i < 50; i++) {
        char text[64];
        snprintf(text, sizeof(text), "up,pod=p%d%s", i, i % 2 ? "" : ",key:even");
        if (i % 2 == 0) snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d", i);
        fixture_add(&fx, text);
    }
    struct registry_prefix prefix = registry_prefix(fx.reg, 9, 1);
    ck_assert_int_eq(fixture_save(fx.reg, &prefix, database, vfs, "f", NULL), ST_OK);
    fixture_release(&fx);

    uint64_t n = 1;
    for (bool hit = true; hit; n++) {
        struct registry_loaded loaded;
        fixture_init(&fx);
        mem_fault_arm(n, 1);
        status st = fixture_load(fx.reg, &loaded, vfs, "f", NULL);
        hit = mem_fault_disarm() > 0;
        ck_assert_msg(hit ? st == ST_NO_MEMORY : st == ST_OK, "allocation %d: %s", (int)n,
                      status_name(st));
        if (!hit) ck_assert_uint_eq(loaded.n_series, 50);
        if (hit) fixture_release_part(&fx);
        else fixture_release(&fx);
    }
    ck_assert_uint_gt(n, 20);
    vfs_free(vfs);
}
END_TEST

START_TEST(test_every_call_to_the_disk_fails_once)
{
    struct index_fixture old, new;
    struct vfs *disk = vfs_mem_new();
    struct vfs_fault *fault = vfs_fault_new(disk, unit_seed());
    struct vfs *vfs = vfs_fault_vfs(fault);
    fixture_init(&old);
    fixture_init(&new);
    fixture_add(&old, "a");
    fixture_add(&new, "a");
    fixture_add(&new, "b");
    struct registry_prefix first = registry_prefix(old.reg, 1, 1);
    struct registry_prefix second = registry_prefix(new.reg, 2, 1);

    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        ck_assert_int_eq(fixture_save(old.reg, &first, database, disk, "f", NULL), ST_OK);
        vfs_fault_clear(fault);
        vfs_fault_add(fault, &(struct vfs_fault_rule){
                                 .ops = VFS_OP(OPEN) | VFS_OP_CHANGES, .nth = n, .st = ST_IO});
        status st = fixture_save(new.reg, &second, database, vfs, "f", NULL);
        failed = vfs_fault_n_fired_all(fault) > 0;
        ck_assert_msg(st == (failed ? ST_IO : ST_OK), "call %d: %s", (int)n, status_name(st));
        vfs_fault_clear(fault);
        vfs_fault_free(fault);
        fault = vfs_fault_new(disk, 1);
        vfs = vfs_fault_vfs(fault);

        struct index_fixture back;
        struct registry_loaded loaded;
        fixture_init(&back);
        ck_assert_int_eq(fixture_load(back.reg, &loaded, disk, "f", NULL), ST_OK);
        ck_assert_uint_eq(loaded.n_series, loaded.covers); /* one or the other, whole */
        if (!failed) ck_assert_uint_eq(loaded.n_series, 2);
        fixture_release(&back);
        ck_assert(!vfs_exists(disk, "f.tmp"));
    }
    vfs_fault_add(fault, &(struct vfs_fault_rule){.ops = VFS_OP(MAP), .nth = 1, .st = ST_IO});
    struct registry_loaded loaded;
    ck_assert_int_eq(fixture_load(old.reg, &loaded, vfs, "f", NULL), ST_IO);
    fixture_release(&old);
    fixture_release(&new);
    vfs_fault_free(fault);
    vfs_free(disk);
}
END_TEST

Suite *suite_index_faults(void)
{
    Suite *suite = suite_create("index_faults");
    TCase *tc = tcase_create("index_faults");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_every_allocation_fails_once);
    tcase_add_test(tc, test_loading_with_every_allocation_failing_once);
    tcase_add_test(tc, test_every_call_to_the_disk_fails_once);
    suite_add_tcase(suite, tc);
    return suite;
}
