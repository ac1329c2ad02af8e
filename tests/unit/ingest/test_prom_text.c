/* Goal: text expositions become exactly their rows, a bad line costs itself alone and is
 * named. Method: tables of bodies against the batch as text; every good body cut at every
 * length and bent at random. */
#include "base/panic.h"
#include "base/rng.h"
#include "ingest/prom_text.h"
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_prom_text(void);

static const struct good {
    const char *body, *want;
} goods[] = {
    {"", ""},
    {"\n\r\n  \n\t\n", ""},
    {"up 1\n", "up 1@0;"},
    {"up 1", "up 1@0;"},
    {"up{} 1\n", "up 1@0;"},
    {"up\t1 \r\n", "up 1@0;"},
    {"  up   1   1700000000005  \n", "up 1@5;"},
    {"a:b_c{job=\"x\",instance=\"h:1\"} 2.5 1700000000001\n",
     "a:b_c{instance=\"h:1\",job=\"x\"} 2.5@1;"},
    {"m { a = \"1\" , b = \"2\" , } 3\n", "m{a=\"1\",b=\"2\"} 3@0;"},
    {"m{a=\"q\\\"b\\\\n\\nl\\t\"} 1\n", "m{a=\"q\\\"b\\\\n\\nl\t\"} 1@0;"},
    {"m{a=\"}{,=\"} 1\n", "m{a=\"}{,=\"} 1@0;"},
    {"m{a=\"\"} 1\n", "m 1@0;"},
    {"{\"a.b\"} 1\n", "{\"a.b\"} 1@0;"},
    {"{\"a.b\",\"c d\"=\"x\",e=\"y\"} 1\n", "{\"a.b\",\"c d\"=\"x\",e=\"y\"} 1@0;"},
    {"{e=\"y\",\"a.b\"} 1\n", "{\"a.b\",e=\"y\"} 1@0;"},
    {"{__name__=\"up\"} 1\n", "up 1@0;"},
    {"m NaN\nm +Inf 1700000000001\nm -Inf 1700000000002\nm Inf 1700000000003\n",
     "m NaN@0 +Inf@1 -Inf@2 +Inf@3;"},
    {"m 1e3\nm -.5 1700000000001\nm 5. 1700000000002\nm +7 1700000000003\n",
     "m 1000@0 -0.5@1 5@2 7@3;"},
    {"a 1\nb 2\na 3\n", "a 1@0;b 2@0;a 3@0;"},
    {"m{a=\"gr\xc3\xbc\xc3\x9f\"} 1\n", "m{a=\"gr\xc3\xbc\xc3\x9f\"} 1@0;"},
    {"m_bucket{le=\"0.1\"} 5 # {trace_id=\"x\"} 0.05 1.5\n", "m_bucket{le=\"0.1\"} 5@0;"},
    {"# just a comment\n#\n# TYPE\n# EOF\nm 1\n", "m 1@0;"},
    {"m 1 1700000060001\nn 2 1690000000000\nk 3\n",
     "m 1@60001!ST_TOO_NEW;n 2@-10000000000!ST_TOO_OLD;k 3@0;"},
    {"m 1 -5\n", "m 1@-1700000000005!ST_TOO_OLD;"},
};

