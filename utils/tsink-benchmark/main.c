/* tsink-benchmark: the phases of a run. bench.h is the map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    mono_ns start = clock_mono(clock_system());
    if (opt->mode != BENCH_PING && !drive_phase(d, DRIVE_CREATE, f, err, err_len)) return false;
    f->create_s = seconds_since(start);
    f->create_samples = f->samples;
    f->batches = f->replies = f->samples = 0;
    memset(&f->latency, 0, sizeof(f->latency));

    uint64_t pid = opt->pid ? opt->pid : drive_server_pid(opt);
    double before = pid ? process_cpu_s(pid) : -1;
    start = clock_mono(clock_system());
    if (!drive_phase(d, DRIVE_RUN, f, err, err_len)) return false;
    f->run_s = seconds_since(start);
    double after = before < 0 ? -1 : process_cpu_s(pid);
    f->cpu_s = after < 0 ? -1 : after - before;
    return true;
}

static int run(struct figures *f, struct batches *all)
{
    const struct options *opt = f->opt;
    char err[BENCH_TEXT_MAX * 2];
    if (opt->probe[0] && !probe_fdatasync(&f->fdatasync, opt->probe, err, sizeof(err)))
        return complain(EXIT_IO, err);
    if (!batches_make(all, opt, clock_wall(clock_system())))
        return complain(EXIT_IO, "out of memory");

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
