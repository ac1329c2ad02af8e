/* tsink-benchmark: what its sources share.
 *
 *     options.c   the command line, from a table
 *     series.c    labels and values of the series, by seed
 *     encode.c    bodies of remote write 1.0 and 2.0
 *     batches.c   requests encoded beforehand: remote write, TS.ADD, TS.MADD, PING
 *     record.c    pages of an exporter to a file, and the file as requests
 *     bare.c      the bare receiver, which servers are compared with
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

#include "base/slice.h"
#include "base/strbuf.h"

enum { BENCH_TEXT_MAX = 256 };
enum { BENCH_METRICS = 100 }; /* of a target, scraped together, unless --metrics says else */
enum { EXIT_USAGE = 64, EXIT_SERVER = 69, EXIT_REFUSED = 65, EXIT_IO = 74 };

enum bench_mode {
    BENCH_WRITE,
    BENCH_ADD,
    BENCH_MADD,
    BENCH_PING,
    BENCH_REPLAY,
    BENCH_RECORD,
    BENCH_BARE,
};

static inline bool bench_is_http(enum bench_mode mode)
{
    return mode == BENCH_WRITE || mode == BENCH_REPLAY;
}

/* --- options.c --------------------------------------------------------------------- */

struct options {
    enum bench_mode mode;
    char host[BENCH_TEXT_MAX];
    uint64_t port, http_port;
    uint64_t series;           /* in all */
    uint64_t per_request;      /* samples of a remote write, or of a TS.MADD */
    uint64_t metrics;          /* series of a target */
    uint64_t labels;           /* of a series, the name among them */
    uint64_t connections;
    uint64_t pipeline;         /* commands sent before their replies are awaited */
    uint64_t seconds;          /* at most, when requests is 0 */
    uint64_t requests;         /* batches in all; 0: by seconds */
    uint64_t step_ms;          /* between the samples of a series */
    uint64_t end_ms;           /* time of the last sample; 0: a little before now */
    uint64_t pace;             /* samples a second, at most; 0: as fast as they are taken */
    uint64_t jitter_ms;        /* how far a scrape may be from its time, either way */
    uint64_t memory_mb;        /* of encoded batches, at most */
    uint64_t pid;              /* of the server; 0: asked for by INFO */
    char run[BENCH_TEXT_MAX];  /* tells the series of this run from others */
    char probe[BENCH_TEXT_MAX]; /* directory of the fdatasync loop; empty: none */
    char url[BENCH_TEXT_MAX];  /* http://host:port/path in place of host and http_port */
    char path[BENCH_TEXT_MAX]; /* of remote write */
    char file[BENCH_TEXT_MAX]; /* of record and replay */
    char name[BENCH_TEXT_MAX]; /* of the BENCH lines; empty: none */
    char set_name[BENCH_TEXT_MAX];
    char coding[BENCH_TEXT_MAX];
    char set;                  /* 'a', 'b', 'c', or 0: series and rounds as given */
    uint64_t rounds;           /* samples of a series after the first; 0: by the others */
    uint64_t seed;
    uint64_t version;          /* of remote write: 1 or 2 */
    bool zstd;
    uint64_t every_ms, scrapes; /* of record */
    uint64_t settle_s;         /* after the run, before CPU and memory are read */
    bool json;
};

/* Fills opt; on --help prints and exits 0, on a mistake prints one line and exits 64. */
void options_parse(struct options *opt, int argc, char **argv);

const char *options_mode_name(enum bench_mode mode);

/* --- series.c ---------------------------------------------------------------------- */

struct series_set;

struct series_set *series_set_new(const struct options *opt); /* NULL: out of memory */
void series_set_free(struct series_set *set);

/* The labels as fields of a TimeSeries of remote write 1.0. */
struct slice series_labels(const struct series_set *set, uint64_t series);

/* Set C: rounds of a series are asked for in order, from 0. */
double series_value(struct series_set *set, uint64_t series, uint64_t round);

/* --- encode.c ---------------------------------------------------------------------- */

struct encoder;

struct encoder *encoder_new(const struct options *opt); /* NULL: out of memory */
void encoder_free(struct encoder *e);
void encoder_varint(struct strbuf *out, uint64_t v); /* appends a protobuf varint */
void encoder_begin(struct encoder *e);

/* labels as series_labels() gives them; they live until encoder_end(). */
void encoder_add(struct encoder *e, struct slice labels, double value, int64_t ms);

/* Appends a request to out; adds the lengths of the body before and after compression. */
bool encoder_end(struct encoder *e, struct strbuf *out, uint64_t *n_raw, uint64_t *n_body);

/* --- batches.c --------------------------------------------------------------------- */

struct parcel {
    size_t off, len;   /* in batches.bytes */
    uint32_t replies;  /* that it asks for */
    uint32_t samples;
};

/* The batches of one connection, in order. The first n_create of them make its series. */
struct batches {
    struct strbuf bytes;
    struct parcel *list;
    size_t n, cap, n_create;
    uint64_t n_raw, n_body;    /* bytes of all bodies, before and after compression */
};

/* Encodes for opt->connections connections until rounds or memory are used up; all[] has
 * room for them. Every series belongs to one connection, so that its samples come in order.
 * False: out of memory. */
bool batches_make(struct batches *all, const struct options *opt, int64_t now_ms);
void batches_release(struct batches *b);

/* One more batch: the bytes from off on. False: out of memory. */
bool batches_add(struct batches *b, size_t off, uint64_t replies, uint64_t samples);

/* --- record.c ---------------------------------------------------------------------- */

/* Both are exit codes, after a line on stderr. */
int record_pages(const struct options *opt);
int replay_make(struct batches *all, const struct options *opt, int64_t now_ms);

/* --- bare.c ------------------------------------------------------------------------ */

/* Serves until it is killed; an exit code when it cannot. */
int bare_serve(const struct options *opt);

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

/* Resident memory of a process in bytes; 0 when it cannot be read. */
uint64_t process_rss(uint64_t pid);

/* Appends 512 bytes and calls fdatasync, again and again for a second, in a file in dir
 * which is removed. False: it failed, err says why. */
bool probe_fdatasync(struct hist *h, const char *dir, char *err, size_t err_len);

struct figures {
    const struct options *opt;
    double create_s, run_s;
    uint64_t create_samples;
    uint64_t batches, replies, samples, refused;
    double cpu_s;              /* of the server while running; negative: not known */
    double create_cpu_s;       /* and while the series were made */
    uint64_t rss;              /* of the server at the end; 0: not known */
    uint64_t n_raw, n_body, n_encoded; /* bytes of the bodies of so many samples */
    bool used_up;              /* all batches were sent before the time was */
    const char *first_error;
    struct hist latency;       /* of a batch: its first byte sent to its last reply read */
    struct hist fdatasync;     /* empty: not asked for */
};

void figures_print(const struct figures *f);

/* --- drive.c ----------------------------------------------------------------------- */

struct drive;

/* A socket, or -1 with err. */
int drive_connect(const char *host, uint64_t port, char *err, size_t err_len);

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