/* OpenMetrics: `_created` of families that count. */
static const struct good createds[] = {
    {"# TYPE r counter\nr_total{p=\"a\"} 17\nr_created{p=\"a\"} 1699999999.5\n# EOF\n",
     "r_total{p=\"a\"} 17@0^-500;"},
    {"# TYPE r counter\nr_created{p=\"b\",q=\"c\"} 1.7e9\nr_total{q=\"c\",p=\"b\"} 1\n"
     "r_total{p=\"b\"} 2\n", /* before it, in another order; not those with other labels */
     "r_total{p=\"b\",q=\"c\"} 1@0^0;r_total{p=\"b\"} 2@0;"},
    {"# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 1\nh_bucket{a=\"1\",le=\"+Inf\"} 2\n"
     "h_count{a=\"1\"} 2\nh_sum{a=\"1\"} 3\nh_created{a=\"1\"} 1699999999\n"
     "h_count{a=\"2\"} 5\nh_created{a=\"2\"} 1699999998\n",
     "h_bucket{a=\"1\",le=\"1\"} 1@0^-1000;h_bucket{a=\"1\",le=\"+Inf\"} 2@0^-1000;"
     "h_count{a=\"1\"} 2@0^-1000;h_sum{a=\"1\"} 3@0^-1000;h_count{a=\"2\"} 5@0^-2000;"},
    {"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_created 1699999999.1239\n",
     "s{quantile=\"0.5\"} 1@0^-877;s_sum 2@0^-877;"},
    {"# TYPE r counter\nr_total 1 1700000000.001\nr_total 2 1700000000.002\nr_created 1700000000\n",
     "r_total 1@1^0 2@2^0;"},
    {"# TYPE r counter\nr_total 1\nr_created NaN\nr_created 1e300\nr_created 0\n",
     "r_total 1@0;"},
    {"# TYPE r counter\n{\"r_total\",a=\"1\"} 1\n{a=\"1\",\"r_created\"} 1699999999\n",
     "r_total{a=\"1\"} 1@0^-1000;"},
    /* Of one family it says nothing about another, nor where nothing counts. */
    {"# TYPE r counter\nr_total 1\n# TYPE q counter\nq_total 2\nq_created 1699999999\nx 3\n",
     "r_total 1@0;q_total 2@0^-1000;x 3@0;"},
    {"# TYPE g gauge\ng 1\ng_created 5\n", "g 1@0;g_created 5@0;"},
    {"r_total 1\nr_created 5\n", "r_total 1@0;r_created 5@0;"},
    {"# TYPE r counter\nr_total 1\nq_created 5\n", "r_total 1@0;q_created 5@0;"},
    {"# TYPE r counter\nr_created 5\n", ""},
};

START_TEST(test_created_lines_are_start_timestamps)
{
    const struct good *c = &createds[_i];
    struct rig rig;
    struct strbuf text;
    rig_init(&rig);
    strbuf_init(&text, 0);
    for (int again = 0; again < 2; again++) { /* also of series that are known */
        ck_assert_int_eq(rig_decode(&rig, openmetrics_decode, slice_str(c->body)), ST_OK);
        ck_assert_uint_eq(rig.report.n_bad_lines, 0);
        if (again) ck_assert_uint_eq(rig.n_asked > 0, rig.batch->n_series > 0);
        else ck_assert_str_eq(rig_text(&rig, &text), c->want);
        size_t n = 0;
        for (const char *at = c->want; (at = strchr(at, '^')); at++) n++;
        ck_assert_uint_eq(rig.batch->n_starts, n);
        rig_learn(&rig);
    }
    /* In the older format there is no such thing. */
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, slice_str(c->body)), ST_OK);
    ck_assert_uint_eq(rig.batch->n_starts, 0);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

/* Exemplars: want2 as rig_exemplars() has them; the rows stay whatever they are. */
static const struct exemplars {
    const char *body, *want;
    uint64_t n_refused;
} exemplars[] = {
    {"m 1 # {trace_id=\"x\"} 0.5 1700000000.005\n", "0{trace_id=x} 0.5@5;", 0},
    {"m 1 1700000001 # {} 2\n", "0{} 2@1000?;", 0},
    {"m 1 # {b=\"2\",a=\"1\",c=\"\"} +Inf\n", "0{a=1,b=2} inf@0?;", 0},
    {"m 1 # {a=\"q\\\"\\n\"} 1 1.7e9\n", "0{a=q\"\n} 1@0;", 0},
    {"m 1 # {a=\"1\"} 1 1700000000.0059999\n", "0{a=1} 1@5;", 0}, /* more digits than ms */
    {"a 1 # {t=\"1\"} 1\nb 1\na 2 # {t=\"2\"} 2\n", "0{t=1} 1@0?;2{t=2} 2@0?;", 0},
    {"m 1 #{t=\"1\"} 1\n", "0{t=1} 1@0?;", 0},
    {"m 1 # trace_id\n", "", 1},
    {"m 1 # {t=\"1\"}\n", "", 1},
    {"m 1 # {t=\"1\"} x\n", "", 1},
    {"m 1 # {t=\"1\"} 1 y\n", "", 1},
    {"m 1 # {t=\"1\"} 1 NaN\n", "", 1},
    {"m 1 # {t=\"1\"} 1 1700000000 z\n", "", 1},
    {"m 1 # {t=\"1\n", "", 1},
    {"m 1 # {\"t\"} 1\n", "", 1},
    {"m 1 # {t=\"1\",t=\"2\"} 1\n", "", 1},
    {"m 1 # {t=\"\xff\"} 1\n", "", 1},
    {"m 1 # {t=\"1\"} 1 1600000000\n", "", 1}, /* older than retention */
    {"m 1 # {t=\"1\"} 1 1800000000\n", "", 1},
    {"m 1 # {t=\"1\"} 1 1e300\n", "", 1},
};

