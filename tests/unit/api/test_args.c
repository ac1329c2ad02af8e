/* Goal: words land in the struct where the spec says, and everything else is refused
 * with the right words. Method: one spec with every kind of argument and a table of
 * command lines; a table of globs. */
#include "api/args.h"
#include "tests/unit/api/api_suites.h"

struct args {
    struct slice key;
    int64_t from, count, wait_ms;
    double limit;
    bool latest, empty;
    int64_t pair[2];
    struct slices filter;
};

static status parse_from(void *field, struct arg_cursor *at, struct err *err)
{
    struct slice word;

    if (!arg_next(at, &word)) return err_set(err, ST_INVALID, "no from");
    if (slice_is(word, "-")) {
        *(int64_t *)field = INT64_MIN;
        return ST_OK;
    }
    return arg_int(field, word) ? ST_OK : err_set(err, ST_INVALID, "bad from");
}

static status parse_pair(void *field, struct arg_cursor *at, struct err *err)
{
    int64_t *pair = field;
    struct slice a, b;

    if (arg_next(at, &a) && arg_next(at, &b) && arg_int(&pair[0], a) && arg_int(&pair[1], b)) {
        return ST_OK;
    }
    return err_set(err, ST_INVALID, "bad pair");
}

static const struct arg_spec spec[] = {
    ARG_POS(struct args, key, ARG_SLICE),
    ARG_POS_BY(struct args, from, parse_from),
    ARG_FLAG("LATEST", struct args, latest),
    ARG_FLAG("EMPTY", struct args, empty),
    ARG_OPT("COUNT", struct args, count, ARG_INT, 1, 100, "bad count"),
    ARG_OPT("LIMIT", struct args, limit, ARG_DOUBLE, 0, 0),
    ARG_OPT("WAIT", struct args, wait_ms, ARG_DURATION, 0, 0),
    ARG_SUB("PAIR", struct args, pair, parse_pair),
    ARG_REST("FILTER", struct args, filter),
    ARG_END,
};
static const struct arg_shape shape = ARG_SHAPE(struct args, spec);

