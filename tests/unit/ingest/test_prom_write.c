/* Goal: a remote write request becomes exactly its rows, known series without a look at
 * their labels; bad series and times are refused alone; damage anywhere refuses all.
 * Method: requests written by hand against the batch as text; a good request cut at every
 * length and bent at random; the bad-input rows of reliability.md 5. */
#include <math.h>

#include "base/panic.h"
#include "base/rng.h"
#include "ingest/prom_write.h"
#include "model/histogram.h"
#include "tests/lib/pb_write.h"
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_prom_write(void);

struct fixture {
    struct rig rig;
    struct strbuf req, series, child, text;
} fx;

static void set_up(void)
{
    rig_init(&fx.rig);
    strbuf_init(&fx.req, 0);
    strbuf_init(&fx.series, 0);
    strbuf_init(&fx.child, 0);
    strbuf_init(&fx.text, 0);
}

static void tear_down(void)
{
    strbuf_release(&fx.req);
    strbuf_release(&fx.series);
    strbuf_release(&fx.child);
    strbuf_release(&fx.text);
    rig_release(&fx.rig);
}

static void end_series(void)
{
    pb_message(&fx.req, 1, &fx.series);
}

static void simple_series(const char *name, const char *job, double v)
{
    pb_label(&fx.series, "__name__", name);
    if (job) pb_label(&fx.series, "job", job);
    pb_sample(&fx.series, v, RIG_NOW);
    end_series();
}

static status decode(void)
{
    return rig_decode(&fx.rig, prom_write_decode, strbuf_view(&fx.req));
}

static void expect_text(const char *want)
{
    const char *got = rig_text(&fx.rig, &fx.text);
    ck_assert_msg(strcmp(got, want) == 0, "got  %s\nwant %s", got, want);
}

static void expect_ok(const char *want)
{
    status st = decode();
    ck_assert_msg(st == ST_OK, "%s: %s", status_name(st), fx.rig.err.text);
    expect_text(want);
}

static void expect_first(status st, const char *part)
{
    const struct err *first = &fx.rig.report.first;
    ck_assert_msg(first->st == st && strstr(first->text, part), "%s: %s", status_name(first->st),
                  first->text);
}

static void expect_damage(const char *part)
{
    status st = decode();
    ck_assert_msg(st == ST_PROTOCOL, "%s", status_name(st));
    ck_assert_msg(strstr(fx.rig.err.text, part), "%s", fx.rig.err.text);
    ck_assert_uint_eq(fx.rig.metadata.len, 0);
}

START_TEST(test_requests_become_rows)
{
    pb_label(&fx.series, "__name__", "up");
    pb_label(&fx.series, "instance", "h:1");
    pb_label(&fx.series, "job", "a");
    pb_sample(&fx.series, 1, RIG_NOW);
    pb_sample(&fx.series, 0.5, RIG_NOW + 15);
    end_series();
    simple_series("down", NULL, -2);
    expect_ok("up{instance=\"h:1\",job=\"a\"} 1@0 0.5@15;down -2@0;");
    const struct batch_series *s = &fx.rig.batch->series[0];
    uint8_t identity[64];
    size_t len = labels_identity(identity, s->name->labels);
    ck_assert(slice_eq(s->name->identity, slice_of(identity, len)));
    struct hash128 hash = hash128(identity, len);
    ck_assert(s->name->hash.lo == hash.lo && s->name->hash.hi == hash.hi);
    ck_assert(s->make == MAKE_ALLOWED && s->type == VALUE_F64 && s->n_rows == 2 && !s->scattered);
    ck_assert_uint_eq(fx.rig.report.n_series, 2);
    ck_assert_uint_eq(fx.rig.report.n_samples, 3);
    ck_assert_uint_eq(fx.rig.report.n_refused, 0);
    ck_assert_int_eq(fx.rig.report.first.st, ST_OK);
}
END_TEST

START_TEST(test_nothing_is_fine)
{
    expect_ok("");
    end_series(); /* a TimeSeries of nothing: no rows, but no name either */
    expect_ok("");
    expect_first(ST_BAD_LABEL, "series 0: the series has no metric name");
    strbuf_reset(&fx.req);
    pb_label(&fx.series, "__name__", "up"); /* labels without samples leave nothing */
    end_series();
    expect_ok("");
    ck_assert_int_eq(fx.rig.report.first.st, ST_OK);
}
END_TEST

