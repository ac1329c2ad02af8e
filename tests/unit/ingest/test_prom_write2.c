/* Goal: a request of remote write 2.0 becomes the rows that its 1.0 twin would become;
 * known series without a look at their labels; bad references refuse their series alone;
 * damage anywhere refuses all. Method: requests by hand against the batch as text, random
 * requests encoded in both versions, a good request cut at every length and bent. */
#include "base/panic.h"
#include "base/rng.h"
#include "ingest/prom_write.h"
#include "ingest/prom_write2.h"
#include "tests/lib/pb_write.h"
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_prom_write2(void);

enum { SYMBOLS_MAX = 256 };

static struct fixture {
    struct rig rig;
    struct strbuf req, series, refs, child, text;
    char symbol[SYMBOLS_MAX][64];
    uint32_t n_symbols;
} fx;

static uint32_t symbol(const char *text)
{
    for (uint32_t i = 0; i < fx.n_symbols; i++)
        if (strcmp(fx.symbol[i], text) == 0) return i;
    ck_assert_uint_lt(fx.n_symbols, SYMBOLS_MAX);
    snprintf(fx.symbol[fx.n_symbols], sizeof(fx.symbol[0]), "%s", text);
    return fx.n_symbols++;
}

static void clear(void)
{
    strbuf_reset(&fx.req);
    strbuf_reset(&fx.series);
    strbuf_reset(&fx.refs);
    strbuf_reset(&fx.child);
    fx.n_symbols = 0;
    (void)symbol("");
}

static void set_up(void)
{
    rig_init(&fx.rig);
    strbuf_init(&fx.req, 0);
    strbuf_init(&fx.series, 0);
    strbuf_init(&fx.refs, 0);
    strbuf_init(&fx.child, 0);
    strbuf_init(&fx.text, 0);
    clear();
}

static void tear_down(void)
{
    strbuf_release(&fx.req);
    strbuf_release(&fx.series);
    strbuf_release(&fx.refs);
    strbuf_release(&fx.child);
    strbuf_release(&fx.text);
    rig_release(&fx.rig);
}

static void ref(const char *name, const char *value)
{
    pb_raw_varint(&fx.refs, symbol(name));
    pb_raw_varint(&fx.refs, symbol(value));
}

static void end_refs(void)
{
    pb_message(&fx.series, 1, &fx.refs);
}

static void end_series(void)
{
    pb_message(&fx.req, 5, &fx.series);
}

static void metadata(unsigned type, const char *help, const char *unit)
{
    if (type) pb_varint(&fx.child, 1, type);
    if (help) pb_varint(&fx.child, 3, symbol(help));
    if (unit) pb_varint(&fx.child, 4, symbol(unit));
    pb_message(&fx.series, 5, &fx.child);
}

static void simple_series(const char *name, const char *job, double v)
{
    ref("__name__", name);
    if (job) ref("job", job);
    end_refs();
    pb_sample(&fx.series, v, RIG_NOW);
    end_series();
}

/* The symbols stand behind the series when late is set: any order is sound. */
static status decode_as(bool late)
{
    struct strbuf body;
    strbuf_init(&body, 0);
    if (late) strbuf_slice(&body, strbuf_view(&fx.req));
    for (uint32_t i = 0; i < fx.n_symbols; i++) pb_text(&body, 4, fx.symbol[i]);
    if (!late) strbuf_slice(&body, strbuf_view(&fx.req));
    status st = rig_decode(&fx.rig, prom_write2_decode, strbuf_view(&body));
    strbuf_release(&body);
    return st;
}

static void expect_ok(const char *want)
{
    status st = decode_as(false);
    ck_assert_msg(st == ST_OK, "%s: %s", status_name(st), fx.rig.err.text);
    const char *got = rig_text(&fx.rig, &fx.text);
    ck_assert_msg(strcmp(got, want) == 0, "got  %s\nwant %s", got, want);
}

static void expect_first(status st, const char *part)
{
    const struct err *first = &fx.rig.report.first;
    ck_assert_msg(first->st == st && strstr(first->text, part), "%s: %s", status_name(first->st),
                  first->text);
}

