/* What the index costs: time and bytes of a new series, probes, and matchers over a
 * million series (BENCH_SERIES sets another number). One line a number:
 *
 *     BENCH index.series.add_ns=1234
 *
 * The shape: 1000 instances of each of SERIES/1000 metric-and-mode combinations, eight
 * labels each, as a fleet of hosts scraped by one job has. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "index/label_scan.h"
#include "index/registry_file.h"
#include "index/resolve.h"

enum { INSTANCES = 1000, LABELS = 8 };


static void free_now(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free_fn(ptr, arg); /* the benchmark has no readers beside the owner */
}

static int64_t now_ns(void)
{
    return clock_mono(clock_system());
}

struct name {
    struct label labels[LABELS];
    char text[LABELS][64];
};

static void put(struct name *name, size_t i, const char *label, const char *fmt, size_t v)
{
    int len = snprintf(name->text[i], sizeof(name->text[i]), fmt, v);
    name->labels[i] = (struct label){slice_str(label), slice_of(name->text[i], (size_t)len)};
}

static struct labels make_name(struct name *name, size_t i)
{
    size_t kind = i / INSTANCES, host = i % INSTANCES;
    put(name, 0, "__name__", "node_metric_%zu_seconds_total", kind / 8);
    put(name, 1, "cluster", "eu-west-%zu", host / 250);
    put(name, 2, "cpu", "%zu", kind % 8);
    put(name, 3, "env", "production", 0);
    put(name, 4, "instance", "host-%zu.example.com:9100", host);
    put(name, 5, "job", "node-%zu", kind % 3);
    put(name, 6, "mode", "mode-%zu", kind % 8);
    put(name, 7, "rack", "rack-%zu", host / 40);
    return (struct labels){name->labels, LABELS};
}

static struct slice identity_of(uint8_t *bytes, struct labels labels)
{
    return slice_of(bytes, labels_identity(bytes, labels));
}

static void fold_all(struct registry *reg)
{
    while (registry_rebuild_due(reg)) {
        struct registry_rebuild *rb = registry_rebuild_plan(reg);
        if (!rb) exit(EXIT_FAILURE);
        registry_rebuild_publish(reg, rb, registry_rebuild_run(rb, NULL));
    }
}

static void bench_add(struct registry *reg, size_t n)
{
    static struct name name;
    uint8_t bytes[1024];
    int64_t spent = 0, folding = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        struct labels labels = make_name(&name, i);
        struct slice identity = identity_of(bytes, labels);
        struct series_new make = {.labels = labels,
                                  .identity = identity,
                                  .hash = hash128(identity.ptr, identity.len),
                                  .place = labels_place(labels, identity),
                                  .type = VALUE_F64};
        uint32_t ordinal;
        int64_t from = now_ns();
        if (registry_add(&ordinal, reg, &make) != ST_OK) exit(EXIT_FAILURE);
        int64_t step = now_ns() - from;
        spent += step;
        if (step > worst) worst = step;
        from = now_ns();
        fold_all(reg);
        folding += now_ns() - from;
    }
    printf("BENCH index.series.add_ns=%.0f\n", (double)spent / (double)n);
    printf("BENCH index.series.add_worst_us=%.1f\n", (double)worst / 1e3);
    printf("BENCH index.series.fold_ns=%.0f\n", (double)folding / (double)n);
}

static void bench_probe(const struct registry *reg, size_t n)
{
    static struct name name;
    uint8_t bytes[1024];
    int64_t spent = 0;
    size_t n_probes = 0, n_missed = 0;
    for (size_t i = 0; i < n; i += 7, n_probes++) {
        struct slice identity = identity_of(bytes, make_name(&name, i * 31 % n));
        struct hash128 hash = hash128(identity.ptr, identity.len);
        uint32_t ordinal, gen;
        int64_t from = now_ns();
        n_missed += !identity_get(registry_identity(reg), hash, &ordinal, &gen);
        spent += now_ns() - from;
    }
    if (n_missed) exit(EXIT_FAILURE);
    printf("BENCH index.identity.get_ns=%.0f\n", (double)spent / (double)n_probes);
}

