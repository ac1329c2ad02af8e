/* tsink-benchmark: the phases of a run. bench.h is the map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "utils/tsink-benchmark/bench.h"

static int complain(int code, const char *what)
{
    fprintf(stderr, "tsink-benchmark: %s\n", what);
    return code;
}

static double seconds_since(mono_ns start)
{
    return (double)(clock_mono(clock_system()) - start) / 1e9;
}

/* Makes the series, then runs; err says why not. */
static bool run_phases(struct figures *f, struct drive *d, char *err, size_t err_len)
{
    const struct options *opt = f->opt;
    uint64_t pid = opt->pid || opt->url[0] ? opt->pid : drive_server_pid(opt);
    double before = pid ? process_cpu_s(pid) : -1;
    mono_ns start = clock_mono(clock_system());
    if (opt->mode != BENCH_PING && !drive_phase(d, DRIVE_CREATE, f, err, err_len)) return false;
    f->create_s = seconds_since(start);
    f->create_samples = f->samples;
    f->batches = f->replies = f->samples = 0;
    memset(&f->latency, 0, sizeof(f->latency));

    double after = before < 0 ? -1 : process_cpu_s(pid);
    f->create_cpu_s = after < 0 ? -1 : after - before;
    before = after;
    start = clock_mono(clock_system());
    if (!drive_phase(d, DRIVE_RUN, f, err, err_len)) return false;
    f->run_s = seconds_since(start);
    if (opt->settle_s) sleep((unsigned)opt->settle_s);
    after = before < 0 ? -1 : process_cpu_s(pid);
    f->rss = pid ? process_rss(pid) : 0;
    f->cpu_s = after < 0 ? -1 : after - before;
    return true;
}

static int run(struct figures *f, struct batches *all)
{
    const struct options *opt = f->opt;
    char err[BENCH_TEXT_MAX * 2];
    if (opt->probe[0] && !probe_fdatasync(&f->fdatasync, opt->probe, err, sizeof(err)))
        return complain(EXIT_IO, err);
    int64_t now_ms = clock_wall(clock_system());
    if (opt->mode == BENCH_REPLAY) {
        int code = replay_make(all, opt, now_ms);
        if (code) return code;
    } else if (!batches_make(all, opt, now_ms)) {
        return complain(EXIT_IO, "out of memory");
    }
    for (uint64_t c = 0; c < opt->connections; c++) {
        f->n_raw += all[c].n_raw;
        f->n_body += all[c].n_body;
        for (size_t i = 0; i < all[c].n; i++) f->n_encoded += all[c].list[i].samples;
    }

    struct drive *d = drive_open(opt, all, err, sizeof(err));
    if (!d) return complain(EXIT_SERVER, err);
    bool good = run_phases(f, d, err, sizeof(err));
    if (good) figures_print(f);
    drive_close(d);
    if (!good) return complain(EXIT_SERVER, err);
    return f->refused ? EXIT_REFUSED : 0;
}

int main(int argc, char **argv)
{
    struct options opt;
    options_parse(&opt, argc, argv);
    if (opt.mode == BENCH_RECORD) return record_pages(&opt);
    if (opt.mode == BENCH_BARE) return bare_serve(&opt);
    struct figures *f = calloc(1, sizeof(*f));
    struct batches *all = calloc(opt.connections, sizeof(*all));
    int code = EXIT_IO;
    if (f && all) {
        f->opt = &opt;
        code = run(f, all);
        for (uint64_t c = 0; c < opt.connections; c++) batches_release(&all[c]);
    }
    free(all);
    free(f);
    return code;
}