START_TEST(test_requests_become_rows)
{
    ref("__name__", "up");
    ref("instance", "h:1");
    end_refs();
    pb_sample(&fx.series, 1, RIG_NOW);
    pb_sample(&fx.series, 0.5, RIG_NOW + 15);
    end_series();
    simple_series("down", NULL, -2);
    static const char want[] = "up{instance=\"h:1\"} 1@0 0.5@15;down -2@0;";
    expect_ok(want);
    ck_assert_uint_eq(fx.rig.report.n_samples, 3);
    ck_assert_int_eq(fx.rig.report.first.st, ST_OK);
    ck_assert_int_eq(decode_as(true), ST_OK);
    ck_assert_str_eq(rig_text(&fx.rig, &fx.text), want);
    clear();
    fx.n_symbols = 0;
    expect_ok("");
}
END_TEST

START_TEST(test_symbols_on_both_sides_of_the_series)
{
    struct strbuf body;
    simple_series("up", "a", 1);
    ref("__name__", "down");
    ref("job", "b");
    end_refs();
    pb_sample(&fx.series, 2, RIG_NOW);
    metadata(2, NULL, NULL);
    end_series();
    for (uint32_t cut = 0; cut <= fx.n_symbols; cut++) {
        strbuf_init(&body, 0);
        for (uint32_t i = 0; i < cut; i++) pb_text(&body, 4, fx.symbol[i]);
        strbuf_slice(&body, strbuf_view(&fx.req));
        for (uint32_t i = cut; i < fx.n_symbols; i++) pb_text(&body, 4, fx.symbol[i]);
        ck_assert_int_eq(rig_decode(&fx.rig, prom_write2_decode, strbuf_view(&body)), ST_OK);
        ck_assert_str_eq(rig_text(&fx.rig, &fx.text), "up{job=\"a\"} 1@0;down{job=\"b\"} 2@0;");
        ck_assert_uint_eq(fx.rig.report.n_samples, 2);
        ck_assert_uint_eq(fx.rig.report.n_refused, 0);
        ck_assert_uint_eq(fx.rig.report.n_metadata, 1);
        ck_assert_int_eq(fx.rig.report.first.st, ST_OK);
        strbuf_release(&body);
    }
}
END_TEST

/* One series, its labels by number: references of one byte and of two among them. */
static void numbered_series(const unsigned *label, size_t n)
{
    char name[32], value[32];
    ref("__name__", "m");
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "l%zu", i);
        snprintf(value, sizeof(value), "v%u", label[i]);
        ref(name, value);
    }
    end_refs();
    pb_sample(&fx.series, 1, RIG_NOW);
    end_series();
}

/* The key of a series alone in its request is its key among any neighbours. */
START_TEST(test_keys_do_not_depend_on_neighbours)
{
    enum { SERIES = 60, LABELS = 6, VALUES = 180 };
    static unsigned label[SERIES][LABELS];
    struct hash128 key[SERIES];
    size_t n_labels[SERIES];
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (size_t i = 0; i < SERIES; i++) {
        bool fresh = i == 0 || rng_below(&rng, 4) == 0;
        bool longer = fresh || rng_below(&rng, 3) == 0;
        n_labels[i] = longer ? rng_below(&rng, LABELS + 1) : n_labels[i - 1];
        for (size_t l = 0; l < LABELS; l++)
            label[i][l] = fresh ? (unsigned)rng_below(&rng, VALUES) : label[i - 1][l];
        if (!fresh) label[i][rng_below(&rng, LABELS)] = (unsigned)rng_below(&rng, VALUES);
    }
    for (size_t i = 0; i < SERIES; i++) {
        clear();
        numbered_series(label[i], n_labels[i]);
        ck_assert_int_eq(decode_as(false), ST_OK);
        key[i] = fx.rig.batch->series[0].name->raw_hash;
        ck_assert(key[i].lo | key[i].hi);
        for (size_t j = 0; j < i; j++) {
            bool same = n_labels[i] == n_labels[j] &&
                        memcmp(label[i], label[j], n_labels[i] * sizeof(label[i][0])) == 0;
            ck_assert(same == (key[i].lo == key[j].lo && key[i].hi == key[j].hi));
        }
    }
    clear();
    for (unsigned i = 0; i < VALUES; i++) { /* all have their numbers */
        char value[16];
        snprintf(value, sizeof(value), "v%u", i);
        (void)symbol(value);
    }
    for (size_t i = 0; i < SERIES; i++) numbered_series(label[i], n_labels[i]);
    ck_assert_int_eq(decode_as(false), ST_OK);
    ck_assert_uint_eq(fx.rig.batch->n_series, SERIES);
    for (size_t i = 0; i < SERIES; i++) {
        struct hash128 got = fx.rig.batch->series[i].name->raw_hash;
        ck_assert(got.lo == key[i].lo && got.hi == key[i].hi);
    }
}
END_TEST