START_TEST(test_known_series_are_not_decoded)
{
    simple_series("up", "a", 1);
    simple_series("up", "b", 2);
    expect_ok("up{job=\"a\"} 1@0;up{job=\"b\"} 2@0;");
    ck_assert_uint_eq(fx.rig.n_asked, 2);
    rig_learn(&fx.rig);
    expect_ok("#100 1@0;#101 2@0;");
    const struct batch_series *s = &fx.rig.batch->series[0];
    ck_assert(s->gen == 7 && s->name == NULL); /* nothing to remember */
    fx.rig.env.known = NULL;
    expect_ok("up{job=\"a\"} 1@0;up{job=\"b\"} 2@0;");
}
END_TEST

/* The last 18 bytes of a message look like a sample: only a known run makes them one. */
START_TEST(test_the_split_at_the_tail)
{
    simple_series("up", "a", 1);
    expect_ok("up{job=\"a\"} 1@0;");
    rig_learn(&fx.rig);
    simple_series("up", "a", 2);
    pb_label(&fx.series, "__name__", "up"); /* two samples: the split is wrong */
    pb_label(&fx.series, "job", "a");
    pb_sample(&fx.series, 3, RIG_NOW);
    pb_sample(&fx.series, 4, RIG_NOW + 1);
    end_series();
    pb_label(&fx.series, "__name__", "up"); /* a label that ends like a sample */
    strbuf_reset(&fx.child);
    pb_text(&fx.child, 1, "job");
    pb_bytes(&fx.child, 2, SLICE_LIT("a\x12\x10\x09" "12345678\x10\x80\x80\x80\x80\x80\x01"));
    pb_message(&fx.series, 1, &fx.child);
    end_series();
    simple_series("up", "a", 5);
    expect_ok("#100 1@0;#100 2@0;#100 3@0 4@1;#100 5@0;");
    ck_assert_uint_eq(fx.rig.report.n_samples, 5);
    for (int i = 0; i < 40; i++) { /* a sender of two samples a series */
        pb_label(&fx.series, "__name__", "up");
        pb_label(&fx.series, "job", "a");
        pb_sample(&fx.series, i, RIG_NOW);
        pb_sample(&fx.series, i, RIG_NOW + 1);
        end_series();
    }
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_uint_eq(fx.rig.report.n_samples, 85);
    ck_assert_uint_eq(fx.rig.report.n_refused, 0);
}
END_TEST

START_TEST(test_known_rows_outside_the_window_and_over_the_limit)
{
    simple_series("up", "a", 1);
    expect_ok("up{job=\"a\"} 1@0;");
    rig_learn(&fx.rig);
    fx.rig.env.window.newest = RIG_NOW - 1;
    expect_ok("#100 1@0!ST_TOO_NEW;");
    expect_first(ST_TOO_NEW, "series 0, timestamp 1700000000000");
    fx.rig.env.window.newest = TS_MAX;
    fx.rig.env.precision = PRECISION_US;
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_int_eq(fx.rig.batch->ts[0], RIG_NOW * 1000);
    fx.rig.env.precision = PRECISION_MS;
    fx.rig.limits.batch_samples_max = 0;
    ck_assert_int_eq(decode(), ST_TOO_LARGE);
    /* bytes behind a known run that are no sample are damage as ever */
    strbuf_reset(&fx.req);
    fx.rig.limits.batch_samples_max = 10;
    pb_label(&fx.series, "__name__", "up");
    pb_label(&fx.series, "job", "a");
    strbuf_put(&fx.series, "\x12\x10\x09" "12345678\x10\x80\x80\x80\x80\x80\x80", 18);
    end_series();
    expect_damage("at byte ");
}
END_TEST

START_TEST(test_order_and_place_of_labels_do_not_matter)
{
    pb_label(&fx.series, "job", "a"); /* not sorted */
    pb_label(&fx.series, "__name__", "up");
    pb_label(&fx.series, "zone", ""); /* empty: absent */
    pb_sample(&fx.series, 1, RIG_NOW);
    end_series();
    pb_sample(&fx.series, 2, RIG_NOW); /* labels behind the sample */
    pb_label(&fx.series, "__name__", "up");
    pb_label(&fx.series, "job", "a");
    end_series();
    pb_label(&fx.series, "__name__", "up"); /* labels around the sample */
    pb_sample(&fx.series, 3, RIG_NOW);
    pb_label(&fx.series, "job", "a");
    pb_sample(&fx.series, 4, RIG_NOW + 1);
    end_series();
    expect_ok("up{job=\"a\"} 1@0;up{job=\"a\"} 2@0;up{job=\"a\"} 3@0 4@1;");
    const struct batch_series *s = fx.rig.batch->series;
    ck_assert(s[0].name->raw_hash.lo);
    ck_assert(s[2].name->raw_hash.lo == 0 && s[2].name->raw_hash.hi == 0);
    ck_assert(s[0].name->hash.lo == s[2].name->hash.lo && s[1].name->hash.hi == s[2].name->hash.hi);
}
END_TEST

