/* The command line: one row an option, which is its parser, its range and its help. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/numfmt.h"
#include "utils/tsink-benchmark/bench.h"

enum option_kind { OPT_NUMBER, OPT_TEXT, OPT_FLAG };

static const struct option_row {
    const char *name;
    enum option_kind kind;
    size_t off;
    uint64_t low, high;
    const char *text;
} rows[] = {
#define ROW(name, kind, field, low, high, text)                                                \
    {name, kind, offsetof(struct options, field), low, high, text}
    ROW("--host", OPT_TEXT, host, 0, 0, "address of the server (127.0.0.1)"),
    ROW("--port", OPT_NUMBER, port, 1, 65535, "RESP port (6380)"),
    ROW("--http-port", OPT_NUMBER, http_port, 1, 65535, "HTTP port (9201)"),
    ROW("--series", OPT_NUMBER, series, 1, 100000000, "series in all (100000)"),
    ROW("--samples-per-request", OPT_NUMBER, per_request, 1, 1000000,
        "samples of a remote write (2000), or of a TS.MADD (10)"),
    ROW("--labels", OPT_NUMBER, labels, 1, 60, "labels of a series, its name among them (9)"),
    ROW("--metrics", OPT_NUMBER, metrics, 1, BENCH_METRICS,
        "series of a target, which differ by their metric alone (100)"),
    ROW("--connections", OPT_NUMBER, connections, 1, 10000, "connections (4)"),
    ROW("--pipeline", OPT_NUMBER, pipeline, 1, 100000, "commands in flight on each (16)"),
    ROW("--seconds", OPT_NUMBER, seconds, 1, 86400, "time of the run, at most (5)"),
    ROW("--requests", OPT_NUMBER, requests, 1, 1000000000,
        "requests or pipelines in all, instead of a time"),
    ROW("--step", OPT_NUMBER, step_ms, 1, 86400000, "ms between the samples of a series (1000)"),
    ROW("--jitter", OPT_NUMBER, jitter_ms, 0, 86400000,
        "ms that the samples of a target are early or late, at most (0)"),
    ROW("--end", OPT_NUMBER, end_ms, 1, INT64_MAX,
        "time of the last sample, ms since 1970 (a little before now)"),
    ROW("--pace", OPT_NUMBER, pace, 1, 1000000000,
        "samples a second, at most; latencies count from when a request was due (no limit)"),
    ROW("--memory", OPT_NUMBER, memory_mb, 1, 1048576, "MB of encoded requests, at most (512)"),
    ROW("--pid", OPT_NUMBER, pid, 1, UINT32_MAX, "process of the server (asked for by INFO)"),
    ROW("--run", OPT_TEXT, run, 0, 0, "name that tells this run's series from others (the time)"),
    ROW("--probe-fdatasync", OPT_TEXT, probe, 0, 0,
        "first time fdatasync alone, for a second, in this directory"),
    ROW("--url", OPT_TEXT, url, 0, 0, "http://host:port/path to write to, of any server"),
    ROW("--set", OPT_TEXT, set_name, 0, 0,
        "data set: a = 100,000 series x 100, b = 1,000,000 x 3, c = 10,000 x 1440 at 15 s"),
    ROW("--rounds", OPT_NUMBER, rounds, 1, 1000000,
        "samples of each series after the first, instead of a time"),
    ROW("--seed", OPT_NUMBER, seed, 0, UINT32_MAX, "of labels and values (1)"),
    ROW("--remote-write", OPT_NUMBER, version, 1, 2, "remote write 1 or 2 (1)"),
    ROW("--coding", OPT_TEXT, coding, 0, 0, "of the bodies: snappy or zstd (snappy)"),
    ROW("--settle", OPT_NUMBER, settle_s, 0, 3600,
        "seconds to wait after the run before CPU time and memory are read (0)"),
    ROW("--bench", OPT_TEXT, name, 0, 0, "print lines BENCH name=<this>.x value=... unit=..."),
    ROW("--file", OPT_TEXT, file, 0, 0, "of record and replay"),
    ROW("--every", OPT_NUMBER, every_ms, 10, 3600000, "ms between the pages of record (500)"),
    ROW("--scrapes", OPT_NUMBER, scrapes, 1, 1000000, "pages of record (100)"),
    ROW("--json", OPT_FLAG, json, 0, 0, "print one JSON object"),
#undef ROW
};

static const char *const mode_names[] = {
    [BENCH_WRITE] = "write", [BENCH_ADD] = "add", [BENCH_MADD] = "madd", [BENCH_PING] = "ping",
    [BENCH_REPLAY] = "replay", [BENCH_RECORD] = "record", [BENCH_BARE] = "bare"};

const char *options_mode_name(enum bench_mode mode)
{
    return mode_names[mode];
}

static void print_help(void)
{
    printf("usage: tsink-benchmark [option]... write|add|madd|ping|record|replay|bare\n\n"
           "Loads a server from memory and prints samples a second, the server's CPU time for a\n"
           "million samples, and latencies.\n\n"
           "  write   Prometheus remote write, to tsink or any --url\n"
           "  add     pipelines of TS.ADD\n"
           "  madd    pipelines of TS.MADD\n"
           "  ping    pipelines of PING\n"
           "  record  scrapes --url every so often into --file\n"
           "  replay  writes the pages of --file by remote write\n"
           "  bare    is a receiver on --http-port that decodes and counts, and nothing else:\n"
           "          what a server's CPU time is compared with\n\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf("  %-22s %s\n", rows[i].name, rows[i].text);
    printf("\nThe series are made first, outside of the time of the run. For the latency of one\n"
           "durable sample beside the disk's own:\n"
           "  tsink-benchmark --connections 1 --pipeline 1 --series 1 --requests 2000 \\\n"
           "      --probe-fdatasync . add\n\n"
           "Exit codes: 0 done, 64 usage, 65 the server refused something, 69 it cannot be\n"
           "reached or went away, 74 input or output error.\n");
    exit(0);
}

static void complain(const char *what, const char *name)
{
    fprintf(stderr, "tsink-benchmark: %s: %s (--help lists the options)\n", name, what);
    exit(EXIT_USAGE);
}

static void set_option(struct options *opt, const struct option_row *row, const char *value)
{
    char *at = (char *)opt + row->off;
    if (row->kind == OPT_FLAG) {
        *(bool *)at = true;
        return;
    }
    if (!value) complain("needs a value", row->name);
    if (row->kind == OPT_TEXT) {
        if (strlen(value) >= BENCH_TEXT_MAX) complain("is too long", row->name);
        memcpy(at, value, strlen(value) + 1);
        return;
    }
    uint64_t n;
    if (!parse_u64(&n, slice_str(value)) || n < row->low || n > row->high) {
        char text[96];
        snprintf(text, sizeof(text), "takes a whole number from %llu to %llu",
                 (unsigned long long)row->low, (unsigned long long)row->high);
        complain(text, row->name);
    }
    memcpy(at, &n, sizeof(n));
}

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

static bool find_mode(enum bench_mode *mode, const char *name)
{
    for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (strcmp(mode_names[i], name) != 0) continue;
        *mode = (enum bench_mode)i;
        return true;
    }
    return false;
}

/* http://host:port/path to its parts. */
static void take_url(struct options *opt)
{
    static const char scheme[] = "http://";
    if (strncmp(opt->url, scheme, sizeof(scheme) - 1) != 0)
        complain("begins with http://", "--url");
    const char *host = opt->url + sizeof(scheme) - 1, *path = strchr(host, '/');
    size_t len = path ? (size_t)(path - host) : strlen(host);
    const char *colon = memchr(host, ':', len);
    opt->http_port = 80;
    size_t host_len = colon ? (size_t)(colon - host) : len;
    if (colon && (!parse_u64(&opt->http_port, slice_of(colon + 1, len - host_len - 1)) ||
                  opt->http_port == 0 || opt->http_port > 65535))
        complain("has no port after the colon", "--url");
    snprintf(opt->host, sizeof(opt->host), "%.*s", (int)host_len, host);
    snprintf(opt->path, sizeof(opt->path), "%s", path ? path : "/");
}

