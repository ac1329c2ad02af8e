/* Goal: operators pair the right series and refuse what is ambiguous, in Prometheus'
 * words. Method: tables. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "cpu{i=\"a\",mode=\"idle\"} 3",
    "cpu{i=\"a\",mode=\"user\"} 1",
    "cpu{i=\"b\",mode=\"idle\"} 8",
    "role{i=\"a\",role=\"db\"} 1",
    "role{i=\"c\",role=\"web\"} 5",
    "lim{i=\"a\"} 2 2",
    "lim{i=\"b\"} 10 _x5 10",
    "flip{i=\"a\",v=\"1\"} 1 stale",
    "flip{i=\"a\",v=\"2\"} _ 2",
    NULL,
};
static const struct eval_data data = {60000, lines};

static const struct eval_case cases[] = {
    /* scalars */
    {"cpu % 2", 0, 0, 0,
     "{i=\"a\",mode=\"idle\"} 1\n{i=\"a\",mode=\"user\"} 1\n{i=\"b\",mode=\"idle\"} 0\n"},
    {"2 ^ lim", 0, 0, 0, "{i=\"a\"} 4\n{i=\"b\"} 1024\n"},
    {"lim > 2", 0, 0, 0, "lim{i=\"b\"} 10\n"},
    {"5 > lim", 0, 0, 0, "lim{i=\"a\"} 2\n"},
    {"5 > bool lim", 0, 0, 0, "{i=\"a\"} 1\n{i=\"b\"} 0\n"},
    {"lim == NaN", 0, 0, 0, ""},
    {"lim != bool NaN", 0, 0, 0, "{i=\"a\"} 1\n{i=\"b\"} 1\n"},
    {"-7 % 3", 0, 0, 0, "scalar -1\n"},
    {"1 atan2 1", 0, 0, 0, "scalar 0.7853981633974483\n"},
    /* one to one */
    {"lim + lim", 0, 0, 0, "{i=\"a\"} 4\n{i=\"b\"} 20\n"},
    {"lim - on (i) role", 0, 0, 0, "{i=\"a\"} 1\n"},
    {"role - ignoring (role) lim", 0, 0, 0, "{i=\"a\"} -1\n"},
    {"role < ignoring (role) lim", 0, 0, 0, "role{i=\"a\"} 1\n"},
    {"role < on (i) lim", 0, 0, 0, "{i=\"a\"} 1\n"},
    {"lim <= bool on (i) role", 0, 0, 0, "{i=\"a\"} 0\n"},
    {"lim + nothing", 0, 0, 0, ""},
    {"cpu + on (i) lim", 0, 0, 0,
     "error: multiple matches for labels: many-to-one matching must be explicit "
     "(group_left/group_right)\n"},
    {"cpu > on (i) lim * 100", 0, 0, 0,
     "error: multiple matches for labels: many-to-one matching must be explicit "
     "(group_left/group_right)\n"},
    {"lim + on (i) cpu", 0, 0, 0,
     "error: found duplicate series for the match group {i=\"a\"} on the right hand-side of the "
     "operation: [{__name__=\"cpu\", i=\"a\", mode=\"user\"}, {__name__=\"cpu\", i=\"a\", "
     "mode=\"idle\"}];many-to-many matching not allowed: matching labels must be unique on one "
     "side\n"},
    {"nothing + on (i) cpu", 0, 0, 0, ""},
    {"flip + ignoring (v) lim", 0, 60000, 60000, "{i=\"a\"} 3 4\n"},
    {"lim + ignoring (v) flip", 0, 60000, 60000, "{i=\"a\"} 3 4\n"},
    /* many to one */
    {"cpu * on (i) group_left lim", 0, 0, 0,
     "{i=\"a\",mode=\"idle\"} 6\n{i=\"a\",mode=\"user\"} 2\n{i=\"b\",mode=\"idle\"} 80\n"},
    {"cpu * on (i) group_left (role) role", 0, 0, 0,
     "{i=\"a\",mode=\"idle\",role=\"db\"} 3\n{i=\"a\",mode=\"user\",role=\"db\"} 1\n"},
    {"lim - on (i) group_right cpu", 0, 0, 0,
     "{i=\"a\",mode=\"idle\"} -1\n{i=\"a\",mode=\"user\"} 1\n{i=\"b\",mode=\"idle\"} 2\n"},
    {"lim > on (i) group_right cpu", 0, 0, 0,
     "cpu{i=\"a\",mode=\"user\"} 2\ncpu{i=\"b\",mode=\"idle\"} 10\n"},
    {"cpu * on (i) group_left (mode) lim", 0, 0, 0,
     "error: multiple matches for labels: grouping labels must ensure unique matches\n"},
    {"cpu * on (i) group_right lim", 0, 0, 0,
     "error: found duplicate series for the match group {i=\"a\"} on the left hand-side of the "
     "operation: [{__name__=\"cpu\", i=\"a\", mode=\"user\"}, {__name__=\"cpu\", i=\"a\", "
     "mode=\"idle\"}];many-to-many matching not allowed: matching labels must be unique on one "
     "side\n"},
    /* fill */
    {"lim + on (i) fill (0) role", 0, 0, 0, "{i=\"a\"} 3\n{i=\"b\"} 10\n{i=\"c\"} 5\n"},
    {"lim + on (i) fill_left (1) role", 0, 0, 0, "{i=\"a\"} 3\n{i=\"c\"} 6\n"},
    {"lim - on (i) fill_right (1) role", 0, 360000, 360000, "{i=\"a\"} 1 _\n{i=\"b\"} 9 9\n"},
    /* sets */
    {"cpu and on (i) role", 0, 0, 0,
     "cpu{i=\"a\",mode=\"idle\"} 3\ncpu{i=\"a\",mode=\"user\"} 1\n"},
    {"cpu unless on (i) role", 0, 0, 0, "cpu{i=\"b\",mode=\"idle\"} 8\n"},
    {"lim or ignoring (role) role", 0, 0, 0,
     "lim{i=\"a\"} 2\nlim{i=\"b\"} 10\nrole{i=\"c\",role=\"web\"} 5\n"},
    {"cpu and nothing", 0, 0, 0, ""},
    {"nothing or lim{i=\"a\"}", 0, 0, 0, "lim{i=\"a\"} 2\n"},
    {"flip{v=\"1\"} or flip", 0, 60000, 60000,
     "flip{i=\"a\",v=\"1\"} 1 _\nflip{i=\"a\",v=\"2\"} _ 2\n"},
    {"lim{i=\"b\"} or lim offset 1m", 0, 480000, 120000,
     "lim{i=\"a\"} _ 2 2 2 _\nlim{i=\"b\"} 10 10 10 10 10\n"},
    {"lim and lim > 5", 0, 0, 0, "lim{i=\"b\"} 10\n"},
};

START_TEST(test_operators)
{
    rig_check(data, &cases[_i]);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_eval_binary(void)
{
    Suite *s = suite_create("eval_binary");
    TCase *tc = tcase_create("eval_binary");

    tcase_add_loop_test(tc, test_operators, 0, N(cases));
    suite_add_tcase(s, tc);
    return s;
}