static const struct question {
    const char *name;
    struct {
        const char *label;
        enum match_op op;
        const char *value;
    } m[4];
} questions[] = {
    {"one", {{"__name__", MATCH_EQ, "node_metric_3_seconds_total"},
             {"instance", MATCH_EQ, "host-77.example.com:9100"},
             {"mode", MATCH_EQ, "mode-5"}}},
    {"metric", {{"__name__", MATCH_EQ, "node_metric_3_seconds_total"}}},
    {"two_large", {{"job", MATCH_EQ, "node-1"}, {"mode", MATCH_EQ, "mode-5"}}},
    {"negative", {{"__name__", MATCH_EQ, "node_metric_3_seconds_total"},
                  {"mode", MATCH_NE, "mode-5"}}},
    {"literals", {{"instance", MATCH_RE, "host-1.example.com:9100|host-2.example.com:9100"}}},
    {"regex", {{"instance", MATCH_RE, "host-.*7.example.com:9100"}}},
    {"regex_few", {{"__name__", MATCH_EQ, "node_metric_3_seconds_total"},
                   {"cpu", MATCH_EQ, "1"},
                   {"instance", MATCH_RE, "host-.*7.example.com:9100"}}},
    {"everything", {{"env", MATCH_EQ, "production"}}},
    {"not_empty", {{"rack", MATCH_NE, ""}}},
};

static void bench_resolve(const struct registry *reg, const struct question *q)
{
    struct matcher ms[4];
    size_t n = 0;
    for (; n < 4 && q->m[n].label; n++) {
        if (matcher_init(&ms[n], q->m[n].op, slice_str(q->m[n].label), slice_str(q->m[n].value),
                         NULL) != ST_OK) {
            exit(EXIT_FAILURE);
        }
    }
    struct resolve_args args = {.matchers = {ms, n}};
    int64_t best = INT64_MAX;
    size_t n_found = 0;
    for (int run = 0; run < 5; run++) {
        struct ordinals got = {.ptr = NULL};
        int64_t from = now_ns();
        if (resolve(&got, reg, &args, NULL) != ST_OK) exit(EXIT_FAILURE);
        int64_t took = now_ns() - from;
        if (took < best) best = took;
        n_found = got.n;
        ordinals_release(&got);
    }
    printf("BENCH index.resolve.%s.us=%.1f\n", q->name, (double)best / 1e3);
    printf("BENCH index.resolve.%s.series=%zu\n", q->name, n_found);
    for (size_t i = 0; i < n; i++) matcher_release(&ms[i]);
}

/* What a restart does: the snapshot of all series, loaded on one thread and on two. */
static void bench_load(const struct registry *reg, const struct reclaim *rc, size_t n)
{
    static const uint8_t database[16];
    struct vfs *vfs = vfs_mem_new();
    struct registry_prefix prefix = registry_prefix(reg, 0, 1);
    struct registry_part part;
    int64_t from = now_ns();
    if (registry_save(reg, &prefix, NULL, database, vfs, "f", NULL, &part, NULL) != ST_OK)
        exit(EXIT_FAILURE);
    printf("BENCH index.file.save_ms=%.1f\n", (double)(now_ns() - from) / 1e6);
    printf("BENCH index.file.bytes_per_series=%.1f\n", (double)part.n_bytes / (double)n);
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct account account;
        struct registry_loaded loaded;
        struct registry_load_options opt = {.parts = &part, .n = 1, .n_threads = threads};
        account_init(&account, "loaded", NULL, 0);
        struct registry *again = registry_new(&account, rc);
        int64_t cpu = clock_process_cpu_ns();
        from = now_ns();
        if (!again || registry_load(again, &loaded, vfs, &opt, NULL) != ST_OK ||
            loaded.n_series != n)
            exit(EXIT_FAILURE);
        printf("BENCH index.file.load_%ut.ms=%.1f\n", threads, (double)(now_ns() - from) / 1e6);
        printf("BENCH index.file.load_%ut.cpu_ms=%.1f\n", threads,
               (double)(clock_process_cpu_ns() - cpu) / 1e6);
        printf("BENCH index.file.loaded_bytes=%.1f\n",
               (double)account_used(&account) / (double)n);
        registry_free(again);
    }
    vfs_free(vfs);
}

int main(void)
{
    const char *text = getenv("BENCH_SERIES");
    size_t n = text ? strtoull(text, NULL, 10) : 1000000;
    struct account account;
    struct reclaim rc = {free_now, NULL};
    account_init(&account, "index", NULL, 0);
    hash_seed(1);
    struct registry *reg = registry_new(&account, &rc);
    if (!reg || n == 0) return EXIT_FAILURE;

    size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd;
    bench_add(reg, n);
    malloc_trim(0);
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - heap;
    printf("BENCH index.series.account_bytes=%.1f\n", (double)account_used(&account) / (double)n);
    printf("BENCH index.series.heap_bytes=%.1f\n", (double)used / (double)n);
    bench_probe(reg, n);
    bench_load(reg, &rc, n);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        bench_resolve(reg, &questions[i]);
    }
    registry_free(reg);
    return EXIT_SUCCESS;
}