START_TEST(test_known_series_are_not_resolved)
{
    simple_series("up", "a", 1);
    simple_series("up", "b", 2);
    expect_ok("up{job=\"a\"} 1@0;up{job=\"b\"} 2@0;");
    rig_learn(&fx.rig);
    clear();
    (void)symbol("other numbers");
    simple_series("up", "b", 3); /* the key is of texts, not of numbers */
    simple_series("up", "a", 4);
    simple_series("a", "up", 5); /* and of places */
    expect_ok("#101 3@0;#100 4@0;a{job=\"up\"} 5@0;");
    const struct batch_series *s = fx.rig.batch->series;
    ck_assert(s[0].gen == 7 && s[0].name == NULL);
    ck_assert(s[2].name->raw_hash.lo && s[2].name->identity.len);
    fx.rig.env.window.newest = RIG_NOW - 1;
    expect_ok("#101 3@0!ST_TOO_NEW;#100 4@0!ST_TOO_NEW;a{job=\"up\"} 5@0!ST_TOO_NEW;");
}
END_TEST

START_TEST(test_references_in_any_shape)
{
    pb_varint(&fx.series, 1, symbol("__name__")); /* one by one */
    pb_varint(&fx.series, 1, symbol("up"));
    pb_sample(&fx.series, 1, RIG_NOW);
    end_series();
    pb_sample(&fx.series, 2, RIG_NOW); /* behind */
    ref("job", "a");
    ref("__name__", "up");
    end_refs();
    end_series();
    ref("__name__", "up"); /* in two places */
    end_refs();
    pb_sample(&fx.series, 3, RIG_NOW);
    ref("job", "b");
    end_refs();
    end_series();
    simple_series("up", NULL, 4);
    expect_ok("up 1@0;up{job=\"a\"} 2@0;up{job=\"b\"} 3@0;up 4@0;");
    rig_learn(&fx.rig);
    expect_ok("up 1@0;up{job=\"a\"} 2@0;up{job=\"b\"} 3@0;#100 4@0;");
    ck_assert_uint_eq(fx.rig.report.n_samples, 4);
}
END_TEST

START_TEST(test_bad_references_refuse_their_series_only)
{
    static const char *const why[] = {
        "series 1: a label's reference is outside the symbols",
        "series 1: a label has a name and no value",
        "series 1: a label has an empty name",
        "series 1: label \"job\" is there twice",
        "series 1: the series has no metric name",
    };
    simple_series("good", "a", 1);
    if (_i != 4) ref("__name__", "bad");
    if (_i == 0) pb_raw_varint(&fx.refs, 77);
    if (_i == 0 || _i == 1) pb_raw_varint(&fx.refs, symbol("x"));
    if (_i == 2) ref("", "x");
    if (_i == 3) ref("job", "x");
    if (_i == 3) ref("job", "y");
    end_refs();
    pb_sample(&fx.series, 2, RIG_NOW);
    end_series();
    simple_series("good", "b", 3);
    expect_ok("good{job=\"a\"} 1@0;{}!ST_BAD_LABEL 2@0!ST_BAD_LABEL;good{job=\"b\"} 3@0;");
    ck_assert_uint_eq(fx.rig.report.n_refused, 1);
    expect_first(ST_BAD_LABEL, why[_i]);
}
END_TEST

START_TEST(test_number_of_labels)
{
    for (int n = 63; n <= 67; n++) {
        char name[16];
        clear();
        ref("__name__", "m");
        for (int i = 1; i < n; i++) {
            snprintf(name, sizeof(name), "l%02d", i);
            ref(name, "v");
        }
        end_refs();
        pb_sample(&fx.series, 1, RIG_NOW);
        end_series();
        ck_assert_int_eq(decode_as(false), ST_OK);
        ck_assert_int_eq(fx.rig.report.n_refused, n <= 64 ? 0 : 1);
        if (n > 64) expect_first(ST_BAD_LABEL, "series 0: more than 64 labels");
    }
}
END_TEST