/* The run of labels of a series may be that of another, known one: what follows decides. */
START_TEST(test_late_labels_never_reach_the_wrong_series)
{
    simple_series("up", NULL, 1);
    expect_ok("up 1@0;");
    rig_learn(&fx.rig);
    strbuf_reset(&fx.req);
    pb_label(&fx.series, "__name__", "up");
    pb_sample(&fx.series, 2, RIG_NOW);
    pb_sample(&fx.series, 3, INT64_MAX);
    pb_label(&fx.series, "job", "b");
    end_series();
    expect_ok("up{job=\"b\"} 2@0 3@9223370336854775807!ST_TOO_NEW;");
    ck_assert_uint_eq(fx.rig.report.n_samples, 2);
    ck_assert_uint_eq(fx.rig.report.n_refused, 1);
}
END_TEST

START_TEST(test_values_are_kept_bit_for_bit)
{
    static const uint64_t bits[] = {VALUE_STALE_BITS, VALUE_NAN_BITS, 0x7ff0000000000000,
                                    0xfff0000000000000, 0x8000000000000000, 1, 0xfff8dead0000beef};
    pb_label(&fx.series, "__name__", "m");
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        pb_sample(&fx.series, bits_f64(bits[i]), RIG_NOW + (int64_t)i);
    end_series();
    ck_assert_int_eq(decode(), ST_OK);
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        ck_assert_uint_eq(fx.rig.batch->val[i].bits, bits[i]);
}
END_TEST

START_TEST(test_samples_in_any_shape)
{
    pb_label(&fx.series, "__name__", "m");
    pb_varint(&fx.child, 2, RIG_NOW); /* time first */
    pb_double(&fx.child, 1, 1);
    pb_message(&fx.series, 2, &fx.child);
    pb_double(&fx.child, 1, 2); /* a field of a later version between and behind */
    pb_text(&fx.child, 9, "x");
    pb_varint(&fx.child, 2, RIG_NOW);
    pb_varint(&fx.child, 99, 5);
    pb_message(&fx.series, 2, &fx.child);
    pb_varint(&fx.child, 2, RIG_NOW); /* no value: 0 */
    pb_message(&fx.series, 2, &fx.child);
    pb_double(&fx.child, 1, 3); /* no time: the epoch, too old */
    pb_message(&fx.series, 2, &fx.child);
    pb_message(&fx.series, 2, &fx.child); /* nothing at all */
    pb_text(&fx.series, 77, "unknown");
    end_series();
    pb_varint(&fx.req, 2, 1); /* reserved, unknown */
    pb_text(&fx.req, 50, "unknown");
    expect_ok("m 1@0 2@0 0@0 3@-1700000000000!ST_TOO_OLD 0@-1700000000000!ST_TOO_OLD;");
}
END_TEST

START_TEST(test_times_outside_the_window_are_refused_alone)
{
    pb_label(&fx.series, "__name__", "m");
    pb_sample(&fx.series, 1, RIG_NOW - 3600000);
    pb_sample(&fx.series, 2, RIG_NOW - 3600001);
    pb_sample(&fx.series, 3, RIG_NOW + 60000);
    pb_sample(&fx.series, 4, RIG_NOW + 60001);
    pb_sample(&fx.series, 5, INT64_MAX);
    end_series();
    simple_series("n", NULL, 6);
    expect_ok("m 1@-3600000 2@-3600001!ST_TOO_OLD 3@60000 4@60001!ST_TOO_NEW "
              "5@9223370336854775807!ST_TOO_NEW;n 6@0;");
    ck_assert_uint_eq(fx.rig.report.n_refused, 3);
    expect_first(ST_TOO_OLD, "series 0, timestamp 1699996399999: timestamp is older");
    ck_assert_int_eq(fx.rig.batch->series[0].st, ST_OK);
}
END_TEST

