/* Goal: labels are rewritten, sorted and joined from info series as Prometheus does.
 * Method: tables. */
#include "base/panic.h"
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "m{src=\"value-10\",dst=\"old\"} 2",
    "m{src=\"value-9\",dst=\"old\"} 1",
    "m{src=\"value-100\",dst=\"old\"} NaN",
    "split{l=\"a\",i=\"1\"} 2 stale",
    "split{l=\"a\",i=\"2\"} _ 4",
    "base{instance=\"a\",job=\"1\",own=\"x\"} 1 2 3",
    "base{instance=\"b\",job=\"1\"} 4 5 6",
    "target_info{instance=\"a\",job=\"1\",v=\"1\",own=\"y\"} 1 1 stale",
    "target_info{instance=\"a\",job=\"1\",v=\"2\",own=\"y\"} _ _ 1",
    "build_info{instance=\"a\",job=\"1\",b=\"7\"} 1 1 1",
    "other_info{instance=\"a\",job=\"1\",b=\"8\"} 1 1 1",
    NULL,
};
static const struct eval_data data = {60000, lines};

#define S10 "m{dst=\"old\",src=\"value-10\"} 2\n"
#define S9 "m{dst=\"old\",src=\"value-9\"} 1\n"
#define S100 "m{dst=\"old\",src=\"value-100\"} NaN\n"

static const struct eval_case cases[] = {
    {"label_replace(m{src=\"value-9\"}, \"dst\", \"n$1\", \"src\", \"value-(.*)\")", 0, 0, 0,
     "m{dst=\"n9\",src=\"value-9\"} 1\n"},
    {"label_replace(m{src=\"value-9\"}, \"dst\", \"n\", \"src\", \"value\")", 0, 0, 0, S9},
    {"label_replace(m{src=\"value-9\"}, \"dst\", \"${w}$$$2${1}$x{$\", \"src\", \"(?P<w>v).*(.)\")",
     0, 0, 0, "m{dst=\"v$9v{$\",src=\"value-9\"} 1\n"},
    {"label_replace(m{src=\"value-9\"}, \"dst\", \"\", \"src\", \".*\")", 0, 0, 0,
     "m{src=\"value-9\"} 1\n"},
    {"label_replace(m{src=\"value-9\"}, \"__name__\", \"x\", \"none\", \"\")", 0, 0, 0,
     "x{dst=\"old\",src=\"value-9\"} 1\n"},
    {"label_replace(-m{src=\"value-9\"}, \"__name__\", \"x\", \"none\", \"\")", 0, 0, 0,
     "x{dst=\"old\",src=\"value-9\"} -1\n"},
    {"label_replace(m, \"src\", \"same\", \"\", \"\")", 0, 0, 0,
     "error: vector cannot contain metrics with the same labelset\n"},
    {"label_replace(split, \"i\", \"x\", \"i\", \".*\")", 0, 60000, 60000,
     "split{i=\"x\",l=\"a\"} 2 4\n"},
    {"label_replace(m, \"dst\", \"\", \"src\", \"(\")", 0, 0, 0,
     "error: invalid regular expression in label_replace(): (\n"},
    {"label_replace(m, \"\", \"\", \"src\", \".\")", 0, 0, 0,
     "error: invalid destination label name in label_replace(): \n"},
    {"label_join(m{src=\"value-9\"}, \"j\", \"/\", \"src\", \"none\", \"dst\")", 0, 0, 0,
     "m{dst=\"old\",j=\"value-9//old\",src=\"value-9\"} 1\n"},
    {"label_join(m{src=\"value-9\"}, \"dst\", \"/\")", 0, 0, 0, "m{src=\"value-9\"} 1\n"},
    {"label_join(m, \"j\", \"\", \"\")", 0, 0, 0,
     "error: invalid source label name in label_join(): \n"},
    /* order */
    {"sort(m)", 0, 0, 0, S9 S10 S100},
    {"sort_desc(m)", 0, 0, 0, S10 S9 S100},
    {"sort_by_label(m, \"src\")", 0, 0, 0, S9 S10 S100},
    {"sort_by_label_desc(m, \"dst\", \"src\")", 0, 0, 0, S100 S10 S9},
    {"sort_by_label(m, \"none\")", 0, 0, 0, S10 S100 S9},
    {"sort(m)", 0, 60000, 60000,
     "m{dst=\"old\",src=\"value-10\"} 2 2\nm{dst=\"old\",src=\"value-100\"} NaN NaN\n"
     "m{dst=\"old\",src=\"value-9\"} 1 1\n"
     "warning: PromQL warning: sort is ineffective for range queries since results are always "
     "ordered by labels (1:1)\n"},
    /* info */
    {"info(base)", 0, 120000, 60000,
     "base{instance=\"a\",job=\"1\",own=\"x\",v=\"1\"} 1 2 _\n"
     "base{instance=\"a\",job=\"1\",own=\"x\",v=\"2\"} _ _ 3\n"
     "base{instance=\"b\",job=\"1\"} 4 5 6\n"},
    {"info(base, {v=~\".+\"})", 0, 0, 0, "base{instance=\"a\",job=\"1\",own=\"x\",v=\"1\"} 1\n"},
    {"info(base, {__name__=\"build_info\"})", 0, 0, 0,
     "base{b=\"7\",instance=\"a\",job=\"1\",own=\"x\"} 1\nbase{instance=\"b\",job=\"1\"} 4\n"},
    {"info(base offset 1m)", 120000, 0, 0,
     "base{instance=\"a\",job=\"1\",own=\"x\",v=\"1\"} 2\nbase{instance=\"b\",job=\"1\"} 5\n"},
    {"info(base, {__name__=~\"build_info|other_info\"})", 0, 0, 0, "error: conflicting label: b\n"},
    {"info(build_info, {__name__=~\".+_info\"})", 0, 0, 0,
     "build_info{b=\"7\",instance=\"a\",job=\"1\"} 1\n"},
};

START_TEST(test_labels)
{
    rig_check(data, &cases[_i]);
}
END_TEST

/* Each of the joins makes the label twice as long. */
static void doubled(struct strbuf *out, unsigned n)
{
    for (unsigned i = 0; i < n; i++) strbuf_str(out, "label_join(");
    strbuf_str(out, "base{instance=\"b\"}");
    for (unsigned i = 0; i < n; i++)
        strbuf_str(out, ", \"job\", \"\", \"job\", \"job\")");
}

START_TEST(test_labels_do_not_double_for_ever)
{
    static const char *const wants[] = {
        "error: label_join() makes a label of more than 1048576 bytes\n",
        "error: label_replace() makes a label of more than 1048576 bytes\n",
    };
    struct strbuf query;

    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        strbuf_init(&query, 0);
        if (i == 1) strbuf_str(&query, "label_replace(");
        doubled(&query, i == 1 ? 20 : 60);
        if (i == 1) strbuf_str(&query, ", \"x\", \"$1$1\", \"job\", \"(.*)\")");
        struct eval_case c = {strbuf_cstr(&query), 0, 0, 0, wants[i]};
        rig_check(data, &c);
        strbuf_release(&query);
    }
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_fn_label(void)
{
    Suite *s = suite_create("fn_label");
    TCase *tc = tcase_create("fn_label");

    tcase_add_loop_test(tc, test_labels, 0, N(cases));
    tcase_add_test(tc, test_labels_do_not_double_for_ever);
    suite_add_tcase(s, tc);
    return s;
}