START_TEST(test_samples_and_histograms)
{
    ref("__name__", "h");
    end_refs();
    pb_varint(&fx.child, 1, 12);
    pb_double(&fx.child, 3, 5.5);
    pb_varint(&fx.child, 15, RIG_NOW);
    pb_varint(&fx.child, 17, RIG_NOW - 1000); /* start */
    pb_message(&fx.series, 3, &fx.child);
    pb_sample(&fx.series, 1, RIG_NOW + 1); /* never both */
    end_series();
    ref("__name__", "c");
    end_refs();
    pb_double(&fx.child, 1, 7);
    pb_varint(&fx.child, 2, RIG_NOW);
    pb_varint(&fx.child, 3, RIG_NOW - 1000); /* start */
    pb_message(&fx.series, 2, &fx.child);
    pb_varint(&fx.series, 6, RIG_NOW - 1000); /* created, of older drafts */
    end_series();
    expect_ok("h hist(12)@0^-1000;h 1@1!ST_INVALID;c 7@0^-1000;");
    expect_first(ST_INVALID, "samples or histograms, not both");
    ck_assert_uint_eq(fx.rig.report.n_histograms, 1);
    rig_learn(&fx.rig);
    /* both kinds: by their labels */
    expect_ok("h hist(12)@0^-1000;h 1@1!ST_INVALID;#102 7@0^-1000;");
    clear();
    ref("__name__", "c");
    end_refs();
    pb_double(&fx.child, 1, 8);
    pb_varint(&fx.child, 2, RIG_NOW);
    pb_varint(&fx.child, 3, RIG_NOW - 1000);
    pb_message(&fx.series, 2, &fx.child);
    metadata(1, "help", NULL);
    end_series();
    ref("__name__", "c");
    end_refs();
    pb_sample(&fx.series, 9, RIG_NOW + 1);
    pb_sample(&fx.series, 10, RIG_NOW + 2);
    pb_double(&fx.child, 2, 1.5);
    pb_message(&fx.series, 4, &fx.child);
    end_series();
    expect_ok("#102 8@0^-1000;#102 9@1 10@2;");
    ck_assert_uint_eq(fx.rig.report.n_exemplars, 1);
    ck_assert_str_eq(strbuf_cstr(&fx.rig.metadata), "c counter 'help' '';");
}
END_TEST

static void started(double v, int64_t ms, int64_t start)
{
    pb_double(&fx.child, 1, v);
    pb_varint(&fx.child, 2, (uint64_t)ms);
    pb_varint(&fx.child, 3, (uint64_t)start);
    pb_message(&fx.series, 2, &fx.child);
}

START_TEST(test_start_timestamps)
{
    ref("__name__", "c");
    end_refs();
    started(1, RIG_NOW, RIG_NOW - 60000);
    pb_sample(&fx.series, 2, RIG_NOW + 1); /* says nothing */
    started(3, RIG_NOW + 2, 0);            /* nor does this */
    started(4, RIG_NOW + 3, -5);           /* before 1970 */
    started(5, RIG_NOW + 10000000, RIG_NOW); /* of a row that is refused */
    started(6, RIG_NOW + 4, RIG_NOW + 9);  /* behind the sample: as it comes */
    end_series();
    expect_ok("c 1@0^-60000 2@1 3@2 4@3^-1700000000005 5@10000000^0!ST_TOO_NEW 6@4^9;");
    rig_learn(&fx.rig);
    expect_ok("#100 1@0^-60000 2@1 3@2 4@3^-1700000000005 5@10000000^0!ST_TOO_NEW 6@4^9;");

    clear(); /* one for all that have none, wherever it stands */
    ref("__name__", "c");
    end_refs();
    pb_varint(&fx.series, 6, RIG_NOW - 7);
    pb_sample(&fx.series, 1, RIG_NOW);
    started(2, RIG_NOW + 1, RIG_NOW - 1);
    end_series();
    ref("__name__", "c");
    end_refs();
    pb_sample(&fx.series, 3, RIG_NOW + 2);
    pb_varint(&fx.series, 6, RIG_NOW - 8);
    end_series();
    ref("__name__", "c");
    end_refs();
    pb_sample(&fx.series, 4, RIG_NOW + 3);
    end_series();
    expect_ok("#100 1@0^-7 2@1^-1;#100 3@2^-8;#100 4@3;");

    fx.rig.env.precision = PRECISION_S; /* whole seconds, or none */
    clear();
    ref("__name__", "c");
    end_refs();
    started(1, RIG_NOW, 5000);
    started(2, RIG_NOW + 1000, 5001);
    end_series();
    fx.rig.env.window = (struct time_window){TS_MIN, TS_MAX};
    ck_assert_int_eq(decode_as(false), ST_OK);
    ck_assert_uint_eq(fx.rig.batch->n_starts, 1);
    ck_assert(fx.rig.batch->starts[0].row == 0 && fx.rig.batch->starts[0].start == 5);
}
END_TEST