START_TEST(test_precisions)
{
    simple_series("m", NULL, 1);
    fx.rig.env.window = (struct time_window){TS_MIN, TS_MAX};
    fx.rig.env.precision = PRECISION_NS;
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_int_eq(fx.rig.batch->ts[0], RIG_NOW * 1000000);
    fx.rig.env.precision = PRECISION_S;
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_int_eq(fx.rig.batch->ts[0], RIG_NOW / 1000);
    pb_label(&fx.series, "__name__", "m");
    pb_sample(&fx.series, 1, RIG_NOW + 500);
    end_series();
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_int_eq(fx.rig.batch->result[1], ST_INVALID);
    expect_first(ST_INVALID, "precision");
}
END_TEST

static const struct {
    const char *name, *value, *why;
} bad_labels[] = {
    {"", "x", "a label has an empty name"},
    {"", "", "a label has an empty name"},
    {"job", "y", "\"job\" is there twice"},
    {"a", "\xff", "label \"a\" is not UTF-8"},
    {"a\xff", "x", "a label name is not UTF-8"},
    {"__tsink_tenant__", "x", "reserved"},
    {"__key__", "x", "reserved"},
};

START_TEST(test_bad_series_refuse_their_rows_only)
{
    simple_series("good", "a", 1);
    pb_label(&fx.series, "__name__", "bad");
    pb_label(&fx.series, "job", "a");
    pb_label(&fx.series, bad_labels[_i].name, bad_labels[_i].value);
    pb_sample(&fx.series, 2, RIG_NOW);
    pb_sample(&fx.series, 3, RIG_NOW + 1);
    end_series();
    simple_series("good", "b", 4);
    expect_ok("good{job=\"a\"} 1@0;{}!ST_BAD_LABEL 2@0!ST_BAD_LABEL 3@1!ST_BAD_LABEL;"
              "good{job=\"b\"} 4@0;");
    ck_assert_uint_eq(fx.rig.report.n_refused, 2);
    expect_first(ST_BAD_LABEL, "series 1: ");
    expect_first(ST_BAD_LABEL, bad_labels[_i].why);
}
END_TEST

START_TEST(test_series_without_a_name)
{
    pb_label(&fx.series, "job", "a");
    pb_sample(&fx.series, 1, RIG_NOW);
    end_series();
    pb_label(&fx.series, "__name__", "");
    pb_sample(&fx.series, 1, RIG_NOW);
    end_series();
    expect_ok("{}!ST_BAD_LABEL 1@0!ST_BAD_LABEL;{}!ST_BAD_LABEL 1@0!ST_BAD_LABEL;");
    expect_first(ST_BAD_LABEL, "series 0: the series has no metric name");
}
END_TEST

START_TEST(test_sizes_of_labels)
{
    char text[20000];
    memset(text, 'x', sizeof(text));
    struct {
        uint32_t name_len, value_len;
        bool ok;
    } rows[] = {{256, 5, true}, {257, 5, false}, {5, 16384, true}, {5, 16385, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_reset(&fx.req);
        pb_label(&fx.series, "__name__", "m");
        pb_bytes(&fx.child, 1, slice_of(text, rows[i].name_len));
        pb_bytes(&fx.child, 2, slice_of(text, rows[i].value_len));
        pb_message(&fx.series, 1, &fx.child);
        pb_sample(&fx.series, 1, RIG_NOW);
        end_series();
        ck_assert_int_eq(decode(), ST_OK);
        ck_assert_int_eq(fx.rig.report.n_refused, rows[i].ok ? 0 : 1);
    }
}
END_TEST

START_TEST(test_number_of_labels)
{
    for (int n = 63; n <= 66; n++) {
        char name[16];
        strbuf_reset(&fx.req);
        pb_label(&fx.series, "__name__", "m");
        for (int i = 1; i < n; i++) {
            snprintf(name, sizeof(name), "l%02d", i);
            pb_label(&fx.series, name, "v");
        }
        pb_sample(&fx.series, 1, RIG_NOW);
        end_series();
        ck_assert_int_eq(decode(), ST_OK);
        ck_assert_int_eq(fx.rig.report.n_refused, n <= 64 ? 0 : 1);
        if (n > 64) expect_first(ST_BAD_LABEL, "series 0: more than 64 labels");
    }
}
END_TEST

START_TEST(test_limits_of_a_request)
{
    fx.rig.limits.batch_series_max = 2;
    fx.rig.limits.batch_samples_max = 3;
    simple_series("a", NULL, 1);
    simple_series("b", NULL, 1);
    ck_assert_int_eq(decode(), ST_OK);
    simple_series("c", NULL, 1);
    ck_assert_int_eq(decode(), ST_TOO_LARGE);
    ck_assert(strstr(fx.rig.err.text, "series"));
    strbuf_reset(&fx.req);
    pb_label(&fx.series, "__name__", "m");
    for (int i = 0; i < 4; i++) pb_sample(&fx.series, 1, RIG_NOW + i);
    end_series();
    ck_assert_int_eq(decode(), ST_TOO_LARGE);
    ck_assert(strstr(fx.rig.err.text, "samples"));
}
END_TEST

START_TEST(test_memory_is_refused_politely)
{
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "metric_%d", i);
        simple_series(name, "a", i);
    }
    size_t refused = 0;
    for (size_t limit = 2000; limit < 80000; limit += 1500) {
        fx.rig.account.limit = limit;
        batch_free(fx.rig.batch);
        fx.rig.batch = NULL;
        status st = decode();
        ck_assert(st == ST_OK || st == ST_NO_MEMORY);
        refused += st == ST_NO_MEMORY;
        ck_assert_uint_le(account_used(&fx.rig.account), limit);
    }
    ck_assert_uint_gt(refused, 5);
}
END_TEST

