/* Goal: each form of a FILTER expression selects the series that the peer selects, and
 * what cannot be read is refused in its words. Method: a table of expressions against
 * label sets; every prefix of the expressions for memory errors. */
#include "api/ts_filter.h"
#include "tests/unit/api/api_suites.h"

enum { EXPRS_MAX = 4 };

static const struct label kitchen[] = {{SLICE_LIT("room"), SLICE_LIT("kitchen")},
                                       {SLICE_LIT("unit"), SLICE_LIT("C")}};
static const struct label cellar[] = {{SLICE_LIT("room"), SLICE_LIT("a.b|c")}};
static const struct labels sets[] = {{kitchen, 2}, {cellar, 1}, {NULL, 0}};

static const struct filter_case {
    const char *exprs[EXPRS_MAX];
    const char *want; /* a letter a set: k c n(one), or "!error" */
} filters[] = {
    {{"room=kitchen"}, "k"},
    {{"room=a.b|c"}, "c"},
    {{"room=hall"}, ""},
    {{"room=kitchen", "unit=C"}, "k"},
    {{"room=kitchen", "unit=F"}, ""},
    {{"room=kitchen", "unit!=F"}, "k"},
    {{"room=(kitchen,a.b|c)"}, "kc"},
    {{"room=(kitchen)"}, "k"},
    {{"room=(kitche.)"}, ""},           /* no pattern: text */
    {{"room=(a.b|c)"}, "c"},
    {{"room=(a)"}, ""},
    {{"room=()"}, "none"},
    {{"room=(kitchen,hall)", "unit!="}, "k"},
    {{"room=(kitchen,a.b|c)", "unit="}, "c"},
    {{"room=(kitchen,a.b|c)", "room!=kitchen"}, "c"},
    {{"room=(kitchen,a.b|c)", "room!=(kitchen,hall)"}, "c"},
    {{"room=(kitchen,a.b|c)", "room!=()"}, "kc"},
    {{"room=(kitchen,a.b|c)", "room=~kit.*"}, "k"},
    {{"room=(kitchen,a.b|c)", "room=~kit"}, ""}, /* from end to end */
    {{"room=(kitchen,a.b|c)", "room!~kit.*"}, "c"},
    {{"room=kitchen", "room!=~kitchen"}, "k"},   /* not equal to "~kitchen" */
    {{"room!=kitchen"}, "!TSDB: please provide at least one matcher"},
    {{"room="}, "!TSDB: please provide at least one matcher"},
    {{"room!="}, "!TSDB: please provide at least one matcher"},
    {{"room=~k.*"}, "!TSDB: please provide at least one matcher"},
    {{"room!=(a,b)"}, "!TSDB: please provide at least one matcher"},
    {{NULL}, "!TSDB: please provide at least one matcher"},
    {{"room"}, "!TSDB: failed parsing labels"},
    {{""}, "!TSDB: failed parsing labels"},
    {{"=v"}, "!TSDB: failed parsing labels"},
    {{"!=v"}, "!TSDB: failed parsing labels"},
    {{"!~v"}, "!TSDB: failed parsing labels"},
    {{"room=a=b"}, "!TSDB: failed parsing labels"},
    {{"room=(a"}, "!TSDB: failed parsing labels"},
    {{"room=("}, "!TSDB: failed parsing labels"},
    {{"room=(a)b"}, "!TSDB: failed parsing labels"},
    {{"room=(a(b)"}, "!TSDB: failed parsing labels"},
    {{"room=kitchen", "unit"}, "!TSDB: failed parsing labels"},
};

static status parse(struct ts_filter *filter, struct arena *arena, const struct filter_case *c,
                    struct err *err)
{
    struct slice exprs[EXPRS_MAX];
    size_t n = 0;

    for (; n < EXPRS_MAX && c->exprs[n]; n++) exprs[n] = slice_str(c->exprs[n]);
    return ts_filter_parse(filter, arena, exprs, n, err);
}

START_TEST(test_ts_filter_forms)
{
    const struct filter_case *c = &filters[_i];
    const char *shown = c->exprs[0] ? c->exprs[0] : "nothing";
    struct ts_filter filter = {0};
    struct arena arena;
    struct err err = {.st = ST_OK};
    char got[600] = "";

    arena_init(&arena, NULL, 512);
    status st = parse(&filter, &arena, c, &err);
    if (st != ST_OK) {
        snprintf(got, sizeof(got), "!%s", err.text);
    } else if (filter.none) {
        snprintf(got, sizeof(got), "none");
    } else {
        size_t n = 0;
        for (size_t i = 0; i < 3; i++)
            if (matchers_accept((struct matchers){filter.matchers, filter.n}, sets[i]))
                got[n++] = "kcn"[i];
        got[n] = 0;
    }
    ck_assert_msg(strcmp(got, c->want) == 0, "%s: '%s', not '%s'", shown, got, c->want);
    ts_filter_release(&filter);
    arena_release(&arena);
}
END_TEST

START_TEST(test_ts_filter_bad_pattern_is_refused)
{
    const struct filter_case c = {{"room=kitchen", "room=~("}, ""};
    struct ts_filter filter = {0};
    struct arena arena;
    struct err err = {.st = ST_OK};

    arena_init(&arena, NULL, 512);
    ck_assert_int_eq(parse(&filter, &arena, &c, &err), ST_INVALID);
    ck_assert_str_eq(err.text, "TSDB: missing ): (");
    ts_filter_release(&filter);
    arena_release(&arena);
}
END_TEST

/* Each byte of an expression may be any: lists quote all that regular expressions know. */
START_TEST(test_ts_filter_lists_are_text)
{
    struct arena arena;

    arena_init(&arena, NULL, 512);
    for (int c = 0; c < 128; c++) {
        char text[] = "room=(x?y)", value[] = "x?y", other[] = "x-y";
        struct ts_filter filter = {0};
        struct slice expr = slice_of(text, sizeof(text) - 1);
        struct err err = {.st = ST_OK};
        if (c == '(' || c == ')' || c == ',' || c == '-') continue;
        text[7] = value[1] = (char)c;
        struct label same[] = {{SLICE_LIT("room"), slice_of(value, 3)}};
        struct label differs[] = {{SLICE_LIT("room"), slice_of(other, 3)}};
        ck_assert_msg(ts_filter_parse(&filter, &arena, &expr, 1, &err) == ST_OK, "byte %d: %s", c,
                      err.text);
        struct matchers ms = {filter.matchers, filter.n};
        ck_assert_msg(matchers_accept(ms, (struct labels){same, 1}), "byte %d", c);
        ck_assert_msg(!matchers_accept(ms, (struct labels){differs, 1}), "byte %d", c);
        ts_filter_release(&filter);
    }
    arena_release(&arena);
}
END_TEST

Suite *suite_ts_filter(void)
{
    Suite *suite = suite_create("ts_filter");
    TCase *tcase = tcase_create("forms");

    tcase_add_loop_test(tcase, test_ts_filter_forms, 0, sizeof(filters) / sizeof(filters[0]));
    tcase_add_test(tcase, test_ts_filter_bad_pattern_is_refused);
    tcase_add_test(tcase, test_ts_filter_lists_are_text);
    suite_add_tcase(suite, tcase);
    return suite;
}