START_TEST(test_exemplars_of_text)
{
    const struct exemplars *e = &exemplars[_i];
    struct rig rig;
    struct strbuf text;
    rig_init(&rig);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, openmetrics_decode, slice_str(e->body)), ST_OK);
    ck_assert_str_eq(rig_exemplars(&rig, &text), e->want);
    ck_assert_uint_eq(rig.report.n_exemplars, rig.batch->n_exemplars + e->n_refused);
    ck_assert_uint_eq(rig.report.n_exemplars_refused, e->n_refused);
    ck_assert_int_eq(rig.report.exemplar.text[0] != 0, e->n_refused != 0);
    ck_assert(rig.report.n_bad_lines == 0 && rig.report.n_refused == 0 && rig.batch->n_rows > 0);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

START_TEST(test_exemplars_of_plain_text_and_their_limit)
{
    struct rig rig;
    struct strbuf text;
    const char *body = "m 1 # {t=\"1\"} 1 1700000000007\nm 2 1700000000001 # {t=\"2\"} 2\n"
                       "m 3 1700000000002 # {t=\"3\"} 3 1700000000.5\n";
    rig_init(&rig);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, slice_str(body)), ST_OK);
    ck_assert_str_eq(rig_exemplars(&rig, &text), "0{t=1} 1@7;0{t=2} 2@1?;");
    rig.env.exemplars_max = 1;
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, slice_str(body)), ST_OK);
    ck_assert_str_eq(rig_exemplars(&rig, &text), "0{t=1} 1@7;");
    ck_assert(rig.report.n_exemplars == 3 && rig.report.n_exemplars_refused == 2);
    rig.env.exemplars_max = 0;
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, slice_str(body)), ST_OK);
    ck_assert(rig.batch->n_exemplars == 0 && rig.report.n_exemplars == 3);
    ck_assert_uint_eq(rig.batch->n_rows, 3);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

static void check_body(decode_fn *decode_body, const struct good *good)
{
    struct rig rig;
    struct strbuf text;
    rig_init(&rig);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, decode_body, slice_str(good->body)), ST_OK);
    const char *got = rig_text(&rig, &text);
    ck_assert_msg(strcmp(got, good->want) == 0, "%s\ngot  %s\nwant %s\n%s", good->body, got,
                  good->want, rig.report.first.text);
    strbuf_release(&text);
    rig_release(&rig);
}

START_TEST(test_good_bodies)
{
    check_body(prom_text_decode, &goods[_i]);
}
END_TEST

static const struct good openmetrics[] = {
    {"m 1 1700000000.005\n", "m 1@5;"},
    {"m 1 1700000000\n", "m 1@0;"},
    {"m 1 1700000000.\nn 1 1700000000.500000\n", "m 1@0;n 1@500;"},
    {"m 1 1.7e9\n", "m 1@0;"},
    {"m 1 1700000000.0005\n", "m 1@0!ST_INVALID;"},
    {"m 1 -0.5\nn 1 .5\n", "m 1@-1700000000500!ST_TOO_OLD;n 1@-1699999999500!ST_TOO_OLD;"},
    {"m 1 99999999999999999999\n", "m 1@0!ST_INVALID;"},
    {"# TYPE m counter\nm_total 5\n# EOF\n", "m_total 5@0;"},
    {"m_total 5 1700000000 # {a=\"b\"} 1 1700000000.1\n# EOF", "m_total 5@0;"},
};

START_TEST(test_openmetrics_times_are_seconds)
{
    check_body(openmetrics_decode, &openmetrics[_i]);
}
END_TEST