START_TEST(test_metadata_and_exemplars)
{
    pb_metadata(&fx.req, 1, "http_requests_total", "All of them.", NULL);
    simple_series("m", NULL, 1);
    pb_metadata(&fx.req, 2, "temp", NULL, "celsius");
    pb_metadata(&fx.req, 77, "odd", "", "");
    pb_label(&fx.series, "__name__", "e");
    pb_sample(&fx.series, 1, RIG_NOW);
    pb_label(&fx.child, "trace_id", "abc");
    pb_double(&fx.child, 2, 1.5);
    pb_varint(&fx.child, 3, RIG_NOW);
    pb_message(&fx.series, 3, &fx.child);
    end_series();
    expect_ok("m 1@0;e 1@0;");
    ck_assert_str_eq(strbuf_cstr(&fx.rig.metadata),
                     "http_requests_total counter 'All of them.' '';temp gauge '' 'celsius';"
                     "odd unknown '' '';");
    ck_assert_uint_eq(fx.rig.report.n_metadata, 3);
    ck_assert_uint_eq(fx.rig.report.n_exemplars, 1);
    fx.rig.env.metadata = NULL;
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_uint_eq(fx.rig.report.n_metadata, 3);
}
END_TEST

static void exemplar(const char *name, const char *value, double v, int64_t ms)
{
    if (name) pb_label(&fx.child, name, value);
    pb_double(&fx.child, 2, v);
    if (ms) pb_varint(&fx.child, 3, (uint64_t)ms);
    pb_message(&fx.series, 3, &fx.child);
}

static void expect_exemplars(const char *want, uint64_t n_refused)
{
    ck_assert_str_eq(rig_exemplars(&fx.rig, &fx.text), want);
    ck_assert_uint_eq(fx.rig.report.n_exemplars_refused, n_refused);
    ck_assert_uint_eq(fx.rig.report.n_exemplars, fx.rig.batch->n_exemplars + n_refused);
}

/* Prometheus sends samples and exemplars of a series apart from each other. */
START_TEST(test_exemplars_with_and_without_samples)
{
    pb_label(&fx.series, "__name__", "m");
    pb_sample(&fx.series, 1, RIG_NOW);
    exemplar("trace_id", "abc", 1.5, RIG_NOW + 1);
    exemplar(NULL, NULL, 2.5, RIG_NOW + 2);
    end_series();
    pb_label(&fx.series, "__name__", "n");
    exemplar("trace_id", "def", 3.5, RIG_NOW + 3);
    exemplar("trace_id", "ghi", 4.5, RIG_NOW + 4);
    end_series();
    expect_ok("m 1@0;n;");
    expect_exemplars("0{trace_id=abc} 1.5@1;0{} 2.5@2;1{trace_id=def} 3.5@3;"
                     "1{trace_id=ghi} 4.5@4;", 0);
    ck_assert_int_eq(fx.rig.batch->series[0].make, MAKE_ALLOWED);
    ck_assert_int_eq(fx.rig.batch->series[1].make, MAKE_NEVER);
    rig_learn(&fx.rig);
    expect_ok("#100 1@0;#101;"); /* labels are not looked at any more */
    ck_assert_int_eq(fx.rig.batch->series[1].make, MAKE_NEVER);
    fx.rig.env.exemplars_max = 3;
    ck_assert_int_eq(decode(), ST_OK);
    expect_exemplars("0{trace_id=abc} 1.5@1;0{} 2.5@2;1{trace_id=def} 3.5@3;", 1);
}
END_TEST

