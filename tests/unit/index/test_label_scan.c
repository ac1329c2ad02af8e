/* Goal: names and values of what lives, sorted, once, cut at the limit. Method: a table
 * of questions over a small registry with dead series, keys and two tenants; then the
 * same answers over all and over the set of all. */
#include "index/label_scan.h"

#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static const struct scan_case {
    const char *set;  /* matchers that make the set; NULL: all series */
    const char *name; /* NULL: names */
    size_t limit;
    const char *want;
} cases[] = {
    {NULL, NULL, 0, "__key__ __name__ instance job room"},
    {NULL, NULL, 2, "__key__ __name__+"},
    {NULL, NULL, 5, "__key__ __name__ instance job room"},
    {NULL, "job", 0, "a b c"},
    {NULL, "job", 1, "a+"},
    {NULL, "instance", 0, "1 10 2"},
    {NULL, "__key__", 0, "s1 s2"},
    {NULL, "gone", 0, ""},
    {NULL, "never", 0, ""},
    {NULL, "__tsink_tenant__", 0, ""},
    {"job=a", NULL, 0, "__name__ instance job"},
    {"job=a", "instance", 0, "1 2"},
    {"job=b", "instance", 0, "10"},
    {"job=a", "__key__", 0, ""},
    {"room!=", NULL, 0, "__key__ job room"},
    {"room!=", "__key__", 0, "s1 s2"},
    {"room!=", "__key__", 1, "s1+"},
    {"job=zzz", NULL, 0, ""},
    {"job=zzz", "job", 0, ""},
    {"", NULL, 0, "__key__ __name__ instance job room"},
    {"", "job", 0, "a b c"},
};

START_TEST(test_label_scan)
{
    const struct scan_case *c = &cases[_i];
    struct index_fixture fx;
    fixture_init(&fx);
    fixture_add_starts(&fx, fixture_add(&fx, "up,job=a,instance=1"));
    fixture_add(&fx, "up,job=a,instance=2");
    fixture_add(&fx, "up,job=b,instance=10");
    fixture_add(&fx, "key:s1,room=x,__tsink_tenant__=t");
    fixture_add(&fx, "key:s2,room=x,job=c");
    registry_remove(fx.reg, fixture_add(&fx, "up,job=dead,gone=1,key:deadkey"));
    registry_remove(fx.reg, fixture_add(&fx, "up,job=dead,gone=2"));
    registry_remove(fx.reg, fixture_add(&fx, "up,job=dead,gone=2,third=1"));

    struct ordinals set = {.ptr = NULL};
    struct resolve_args args = {.all_tenants = true};
    if (c->set) {
        args.matchers = fixture_matchers(&fx, c->set);
        ck_assert_int_eq(resolve(&set, fx.reg, &args, NULL), ST_OK);
        fixture_matchers_free(args.matchers);
    }
    struct label_scan got;
    status st = c->name ? label_scan_values(&got, fx.reg, slice_str(c->name),
                                            c->set ? &set : NULL, c->limit, NULL, &fx.arena)
                        : label_scan_names(&got, fx.reg, c->set ? &set : NULL, c->limit, NULL,
                                           &fx.arena);
    ck_assert_int_eq(st, ST_OK);
    char text[256] = "";
    for (size_t i = 0; i < got.n; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s" SLICE_FMT,
                 i ? " " : "", SLICE_ARG(got.ptr[i]));
    }
    if (got.more) snprintf(text + strlen(text), sizeof(text) - strlen(text), "+");
    ck_assert_msg(strcmp(text, c->want) == 0, "{%s} %s: got %s, want %s", c->set ? c->set : "all",
                  c->name ? c->name : "names", text, c->want);

    _Atomic bool cancelled = true;
    if (c->set && set.n > 0) {
        ck_assert_int_eq(label_scan_names(&got, fx.reg, &set, 0, &cancelled, &fx.arena),
                         ST_CANCELLED);
    }
    ordinals_release(&set);
    fixture_release(&fx);
}
END_TEST

Suite *suite_label_scan(void)
{
    Suite *suite = suite_create("label_scan");
    TCase *tc = tcase_create("label_scan");
    tcase_add_loop_test(tc, test_label_scan, 0, (int)ARRAY_LEN(cases));
    suite_add_tcase(suite, tc);
    return suite;
}