static void take_set(struct options *opt)
{
    static const struct {
        const char *name;
        uint64_t series, rounds;
    } sets[] = {{"a", 100000, 99}, {"b", 1000000, 2}, {"c", 10000, 1439}};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        if (strcmp(opt->set_name, sets[i].name) != 0) continue;
        opt->set = opt->set_name[0];
        if (opt->series == 0) opt->series = sets[i].series;
        if (opt->rounds == 0) opt->rounds = sets[i].rounds;
        opt->step_ms = 15000;
        return;
    }
    complain("is a, b or c", "--set");
}

static void check_needs(const struct options *opt)
{
    bool record = opt->mode == BENCH_RECORD;
    if ((record || opt->mode == BENCH_REPLAY) && opt->file[0] == 0)
        complain("is needed", "--file");
    if (record && opt->url[0] == 0) complain("is needed", "--url");
    if (opt->coding[0] && strcmp(opt->coding, "zstd") != 0 && strcmp(opt->coding, "snappy") != 0)
        complain("is snappy or zstd", "--coding");
}

/* What follows from the other options. */
static void settle(struct options *opt)
{
    if (opt->url[0]) take_url(opt);
    if (opt->set_name[0]) take_set(opt);
    if (opt->series == 0) opt->series = 100000;
    check_needs(opt);
    opt->zstd = strcmp(opt->coding, "zstd") == 0;
    if (opt->per_request == 0) opt->per_request = bench_is_http(opt->mode) ? 2000 : 10;
    if (bench_is_http(opt->mode)) opt->pipeline = 1;
    if (opt->mode != BENCH_PING && opt->series < opt->connections)
        complain("there are fewer series than connections", "--series");
    if (opt->pace && opt->connections != 1) complain("needs --connections 1", "--pace");
    if (opt->jitter_ms * 2 >= opt->step_ms) complain("is not less than half a step", "--jitter");
    if (opt->run[0] == 0)
        snprintf(opt->run, sizeof(opt->run), "%llx", (unsigned long long)time(NULL));
}

void options_parse(struct options *opt, int argc, char **argv)
{
    bool has_mode = false;
    *opt = (struct options){.host = "127.0.0.1", .port = 6380, .http_port = 9201,
                            .labels = 9, .metrics = BENCH_METRICS, .connections = 4, .pipeline = 16,
                            .seconds = 5, .step_ms = 1000, .memory_mb = 512,
                            .path = "/api/v1/write", .version = 1, .seed = 1,
                            .every_ms = 500, .scrapes = 100};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) print_help();
        if (strcmp(argv[i], "--version") == 0) {
            printf("tsink-benchmark %s\n", TSINK_VERSION);
            exit(0);
        }
        if (argv[i][0] != '-') {
            if (has_mode || !find_mode(&opt->mode, argv[i]))
                complain(has_mode ? "one thing at a time" : "is no mode", argv[i]);
            has_mode = true;
            continue;
        }
        const struct option_row *row = find_row(argv[i]);
        if (!row) complain("is no option", argv[i]);
        bool takes_value = row->kind != OPT_FLAG;
        set_option(opt, row, takes_value && i + 1 < argc ? argv[i + 1] : NULL);
        i += takes_value;
    }
    if (!has_mode) complain("say write, add, madd, ping, record, replay or bare", "nothing to do");
    settle(opt);
}