START_TEST(test_bad_exemplars_cost_themselves_alone)
{
    char text[256];
    memset(text, 'x', sizeof(text));
    text[121] = '\0';
    pb_label(&fx.series, "__name__", "m");
    pb_sample(&fx.series, 1, RIG_NOW);
    exemplar("trace_id", text, 1, RIG_NOW);             /* 129 characters */
    exemplar("trace_id", text + 1, 2, RIG_NOW);         /* 128 */
    exemplar("", "x", 3, RIG_NOW);
    exemplar("a", "\xff", 4, RIG_NOW);
    exemplar("a", "b", 5, RIG_NOW - 7200000);           /* older than retention */
    exemplar("a", "b", 6, RIG_NOW + 120000);
    exemplar("a", "b", 7, INT64_MAX);
    for (int i = 0; i < 65; i++) pb_label(&fx.child, "a", "b");
    exemplar(NULL, NULL, 8, RIG_NOW);
    end_series();
    pb_label(&fx.series, "job", "nameless");
    exemplar("a", "b", 9, RIG_NOW);
    end_series();
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_uint_eq(fx.rig.batch->n_rows, 1);
    ck_assert_uint_eq(fx.rig.report.n_refused, 0);
    ck_assert_uint_eq(fx.rig.batch->n_exemplars, 1);
    ck_assert_double_eq(fx.rig.batch->exemplars[0].ex.value, 2);
    ck_assert_uint_eq(fx.rig.report.n_exemplars_refused, 8);
    ck_assert_ptr_nonnull(strstr(fx.rig.report.exemplar.text, "128 UTF-8 characters"));
}
END_TEST

/* A label behind the first exemplar: what was read before it is read again, once. */
START_TEST(test_exemplars_are_taken_back_with_their_series)
{
    pb_label(&fx.series, "__name__", "m");
    exemplar("t", "1", 1, RIG_NOW);
    pb_label(&fx.series, "job", "late");
    pb_sample(&fx.series, 1, RIG_NOW);
    exemplar("t", "2", 2, RIG_NOW);
    end_series();
    ck_assert_int_eq(decode(), ST_OK);
    ck_assert_str_eq(rig_text(&fx.rig, &fx.text), "m{job=\"late\"};m{job=\"late\"} 1@0;");
    expect_exemplars("0{t=1} 1@0;1{t=2} 2@0;", 0);
}
END_TEST

START_TEST(test_a_body_of_the_other_version_is_no_success)
{
    pb_text(&fx.req, 4, "");
    pb_text(&fx.req, 5, "\x0a\x02");
    ck_assert_int_eq(decode(), ST_PROTOCOL);
    simple_series("m", NULL, 1); /* unknown fields beside series are skipped */
    expect_ok("m 1@0;");
}
END_TEST

START_TEST(test_bad_metadata_is_counted)
{
    pb_metadata(&fx.req, 1, "", "no name", NULL);
    pb_metadata(&fx.req, 1, "good", "\xff", NULL);
    pb_metadata(&fx.req, 1, "fine", "", NULL);
    expect_ok("");
    ck_assert_str_eq(strbuf_cstr(&fx.rig.metadata), "fine counter '' '';");
    expect_first(ST_INVALID, "metadata 0: no metric family");
}
END_TEST

START_TEST(test_floats_and_histograms_of_one_series)
{
    pb_label(&fx.series, "__name__", "h");
    pb_sample(&fx.series, 1, RIG_NOW);
    pb_varint(&fx.child, 1, 12);
    pb_double(&fx.child, 3, 5.5);
    pb_varint(&fx.child, 15, RIG_NOW + 1);
    pb_message(&fx.series, 4, &fx.child);
    pb_varint(&fx.child, 1, 13);
    pb_sint(&fx.child, 4, 100); /* no such schema */
    pb_varint(&fx.child, 15, RIG_NOW + 2);
    pb_message(&fx.series, 4, &fx.child);
    pb_sample(&fx.series, 2, RIG_NOW + 3);
    end_series();
    expect_ok("h 1@0 2@3;h hist(12)@1 hist(-1)@2!ST_BAD_VALUE;");
    ck_assert_uint_eq(fx.rig.batch->series[1].type, VALUE_HISTOGRAM);
    ck_assert(fx.rig.batch->series[0].scattered);
    ck_assert_uint_eq(fx.rig.report.n_histograms, 2);
    expect_first(ST_BAD_VALUE, "schema 100");
}
END_TEST