/* What is read twice has its starts once. */
START_TEST(test_starts_are_taken_back_with_their_rows)
{
    simple_series("c", NULL, 1);
    ck_assert_int_eq(decode_as(false), ST_OK);
    rig_learn(&fx.rig);
    clear();
    ref("__name__", "c");
    end_refs();
    started(1, RIG_NOW, RIG_NOW - 1);
    ref("job", "x"); /* more labels behind the first field: all is read again */
    end_refs();
    end_series();
    simple_series("d", NULL, 2);
    expect_ok("c{job=\"x\"} 1@0^-1;d 2@0;");
    ck_assert_uint_eq(fx.rig.batch->n_starts, 1);
    ck_assert_int_eq(decode_as(true), ST_OK); /* and with the symbols behind */
    ck_assert_uint_eq(fx.rig.batch->n_starts, 1);
}
END_TEST

static void exemplar2(uint32_t n_refs, uint32_t a, uint32_t b, double v, int64_t ms)
{
    struct strbuf refs;
    strbuf_init(&refs, 0);
    if (n_refs > 0) pb_raw_varint(&refs, a);
    if (n_refs > 1) pb_raw_varint(&refs, b);
    if (n_refs) pb_message(&fx.child, 1, &refs);
    pb_double(&fx.child, 2, v);
    if (ms) pb_varint(&fx.child, 3, (uint64_t)ms);
    pb_message(&fx.series, 4, &fx.child);
    strbuf_release(&refs);
}

START_TEST(test_exemplars)
{
    uint32_t name = symbol("trace_id"), value = symbol("abc");
    ref("__name__", "m");
    end_refs();
    pb_sample(&fx.series, 1, RIG_NOW);
    exemplar2(2, name, value, 1.5, RIG_NOW + 1);
    exemplar2(0, 0, 0, 2.5, RIG_NOW + 2);
    exemplar2(1, name, 0, 3, RIG_NOW);       /* a name without a value */
    exemplar2(2, name, 4000, 4, RIG_NOW);    /* no such symbol */
    exemplar2(2, name, 0, 5, RIG_NOW + 3);   /* an empty value: no label */
    exemplar2(2, 0, value, 6, RIG_NOW);
    end_series();
    ref("__name__", "n");
    end_refs();
    exemplar2(2, name, value, 7, RIG_NOW);
    end_series();
    expect_ok("m 1@0;n;");
    ck_assert_str_eq(rig_exemplars(&fx.rig, &fx.text),
                     "0{trace_id=abc} 1.5@1;0{} 2.5@2;0{} 5@3;1{trace_id=abc} 7@0;");
    ck_assert_uint_eq(fx.rig.report.n_exemplars_refused, 3);
    ck_assert_uint_eq(fx.rig.report.n_refused, 0);
    ck_assert_int_eq(fx.rig.batch->series[1].make, MAKE_NEVER);
    rig_learn(&fx.rig);
    expect_ok("#100 1@0;#101;");
}
END_TEST

