/* Latencies, the server's CPU time, fdatasync, and printing them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "utils/tsink-benchmark/bench.h"

enum { PROBE_BYTES = 512, PROBE_FILE_BYTES = 1 << 20 };

/* --- histogram ---------------------------------------------------------------------- */

/* A value's slot: its power of two and the HIST_BITS bits after the first. */
static size_t slot_of(uint64_t v)
{
    if (v >> HIST_BITS == 0) return v;
    unsigned shift = 63 - (unsigned)__builtin_clzll(v) - HIST_BITS;
    return ((size_t)(shift + 1) << HIST_BITS) + ((v >> shift) & ((1u << HIST_BITS) - 1));
}

static uint64_t slot_value(size_t slot)
{
    if (slot >> HIST_BITS == 0) return slot;
    unsigned shift = (unsigned)(slot >> HIST_BITS) - 1;
    return ((UINT64_C(1) << HIST_BITS) + (slot & ((1u << HIST_BITS) - 1))) << shift;
}

void hist_add(struct hist *h, uint64_t ns)
{
    size_t slot = slot_of(ns);
    h->slots[slot < HIST_SLOTS ? slot : HIST_SLOTS - 1]++;
    h->n++;
    if (ns > h->max) h->max = ns;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;
    for (size_t i = 0; i < HIST_SLOTS && h->n; i++) {
        seen += h->slots[i];
        if (seen > want || seen == h->n) return slot_value(i);
    }
    return 0;
}

/* --- the machine --------------------------------------------------------------------- */

double process_cpu_s(uint64_t pid)
{
    char path[64], text[1024];
    unsigned long user, kernel;
    snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = 0;

    /* The name is in parentheses and may hold anything; the state follows the last one. */
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &kernel) != 2)
        return -1;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

uint64_t process_rss(uint64_t pid)
{
    char path[64], line[256];
    unsigned long kb = 0;
    snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %lu", &kb) == 1) break;
    fclose(file);
    return (uint64_t)kb << 10;
}

static bool probe_file(struct hist *h, int fd)
{
    static const char block[PROBE_BYTES] = {'t'};
    struct clock *clock = clock_system();
    mono_ns end = clock_mono(clock) + 1000000000, now;
    off_t off = 0;
    if (posix_fallocate(fd, 0, PROBE_FILE_BYTES) != 0 || fsync(fd) != 0) return false;
    do {
        mono_ns start = clock_mono(clock);
        if (pwrite(fd, block, sizeof(block), off) != (ssize_t)sizeof(block) || fdatasync(fd) != 0)
            return false;
        now = clock_mono(clock);
        hist_add(h, (uint64_t)(now - start));
        off = (off + (off_t)sizeof(block)) % PROBE_FILE_BYTES;
    } while (now < end);
    return true;
}