static const struct row {
    const char *line;  /* words by blanks */
    const char *out;   /* "key from count wait limit flags pair filter" or "!error" */
    enum arg_unknown unknown;
} rows[] = {
    {"k 5", "k 5 0 0 0 .. 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"k - latest EMPTY", "k min 0 0 0 LE 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"k 5 COUNT 7 count 8", "k 5 8 0 0 .. 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"k 5 LIMIT -1.5e3 WAIT 250", "k 5 0 250 -1500 .. 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"k 5 WAIT 5m LIMIT inf", "k 5 0 300000 inf .. 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"k 5 PAIR 1 2 LATEST", "k 5 0 0 0 L. 1,2 0", ARG_UNKNOWN_SYNTAX},
    {"k 5 FILTER a COUNT LATEST", "k 5 0 0 0 .. 0,0 3", ARG_UNKNOWN_SYNTAX},
    {"k 5 FILTER", "k 5 0 0 0 .. 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"COUNT 5 LATEST", "COUNT 5 0 0 0 L. 0,0 0", ARG_UNKNOWN_SYNTAX},
    {"", "!syntax error", ARG_UNKNOWN_SYNTAX},
    {"k", "!no from", ARG_UNKNOWN_SYNTAX},
    {"k x", "!bad from", ARG_UNKNOWN_SYNTAX},
    {"k 5 COUNT", "!bad count", ARG_UNKNOWN_SYNTAX},
    {"k 5 COUNT 0", "!bad count", ARG_UNKNOWN_SYNTAX},
    {"k 5 COUNT 101", "!bad count", ARG_UNKNOWN_SYNTAX},
    {"k 5 COUNT 07", "!bad count", ARG_UNKNOWN_SYNTAX},
    {"k 5 LIMIT nan", "!value is not a valid float", ARG_UNKNOWN_SYNTAX},
    {"k 5 LIMIT", "!syntax error", ARG_UNKNOWN_SYNTAX},
    {"k 5 WAIT -1", "!value is not a valid duration", ARG_UNKNOWN_SYNTAX},
    {"k 5 PAIR 1", "!bad pair", ARG_UNKNOWN_SYNTAX},
    {"k 5 BOGUS", "!syntax error", ARG_UNKNOWN_SYNTAX},
    {"k 5 BOGUS 1", "!TSDB: unknown argument 'BOGUS'", ARG_UNKNOWN_TSDB},
    {"k 5 BOGUS 1 COUNT 3", "k 5 3 0 0 .. 0,0 0", ARG_UNKNOWN_SKIP},
};

static size_t split(struct slice *words, const char *line)
{
    size_t n = 0;

    while (*line) {
        size_t len = strcspn(line, " ");
        words[n++] = slice_of(line, len);
        line += len + (line[len] == ' ');
    }
    return n;
}

START_TEST(test_args_land_where_the_spec_says)
{
    const struct row *row = &rows[_i];
    struct slice words[16];
    struct args args;
    struct arena arena;
    struct err err = {0};
    char out[ERR_TEXT_MAX + 1], from[32];

    arena_init(&arena, NULL, 256);
    memset(&args, 0xaa, sizeof(args));
    size_t n = split(words, row->line);
    status st = args_parse(&args, &shape, words, n, row->unknown, &arena, &err);
    if (st == ST_OK) {
        snprintf(from, sizeof(from), "%lld", (long long)args.from);
        snprintf(out, sizeof(out), SLICE_FMT " %s %d %d %g %c%c %d,%d %zu", SLICE_ARG(args.key),
                 args.from == INT64_MIN ? "min" : from, (int)args.count, (int)args.wait_ms,
                 args.limit, args.latest ? 'L' : '.', args.empty ? 'E' : '.', (int)args.pair[0],
                 (int)args.pair[1], args.filter.n);
    } else {
        ck_assert_int_eq(st, ST_INVALID);
        snprintf(out, sizeof(out), "!%s", err.text);
    }
    ck_assert_msg(strcmp(out, row->out) == 0, "'%s': '%s', not '%s'", row->line, out, row->out);
    arena_release(&arena);
}
END_TEST

START_TEST(test_args_globs)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } globs[] = {
        {"*", "", true}, {"*", "abc", true}, {"", "", true}, {"", "a", false},
        {"a*c", "abbbc", true}, {"a*c", "abbb", false}, {"A?C", "abc", true},
        {"a?", "a", false}, {"[a-c]x", "bx", true}, {"[^a-c]x", "bx", false},
        {"[^a-c]x", "dx", true}, {"[c-a]", "b", true}, {"\\*", "*", true},
        {"\\*", "a", false}, {"[abc", "b", true}, {"*a*b*c*", "xaxbxcx", true},
        {"**", "x", true}, {"a**", "a", true}, {"[", "x", false}, {"\\", "\\", true},
        {"ts.*", "TS.ADD", true}, {"[\\]]", "]", true},
    };

    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
        ck_assert_msg(arg_glob(slice_str(globs[i].pattern), slice_str(globs[i].text)) ==
                          globs[i].match, "'%s' '%s'", globs[i].pattern, globs[i].text);
    }
    /* Exponential in naive matchers. */
    ck_assert(!arg_glob(slice_str("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
                        slice_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}
END_TEST

START_TEST(test_args_numbers)
{
    static const char *const good[] = {"0", "-1", "9223372036854775807", "-9223372036854775808"};
    static const char *const bad[] = {"", "-", "+1", "01", "-0", "1 ", " 1", "1.0", "0x1",
                                      "9223372036854775808"};
    int64_t v;
    double d;

    for (size_t i = 0; i < 4; i++) ck_assert_msg(arg_int(&v, slice_str(good[i])), "%s", good[i]);
    for (size_t i = 0; i < 10; i++) ck_assert_msg(!arg_int(&v, slice_str(bad[i])), "%s", bad[i]);
    ck_assert(arg_double(&d, SLICE_LIT("-inf")) && !arg_double(&d, SLICE_LIT("nan")));
    ck_assert(!arg_double(&d, SLICE_LIT("")) && !arg_double(&d, SLICE_LIT("1x")));
}
END_TEST

Suite *suite_args(void)
{
    Suite *suite = suite_create("args");
    TCase *tc = tcase_create("args");

    tcase_add_loop_test(tc, test_args_land_where_the_spec_says, 0,
                        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tc, test_args_globs);
    tcase_add_test(tc, test_args_numbers);
    suite_add_tcase(suite, tc);
    return suite;
}