START_TEST(test_metadata_once_for_a_family)
{
    static const char *const names[] = {"h_bucket", "h_count", "h_sum", "h_count", "h", "_sum"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ref("__name__", names[i]);
        end_refs();
        pb_sample(&fx.series, 1, RIG_NOW);
        metadata(i == 4 ? 2 : 3, "Help.", i == 3 ? "s" : NULL);
        end_series();
    }
    ref("__name__", "quiet");
    end_refs();
    pb_sample(&fx.series, 1, RIG_NOW);
    metadata(0, NULL, NULL);
    end_series();
    ref("A", "x"); /* before the name */
    ref("__name__", "q_bucket");
    end_refs();
    metadata(5, NULL, "m");
    pb_sample(&fx.series, 1, RIG_NOW);
    end_series();
    ref("__name__", "bad");
    end_refs();
    pb_sample(&fx.series, 1, RIG_NOW);
    pb_varint(&fx.child, 3, 99);
    pb_message(&fx.series, 5, &fx.child);
    end_series();
    ck_assert_int_eq(decode_as(false), ST_OK);
    ck_assert_str_eq(strbuf_cstr(&fx.rig.metadata),
                     "h histogram 'Help.' '';h histogram 'Help.' '';h histogram 'Help.' '';"
                     "h histogram 'Help.' 's';h gauge 'Help.' '';_sum histogram 'Help.' '';"
                     "q_bucket summary '' 'm';");
    ck_assert_uint_eq(fx.rig.report.n_metadata, 7);
    expect_first(ST_INVALID, "series 8: a reference of its metadata");
    ck_assert_uint_eq(fx.rig.report.n_refused, 0);
}
END_TEST

START_TEST(test_damage_refuses_the_whole_request)
{
    simple_series("good", NULL, 1);
    ref("__name__", "m");
    switch (_i) {
    case 0: fx.symbol[0][0] = 'x'; end_refs(); end_series(); break; /* the first is not empty */
    case 1: pb_varint(&fx.req, 4, 1); break;
    case 2: pb_varint(&fx.req, 5, 1); break;
    case 3: strbuf_put(&fx.refs, "\xff", 1); end_refs(); end_series(); break;
    case 4: pb_double(&fx.series, 1, 1); end_series(); break;
    case 5: end_refs(); pb_double(&fx.series, 2, 1); end_series(); break;
    case 6: end_refs(); pb_text(&fx.child, 1, "x"); pb_message(&fx.series, 5, &fx.child);
        end_series(); break;
    case 7: end_refs(); pb_varint(&fx.series, 4, 1); end_series(); break;
    case 8: end_refs(); pb_varint(&fx.child, 2, 1); pb_message(&fx.series, 4, &fx.child);
        end_series(); break;
    case 9: end_refs(); pb_varint(&fx.child, 1, 1); pb_message(&fx.series, 2, &fx.child);
        end_series(); break;
    case 10: pb_tag(&fx.series, 1, PB_BYTES); pb_raw_varint(&fx.series, 100); end_series(); break;
    case 11: pb_tag(&fx.req, 9, PB_GROUP); break;
    case 13: fx.n_symbols = 0; strbuf_reset(&fx.req); pb_text(&fx.req, 1, "\x0a"); break;
    case 12: strbuf_put(&fx.req, "\x2a\x7f", 2); break;
    }
    status st = decode_as(false);
    ck_assert_msg(st == ST_PROTOCOL, "%s", status_name(st));
    ck_assert_uint_eq(fx.rig.metadata.len, 0);
}
END_TEST

/* The same series in both versions. */
static void random_twins(struct rng *rng, struct strbuf *one)
{
    struct strbuf series;
    strbuf_init(&series, 0);
    for (uint64_t n = 1 + rng_below(rng, 6); n > 0; n--) {
        for (uint64_t l = 0, n_labels = rng_below(rng, 5); l <= n_labels; l++) {
            char name[32], value[32];
            snprintf(name, sizeof(name), l ? "l%llu" : "__name__",
                     (unsigned long long)rng_below(rng, 9));
            snprintf(value, sizeof(value), "v%llu", (unsigned long long)rng_below(rng, 9));
            if (rng_below(rng, 12) == 0) value[0] = 0;
            pb_label(&series, name, value);
            ref(name, value);
        }
        end_refs();
        for (uint64_t s = rng_below(rng, 3); s > 0; s--) {
            double v = (double)rng_below(rng, 1000);
            int64_t ms = RIG_NOW + (int64_t)rng_below(rng, 120000) - 1000;
            pb_sample(&series, v, ms);
            pb_sample(&fx.series, v, ms);
        }
        pb_message(one, 1, &series);
        end_series();
    }
    strbuf_release(&series);
}