bool probe_fdatasync(struct hist *h, const char *dir, char *err, size_t err_len)
{
    char path[BENCH_TEXT_MAX + 64];
    snprintf(path, sizeof(path), "%s/tsink-benchmark.XXXXXX", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    bool good = fd >= 0 && probe_file(h, fd);
    if (!good) snprintf(err, err_len, "fdatasync in %s: %s", dir, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return good;
}

/* --- printing ------------------------------------------------------------------------ */

static const struct quantile {
    const char *name;
    double q;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

enum { N_QUANTILES = sizeof(quantiles) / sizeof(quantiles[0]) };

/* What CPU time and rates are given for: samples, or commands where there are none. */
static uint64_t units(const struct figures *f)
{
    return f->opt->mode == BENCH_PING ? f->replies : f->samples;
}

/* A page has one sample of each series. */
static uint64_t n_series(const struct figures *f)
{
    return f->opt->mode == BENCH_REPLAY ? f->create_samples : f->opt->series;
}

static double per_second(uint64_t n, double s)
{
    return s > 0 ? (double)n / s : 0;
}

static double cpu_per_million(const struct figures *f)
{
    return f->cpu_s < 0 || units(f) == 0 ? -1 : f->cpu_s * 1e6 / (double)units(f);
}

static void json_hist(struct json_writer *w, const char *key, const struct hist *h)
{
    json_put_key(w, slice_str(key));
    json_open_object(w);
    json_field_u64(w, "count", h->n);
    for (size_t i = 0; i < N_QUANTILES; i++)
        json_field_f64(w, quantiles[i].name, (double)hist_quantile(h, quantiles[i].q) / 1e9);
    json_field_f64(w, "max", (double)h->max / 1e9);
    json_close_object(w);
}

static void print_json(const struct figures *f)
{
    const struct options *opt = f->opt;
    struct strbuf out;
    struct json_writer w;
    strbuf_init(&out, 0);
    json_writer_init(&w, &out);
    json_open_object(&w);
    json_field_text(&w, "mode", slice_str(options_mode_name(opt->mode)));
    json_field_u64(&w, "series", n_series(f));
    json_field_u64(&w, "samples_per_request", opt->per_request);
    json_field_u64(&w, "labels", opt->labels);
    json_field_u64(&w, "connections", opt->connections);
    json_field_u64(&w, "pipeline", opt->pipeline);
    json_field_f64(&w, "create_seconds", f->create_s);
    json_field_f64(&w, "series_per_second", per_second(n_series(f), f->create_s));
    json_field_f64(&w, "seconds", f->run_s);
    json_field_u64(&w, "requests", f->batches);
    json_field_u64(&w, "commands", f->replies);
    json_field_u64(&w, "samples", f->samples);
    json_field_u64(&w, "refused", f->refused);
    json_field_f64(&w, "samples_per_second", per_second(f->samples, f->run_s));
    json_field_f64(&w, "commands_per_second", per_second(f->replies, f->run_s));
    json_field_bool(&w, "used_up", f->used_up);
    if (f->cpu_s >= 0) {
        json_field_f64(&w, "server_cpu_seconds", f->cpu_s);
        json_field_f64(&w, "server_cpu_seconds_per_million", cpu_per_million(f));
    }
    if (f->create_cpu_s >= 0) json_field_f64(&w, "create_cpu_seconds", f->create_cpu_s);
    if (f->rss) json_field_u64(&w, "server_rss_bytes", f->rss);
    if (f->n_body) {
        json_field_f64(&w, "body_bytes_per_sample", (double)f->n_body / (double)f->n_encoded);
        json_field_f64(&w, "raw_bytes_per_sample", (double)f->n_raw / (double)f->n_encoded);
    }
    json_hist(&w, "latency_seconds", &f->latency);
    if (f->fdatasync.n) json_hist(&w, "fdatasync_seconds", &f->fdatasync);
    json_close_object(&w);
    printf("%s\n", strbuf_cstr(&out));
    strbuf_release(&out);
}

static void print_hist(const char *name, const struct hist *h)
{
    printf("  %-12s", name);
    for (size_t i = 0; i < N_QUANTILES; i++)
        printf("%s %.3f  ", quantiles[i].name, (double)hist_quantile(h, quantiles[i].q) / 1e6);
    printf("max %.3f ms (%llu)\n", (double)h->max / 1e6, (unsigned long long)h->n);
}

static void print_text(const struct figures *f)
{
    const struct options *opt = f->opt;
    bool is_ping = opt->mode == BENCH_PING;
    if (is_ping)
        printf("ping: pipelines of %llu, %llu connections\n", (unsigned long long)opt->pipeline,
               (unsigned long long)opt->connections);
    else
        printf("%s: %llu series of %llu labels, %llu connections, %llu samples a request, "
               "pipelines of %llu\n", options_mode_name(opt->mode),
               (unsigned long long)n_series(f), (unsigned long long)opt->labels,
               (unsigned long long)opt->connections,
               (unsigned long long)(opt->mode == BENCH_ADD ? 1 : opt->per_request),
               (unsigned long long)opt->pipeline);
    if (!is_ping)
        printf("  %-12s%.3f s, %.0f series/s\n", "created in", f->create_s,
               per_second(n_series(f), f->create_s));
    printf("  %-12s%llu %s in %.3f s, %.0f/s%s\n", "sent", (unsigned long long)units(f),
           is_ping ? "commands" : "samples", f->run_s, per_second(units(f), f->run_s),
           f->used_up ? " (all that was encoded: see --memory)" : "");
    if (f->cpu_s >= 0)
        printf("  %-12s%.3f s per million, %.2f s in all\n", "server CPU", cpu_per_million(f),
               f->cpu_s);
    if (f->create_cpu_s >= 0 && f->create_samples)
        printf("  %-12s%.3f us a series, %.2f s in all\n", "created for",
               f->create_cpu_s * 1e6 / (double)f->create_samples, f->create_cpu_s);
    if (f->rss) printf("  %-12s%.1f MB\n", "server RSS", (double)f->rss / 1e6);
    if (f->n_body)
        printf("  %-12s%.1f bytes a sample, %.1f before compression\n", "bodies",
               (double)f->n_body / (double)f->n_encoded, (double)f->n_raw / (double)f->n_encoded);
    print_hist("latency", &f->latency);
    if (f->fdatasync.n) print_hist("fdatasync", &f->fdatasync);
    if (f->refused)
        printf("  %-12s%llu, the first: %s\n", "refused", (unsigned long long)f->refused,
               f->first_error);
}

static void bench_line(const struct figures *f, const char *what, double value, const char *unit)
{
    printf("BENCH name=%s.%s value=%.6g unit=%s\n", f->opt->name, what, value, unit);
}

static void print_bench(const struct figures *f)
{
    double n = (double)units(f);
    bench_line(f, "samples", n, "1");
    bench_line(f, "wall", f->run_s, "s");
    bench_line(f, "rate", per_second(units(f), f->run_s), "1/s");
    if (f->cpu_s >= 0 && n > 0) bench_line(f, "cpu_per_sample", f->cpu_s * 1e9 / n, "ns");
    if (f->create_cpu_s >= 0 && f->create_samples)
        bench_line(f, "cpu_per_new_series", f->create_cpu_s * 1e9 / (double)f->create_samples,
                   "ns");
    if (f->rss) bench_line(f, "rss", (double)f->rss, "B");
    if (f->n_encoded)
        bench_line(f, "body_per_sample", (double)f->n_body / (double)f->n_encoded, "B");
    bench_line(f, "latency_p50", (double)hist_quantile(&f->latency, 0.5), "ns");
    bench_line(f, "latency_p99", (double)hist_quantile(&f->latency, 0.99), "ns");
    bench_line(f, "refused", (double)f->refused, "1");
}

void figures_print(const struct figures *f)
{
    if (f->opt->name[0]) print_bench(f);
    if (f->opt->json)
        print_json(f);
    else
        print_text(f);
}