static void histogram(const char *name, double count, int64_t ms)
{
    pb_label(&fx.series, "__name__", name);
    pb_varint(&fx.child, 1, (uint64_t)count);
    pb_varint(&fx.child, 15, (uint64_t)ms);
    pb_message(&fx.series, 4, &fx.child);
    end_series();
}

/* The same labels name two series, and each is known for itself. */
START_TEST(test_known_histograms)
{
    simple_series("h", NULL, 1);
    expect_ok("h 1@0;");
    rig_learn(&fx.rig);
    histogram("h", 12, RIG_NOW);
    expect_ok("#100 1@0;h hist(12)@0;");
    strbuf_reset(&fx.req);
    histogram("h", 12, RIG_NOW);
    expect_ok("h hist(12)@0;");
    rig_learn(&fx.rig);
    simple_series("h", NULL, 2);
    expect_ok("#101 hist(12)@0;#100 2@0;");
    ck_assert_uint_eq(fx.rig.batch->series[0].type, VALUE_HISTOGRAM);
    strbuf_reset(&fx.req);
    pb_label(&fx.series, "__name__", "h"); /* both in one message: by their labels */
    pb_varint(&fx.child, 1, 13);
    pb_varint(&fx.child, 15, RIG_NOW);
    pb_message(&fx.series, 4, &fx.child);
    pb_sample(&fx.series, 3, RIG_NOW + 1);
    end_series();
    simple_series("h", NULL, 4);
    expect_ok("h hist(13)@0;h 3@1;#100 4@0;");
    ck_assert_uint_eq(fx.rig.report.n_samples, 3);
    ck_assert_uint_eq(fx.rig.report.n_histograms, 1);
}
END_TEST

/* reliability.md 5, protobuf: each is one refusal of everything. */
START_TEST(test_damage_refuses_the_whole_request)
{
    simple_series("good", NULL, 1);
    pb_metadata(&fx.req, 1, "good", "", NULL);
    switch (_i) {
    case 0: pb_tag(&fx.req, 1, PB_BYTES); strbuf_str(&fx.req, "\x7f"); break;
    case 1: pb_tag(&fx.req, 0, PB_BYTES); strbuf_str(&fx.req, "\x01x"); break;
    case 2: pb_tag(&fx.req, 9, PB_GROUP); break;
    case 3: pb_tag(&fx.req, 9, (enum pb_type)4); break;
    case 4: pb_tag(&fx.req, 9, (enum pb_type)7); break;
    case 5: pb_varint(&fx.req, 1, 5); break;  /* wrong type for timeseries */
    case 6: pb_varint(&fx.req, 3, 5); break;  /* wrong type for metadata */
    case 7: strbuf_put(&fx.req, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12); break;
    case 8: pb_varint(&fx.series, 1, 5); end_series(); break; /* label is a varint */
    case 9: pb_double(&fx.series, 2, 5); end_series(); break; /* sample is a double */
    case 10: pb_varint(&fx.child, 1, 5); pb_message(&fx.series, 2, &fx.child); end_series(); break;
    case 11: pb_double(&fx.child, 2, 5); pb_message(&fx.series, 2, &fx.child); end_series(); break;
    case 12: pb_varint(&fx.child, 1, 5); pb_message(&fx.series, 1, &fx.child); end_series(); break;
    case 13: /* a child longer than its parent */
        pb_tag(&fx.series, 1, PB_BYTES);
        pb_raw_varint(&fx.series, 1000);
        end_series();
        simple_series("behind", NULL, 1);
        break;
    case 14: pb_varint(&fx.series, 4, 1); end_series(); break;
    case 15: strbuf_str(&fx.child, "\x09" "123"); pb_message(&fx.series, 2, &fx.child);
        end_series(); break;
    case 16: pb_varint(&fx.child, 2, 1); pb_message(&fx.series, 3, &fx.child); end_series(); break;
    case 17: pb_varint(&fx.child, 2, 1); pb_message(&fx.req, 3, &fx.child); break;
    case 18: strbuf_str(&fx.req, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"); break;
    case 19: strbuf_put(&fx.child, "\x11", 1); pb_message(&fx.series, 4, &fx.child); end_series();
        break;
    }
    expect_damage("at byte ");
}
END_TEST

static void build_rich_request(void)
{
    simple_series("up", "a", 1);
    pb_metadata(&fx.req, 1, "up", "help", "unit");
    pb_label(&fx.series, "__name__", "h");
    pb_varint(&fx.child, 1, 12);
    pb_varint(&fx.child, 15, RIG_NOW);
    pb_bytes(&fx.child, 11, SLICE_LIT("\x08\x02\x10\x03"));
    pb_bytes(&fx.child, 12, SLICE_LIT("\x02\x02\x01"));
    pb_message(&fx.series, 4, &fx.child);
    end_series();
    pb_sample(&fx.series, 2, RIG_NOW);
    pb_label(&fx.series, "__name__", "late");
    end_series();
}

START_TEST(test_every_cut_is_damage_or_fewer_series)
{
    build_rich_request();
    struct slice whole = strbuf_view(&fx.req);
    ck_assert_int_eq(decode(), ST_OK);
    expect_text("up{job=\"a\"} 1@0;h hist(12)@0;late 2@0;");
    size_t n_ok = 0;
    for (size_t len = 0; len < whole.len; len++) {
        status st = rig_decode(&fx.rig, prom_write_decode, slice_of(whole.ptr, len));
        ck_assert(st == ST_OK || st == ST_PROTOCOL);
        n_ok += st == ST_OK;
    }
    ck_assert_uint_eq(n_ok, 4); /* between the four fields of the request, and nothing */
}
END_TEST

START_TEST(test_bent_requests_do_no_harm)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    build_rich_request();
    struct slice whole = strbuf_view(&fx.req);
    char *bent = malloc(whole.len);
    for (int round = 0; round < 20000; round++) {
        memcpy(bent, whole.ptr, whole.len);
        for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
            bent[rng_below(&rng, whole.len)] = (char)rng_next(&rng);
        status st = rig_decode(&fx.rig, prom_write_decode, slice_of(bent, whole.len));
        if (st != ST_OK && st != ST_PROTOCOL) ck_abort_msg("%s", status_name(st));
        const struct batch *b = fx.rig.batch;
        for (size_t i = 0; st == ST_OK && i < b->n_rows; i++) {
            const struct batch_series *s = &b->series[b->row_series[i]];
            bool good = b->result[i] == ST_OK;
            if (good && (s->st != ST_OK || !s->name)) ck_abort_msg("a bad row passes");
            if (good && s->type == VALUE_HISTOGRAM &&
                histogram_check(b->val[i].hist, NULL) != ST_OK)
                ck_abort_msg("a bad histogram passes");
        }
    }
    free(bent);
}
END_TEST