START_TEST(test_both_versions_mean_the_same)
{
    struct rng rng;
    struct strbuf one, want;
    rng_init(&rng, unit_seed());
    strbuf_init(&one, 0);
    strbuf_init(&want, 0);
    for (int round = 0; round < 3000; round++) {
        clear();
        strbuf_reset(&one);
        random_twins(&rng, &one);
        ck_assert_int_eq(rig_decode(&fx.rig, prom_write_decode, strbuf_view(&one)), ST_OK);
        (void)rig_text(&fx.rig, &want);
        struct err first = fx.rig.report.first;
        ck_assert_int_eq(decode_as(round % 2), ST_OK);
        ck_assert_str_eq(rig_text(&fx.rig, &fx.text), strbuf_cstr(&want));
        ck_assert_str_eq(fx.rig.report.first.text, first.text);
    }
    strbuf_release(&one);
    strbuf_release(&want);
}
END_TEST

START_TEST(test_cut_and_bent_requests_do_no_harm)
{
    struct rng rng;
    struct strbuf body;
    rng_init(&rng, unit_seed());
    simple_series("up", "a", 1);
    ref("__name__", "h");
    end_refs();
    pb_varint(&fx.child, 1, 12);
    pb_varint(&fx.child, 15, RIG_NOW);
    pb_message(&fx.series, 3, &fx.child);
    metadata(3, "Help.", "s");
    end_series();
    strbuf_init(&body, 0);
    for (uint32_t i = 0; i < fx.n_symbols; i++) pb_text(&body, 4, fx.symbol[i]);
    strbuf_slice(&body, strbuf_view(&fx.req));
    for (size_t len = 0; len < body.len; len++) {
        status st = rig_decode(&fx.rig, prom_write2_decode, slice_of(body.ptr, len));
        ck_assert(st == ST_OK || st == ST_PROTOCOL);
    }
    char *bent = malloc(body.len);
    for (int round = 0; round < 20000; round++) {
        memcpy(bent, body.ptr, body.len);
        for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
            bent[rng_below(&rng, body.len)] = (char)rng_next(&rng);
        status st = rig_decode(&fx.rig, prom_write2_decode, slice_of(bent, body.len));
        if (st != ST_OK && st != ST_PROTOCOL) ck_abort_msg("%s", status_name(st));
        const struct batch *b = fx.rig.batch;
        for (size_t i = 0; st == ST_OK && i < b->n_rows; i++) {
            const struct batch_series *s = &b->series[b->row_series[i]];
            if (b->result[i] == ST_OK && (s->st != ST_OK || !s->name))
                ck_abort_msg("a bad row passes");
        }
    }
    free(bent);
    strbuf_release(&body);
}
END_TEST

START_TEST(test_memory_is_refused_politely)
{
    size_t refused = 0;
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof(name), "metric_%d", i);
        ref("__name__", name);
        end_refs();
        pb_sample(&fx.series, i, RIG_NOW);
        metadata(1, "x", NULL);
        end_series();
    }
    for (size_t limit = 1000; limit < 60000; limit += 1500) {
        fx.rig.account.limit = limit;
        batch_free(fx.rig.batch);
        fx.rig.batch = NULL;
        status st = decode_as(false);
        ck_assert(st == ST_OK || st == ST_NO_MEMORY);
        refused += st == ST_NO_MEMORY;
    }
    ck_assert_uint_gt(refused, 5);
}
END_TEST

Suite *suite_prom_write2(void)
{
    Suite *suite = suite_create("prom_write2");
    TCase *tc = tcase_create("prom_write2");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_requests_become_rows);
    tcase_add_test(tc, test_symbols_on_both_sides_of_the_series);
    tcase_add_test(tc, test_keys_do_not_depend_on_neighbours);
    tcase_add_test(tc, test_known_series_are_not_resolved);
    tcase_add_test(tc, test_references_in_any_shape);
    tcase_add_loop_test(tc, test_bad_references_refuse_their_series_only, 0, 5);
    tcase_add_test(tc, test_number_of_labels);
    tcase_add_test(tc, test_samples_and_histograms);
    tcase_add_test(tc, test_start_timestamps);
    tcase_add_test(tc, test_starts_are_taken_back_with_their_rows);
    tcase_add_test(tc, test_exemplars);
    tcase_add_test(tc, test_metadata_once_for_a_family);
    tcase_add_loop_test(tc, test_damage_refuses_the_whole_request, 0, 14);
    tcase_add_test(tc, test_both_versions_mean_the_same);
    tcase_add_test(tc, test_cut_and_bent_requests_do_no_harm);
    tcase_add_test(tc, test_memory_is_refused_politely);
    suite_add_tcase(suite, tc);
    return suite;
}