static const struct {
    const char *line, *why;
} bads[] = {
    {"up", "no value"},
    {"up x", "bad value"},
    {"up 0x10", "bad value"},
    {"up 1 x", "bad timestamp"},
    {"up 1 1.5", "bad timestamp"},
    {"up 1 99999999999999999999", "bad timestamp"},
    {"up 1 2 3", "more text"},
    {"up{ 1", "do not close"},
    {"up{a=\"b} 1", "does not end"},
    {"up{a=\"b\\\"} 1", "does not end"},
    {"up{a=\"b\\", "does not end"},
    {"up{a} 1", "no ="},
    {"up{a=b} 1", "not quoted"},
    {"up{a=\"b\" c=\"d\"} 1", "no comma"},
    {"up{,} 1", "bad label name"},
    {"up{1a=\"b\"} 1", "bad label name"},
    {"up{a:b=\"b\"} 1", "bad label name"},
    {"up{\"\"=\"b\"} 1", "empty name"},
    {"up{\"x\"} 1", "second metric name"},
    {"{\"x\",\"y\"} 1", "second metric name"},
    {"up{a=\"1\",a=\"2\"} 1", "twice"},
    {"up{__name__=\"x\"} 1", "twice"},
    {"{a=\"1\"} 1", "no metric name"},
    {"{\"\"} 1", "no metric name"},
    {"{} 1", "no metric name"},
    {"1up 1", "bad metric name"},
    {"=1", "no metric name"},
    {"<html> 1", "no metric name"},
    {"foo.bar 1", "bad value"},
    {"up{a=\"\xff\"} 1", "not UTF-8"},
    {"up{__tsink_tenant__=\"x\"} 1", "reserved"},
    {"up{__key__=\"x\"} 1", "reserved"},
    {"# TYPE up bogus", "metric type"},
    {"# TYPE up counter x", "more text"},
    {"# HELP \"up", "does not end"},
    {"# HELP \xff x", "not UTF-8"},
    {"# HELP up \xff", "not UTF-8"},
};

START_TEST(test_bad_lines_cost_themselves_alone)
{
    struct rig rig;
    struct strbuf body, text;
    rig_init(&rig);
    strbuf_init(&body, 0);
    strbuf_init(&text, 0);
    strbuf_printf(&body, "a 1\n\n%s\nb 2\n", bads[_i].line);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, strbuf_view(&body)), ST_OK);
    ck_assert_msg(strcmp(rig_text(&rig, &text), "a 1@0;b 2@0;") == 0, "%s: %s", bads[_i].line,
                  text.ptr);
    ck_assert_uint_eq(rig.report.n_bad_lines, 1);
    ck_assert_uint_eq(rig.report.n_samples, 2);
    ck_assert_msg(strncmp(rig.report.first.text, "line 3: ", 8) == 0, "%s",
                  rig.report.first.text);
    ck_assert_msg(strstr(rig.report.first.text, bads[_i].why), "%s: %s", bads[_i].line,
                  rig.report.first.text);
    strbuf_release(&body);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

START_TEST(test_known_series_are_not_decoded)
{
    struct rig rig;
    struct strbuf text;
    struct slice body = SLICE_LIT("up{a=\"1\"} 1\nup{a=\"2\"} 2\nup{a=\"1\" } 3\n");
    rig_init(&rig);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, body), ST_OK);
    ck_assert_str_eq(rig_text(&rig, &text), "up{a=\"1\"} 1@0;up{a=\"2\"} 2@0;up{a=\"1\"} 3@0;");
    ck_assert_uint_eq(rig.n_asked, 3);
    rig_learn(&rig);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, body), ST_OK);
    ck_assert_str_eq(rig_text(&rig, &text), "#100 1@0;#101 2@0;#102 3@0;");
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

START_TEST(test_metadata_is_gathered_by_family)
{
    struct rig rig;
    rig_init(&rig);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode,
                                SLICE_LIT("# HELP a All\\nof \\\\ them. \n# TYPE a counter\n"
                                          "a 1\n# UNIT a seconds\n"
                                          "# TYPE \"b.c\" gauge\n#  HELP\tb.c\n"
                                          "# TYPE d untyped\n")),
                     ST_OK);
    ck_assert_str_eq(strbuf_cstr(&rig.metadata),
                     "a counter 'All\nof \\ them.' 'seconds';b.c gauge '' '';d unknown '' '';");
    ck_assert_uint_eq(rig.report.n_metadata, 3);
    ck_assert_uint_eq(rig.report.n_bad_lines, 0);
    rig_release(&rig);
}
END_TEST