Suite *suite_prom_write(void)
{
    Suite *suite = suite_create("prom_write");
    TCase *tc = tcase_create("prom_write");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_requests_become_rows);
    tcase_add_test(tc, test_nothing_is_fine);
    tcase_add_test(tc, test_known_series_are_not_decoded);
    tcase_add_test(tc, test_the_split_at_the_tail);
    tcase_add_test(tc, test_known_rows_outside_the_window_and_over_the_limit);
    tcase_add_test(tc, test_order_and_place_of_labels_do_not_matter);
    tcase_add_test(tc, test_late_labels_never_reach_the_wrong_series);
    tcase_add_test(tc, test_values_are_kept_bit_for_bit);
    tcase_add_test(tc, test_samples_in_any_shape);
    tcase_add_test(tc, test_times_outside_the_window_are_refused_alone);
    tcase_add_test(tc, test_precisions);
    tcase_add_loop_test(tc, test_bad_series_refuse_their_rows_only, 0, ARRAY_LEN(bad_labels));
    tcase_add_test(tc, test_series_without_a_name);
    tcase_add_test(tc, test_sizes_of_labels);
    tcase_add_test(tc, test_number_of_labels);
    tcase_add_test(tc, test_limits_of_a_request);
    tcase_add_test(tc, test_memory_is_refused_politely);
    tcase_add_test(tc, test_metadata_and_exemplars);
    tcase_add_test(tc, test_exemplars_with_and_without_samples);
    tcase_add_test(tc, test_bad_exemplars_cost_themselves_alone);
    tcase_add_test(tc, test_exemplars_are_taken_back_with_their_series);
    tcase_add_test(tc, test_a_body_of_the_other_version_is_no_success);
    tcase_add_test(tc, test_bad_metadata_is_counted);
    tcase_add_test(tc, test_floats_and_histograms_of_one_series);
    tcase_add_test(tc, test_known_histograms);
    tcase_add_loop_test(tc, test_damage_refuses_the_whole_request, 0, 20);
    tcase_add_test(tc, test_every_cut_is_damage_or_fewer_series);
    tcase_add_test(tc, test_bent_requests_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite;
}
