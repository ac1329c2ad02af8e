/* tsink-benchmark: what its sources share.
 *
 *     options.c   the command line, from a table
 *     batches.c   requests encoded beforehand: remote write, TS.ADD, TS.MADD, PING
 *     replies.c   counts the replies in a stream of bytes, RESP or HTTP
 *     drive.c     connections: each sends its batches in order, one at a time
 *     figures.c   latencies, the server's CPU time, fdatasync, printing
 *     main.c      the phases of a run
 *
 * One thread. Everything that costs the client time (encoding, compression) is done before
 * the clock starts, so that on a small machine the server is what is measured.
 */
#ifndef TSINK_BENCHMARK_BENCH_H
#define TSINK_BENCHMARK_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

enum { BENCH_TEXT_MAX = 256 };
enum { EXIT_USAGE = 64, EXIT_SERVER = 69, EXIT_REFUSED = 65, EXIT_IO = 74 };

enum bench_mode { BENCH_WRITE, BENCH_ADD, BENCH_MADD, BENCH_PING };

/* --- options.c --------------------------------------------------------------------- */

struct options {
    enum bench_mode mode;
    char host[BENCH_TEXT_MAX];
    uint64_t port, http_port;
    uint64_t series;           /* in all */
    uint64_t per_request;      /* samples of a remote write, or of a TS.MADD */
    uint64_t labels;           /* of a series, the name among them */
    uint64_t connections;
    uint64_t pipeline;         /* commands sent before their replies are awaited */
    uint64_t seconds;          /* at most, when requests is 0 */
    uint64_t requests;         /* batches in all; 0: by seconds */
    uint64_t step_ms;          /* between the samples of a series */
    uint64_t memory_mb;        /* of encoded batches, at most */
    uint64_t pid;              /* of the server; 0: asked for by INFO */
    char run[BENCH_TEXT_MAX];  /* tells the series of this run from others */
    char probe[BENCH_TEXT_MAX]; /* directory of the fdatasync loop; empty: none */
    bool json;
};

/* Fills opt; on --help prints and exits 0, on a mistake prints one line and exits 64. */
void options_parse(struct options *opt, int argc, char **argv);

const char *options_mode_name(enum bench_mode mode);

/* --- batches.c --------------------------------------------------------------------- */

struct batch {
    size_t off, len;   /* in batches.bytes */
    uint32_t replies;  /* that it asks for */
    uint32_t samples;
};

/* The batches of one connection, in order. The first n_create of them make its series. */
struct batches {
    struct strbuf bytes;
    struct batch *list;
    size_t n, cap, n_create;
};

/* Encodes for opt->connections connections until rounds or memory are used up; all[] has
 * room for them. Every series belongs to one connection, so that its samples come in order.
 * False: out of memory. */
bool batches_make(struct batches *all, const struct options *opt, int64_t now_ms);
void batches_release(struct batches *b);

/* --- replies.c --------------------------------------------------------------------- */

/* Where a reader is in a stream of replies. Zeroed at the start. */
struct reply_reader {
    bool http;
    bool in_head;          /* HTTP: the status line was seen */
    int code;              /* of the answer being read */
    uint64_t skip;         /* bytes of a body or bulk string to pass over */
    uint64_t nested;       /* elements still to come of the RESP reply begun */
    uint64_t length;       /* HTTP: Content-Length */
    char line[BENCH_TEXT_MAX];
    size_t line_len;       /* bytes of the line begun; more than fits are counted only */
    uint64_t n_done;       /* whole replies */
    uint64_t n_refused;    /* error replies, elements of arrays included */
    char first_error[BENCH_TEXT_MAX];
};

/* False when the bytes are no replies. */
bool replies_feed(struct reply_reader *r, const char *bytes, size_t len);

/* --- figures.c --------------------------------------------------------------------- */

enum { HIST_BITS = 6, HIST_SLOTS = (64 - HIST_BITS) << HIST_BITS };

/* Durations in ns, in slots at most 1/64 wide. */
struct hist {
    uint64_t n, max;
    uint64_t slots[HIST_SLOTS];
};

void hist_add(struct hist *h, uint64_t ns);
uint64_t hist_quantile(const struct hist *h, double q); /* ns; 0 when empty */

/* CPU seconds, user and system, that a process has used; negative when it cannot be read. */
double process_cpu_s(uint64_t pid);

/* Appends 512 bytes and calls fdatasync, again and again for a second, in a file in dir
 * which is removed. False: it failed, err says why. */
bool probe_fdatasync(struct hist *h, const char *dir, char *err, size_t err_len);

struct figures {
    const struct options *opt;
    double create_s, run_s;
    uint64_t create_samples;
    uint64_t batches, replies, samples, refused;
    double cpu_s;              /* of the server while running; negative: not known */
    bool used_up;              /* all batches were sent before the time was */
    const char *first_error;
    struct hist latency;       /* of a batch: its first byte sent to its last reply read */
    struct hist fdatasync;     /* empty: not asked for */
};

void figures_print(const struct figures *f);

/* --- drive.c ----------------------------------------------------------------------- */

struct drive;

/* Connects all. NULL: err says why. */
struct drive *drive_open(const struct options *opt, struct batches *all, char *err, size_t err_len);
void drive_close(struct drive *d);

enum drive_phase { DRIVE_CREATE, DRIVE_RUN };

/* Sends the batches of a phase on all connections and counts into f. False: err. */
bool drive_phase(struct drive *d, enum drive_phase phase, struct figures *f, char *err,
                 size_t err_len);

/* process_id of INFO on the RESP port; 0 when it cannot be had. */
uint64_t drive_server_pid(const struct options *opt);

#endif