START_TEST(test_limits_of_a_request)
{
    struct rig rig;
    rig_init(&rig);
    rig.limits.batch_series_max = 2;
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, SLICE_LIT("a 1\nb 1\n")), ST_OK);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, SLICE_LIT("a 1\nb 1\nc 1\n")),
                     ST_TOO_LARGE);
    ck_assert(strstr(rig.err.text, "series"));
    rig.limits.batch_samples_max = 2;
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, SLICE_LIT("a 1\na 1\na 1\n")),
                     ST_TOO_LARGE);
    ck_assert(strstr(rig.err.text, "samples"));
    rig.limits.labels_max = 2;
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode, SLICE_LIT("a{x=\"1\"} 1\n")), ST_OK);
    ck_assert_uint_eq(rig.report.n_bad_lines, 0);
    ck_assert_int_eq(rig_decode(&rig, prom_text_decode,
                                SLICE_LIT("a{x=\"1\",y=\"1\",z=\"1\"} 1\n")), ST_OK);
    ck_assert_uint_eq(rig.report.n_bad_lines, 1);
    rig_release(&rig);
}
END_TEST

START_TEST(test_precision_of_nanoseconds)
{
    struct rig rig;
    rig_init(&rig);
    rig.env.precision = PRECISION_NS;
    rig.env.window = (struct time_window){TS_MIN, TS_MAX};
    ck_assert_int_eq(rig_decode(&rig, openmetrics_decode,
                                SLICE_LIT("m 1 1700000000.123456789\nm 1 -1.5\n")), ST_OK);
    ck_assert_int_eq(rig.batch->ts[0], 1700000000123456789);
    ck_assert_int_eq(rig.batch->ts[1], -1500000000);
    rig_release(&rig);
}
END_TEST

START_TEST(test_cut_and_bent_bodies_do_no_harm)
{
    struct rig rig;
    struct rng rng;
    rng_init(&rng, unit_seed());
    rig_init(&rig);
    for (size_t g = 0; g < ARRAY_LEN(goods) + ARRAY_LEN(createds); g++) {
        size_t n_goods = ARRAY_LEN(goods);
        const char *body = g < n_goods ? goods[g].body : createds[g - n_goods].body;
        size_t len = strlen(body);
        for (size_t cut = 0; cut < len; cut++)
            if (rig_decode(&rig, g < n_goods ? prom_text_decode : openmetrics_decode,
                           slice_of(body, cut)) != ST_OK)
                ck_abort_msg("%s", body);
        for (int round = 0; len && round < 300; round++) {
            char *bent = malloc(len);
            memcpy(bent, body, len);
            for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--)
                bent[rng_below(&rng, len)] = "\"\\{}=,# \n\t\xff" "0a:"[rng_below(&rng, 14)];
            decode_fn *fn = round % 2 ? prom_text_decode : openmetrics_decode;
            if (rig_decode(&rig, fn, slice_of(bent, len)) != ST_OK) ck_abort_msg("not tolerant");
            for (size_t i = 0; i < rig.batch->n_series; i++)
                if (!rig.batch->series[i].name) ck_abort_msg("a series without a name");
            free(bent);
        }
    }
    rig_release(&rig);
}
END_TEST

Suite *suite_prom_text(void)
{
    Suite *suite = suite_create("prom_text");
    TCase *tc = tcase_create("prom_text");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_created_lines_are_start_timestamps, 0, ARRAY_LEN(createds));
    tcase_add_loop_test(tc, test_exemplars_of_text, 0, ARRAY_LEN(exemplars));
    tcase_add_test(tc, test_exemplars_of_plain_text_and_their_limit);
    tcase_add_loop_test(tc, test_good_bodies, 0, ARRAY_LEN(goods));
    tcase_add_loop_test(tc, test_openmetrics_times_are_seconds, 0, ARRAY_LEN(openmetrics));
    tcase_add_loop_test(tc, test_bad_lines_cost_themselves_alone, 0, ARRAY_LEN(bads));
    tcase_add_test(tc, test_known_series_are_not_decoded);
    tcase_add_test(tc, test_metadata_is_gathered_by_family);
    tcase_add_test(tc, test_limits_of_a_request);
    tcase_add_test(tc, test_precision_of_nanoseconds);
    tcase_add_test(tc, test_cut_and_bent_bodies_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite;
}
