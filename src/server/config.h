/* Configuration: an immutable struct, filled from a table (config.def).
 *
 * At start: defaults, then the file, then the command line. CONFIG SET copies the current
 * generation, changes the copy, checks it as a whole and publishes it; nobody ever reads
 * a half-changed configuration, and a failed change changes nothing. Generations are kept
 * until the server ends: they are small and few.
 */
#ifndef TSINK_SERVER_CONFIG_H
#define TSINK_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "api/app.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "base/vfs.h"
#include "engine/options.h"

enum { CONFIG_TEXT_MAX = 512 };

struct config {
    char data_path[CONFIG_TEXT_MAX];
    char bind[CONFIG_TEXT_MAX];
    char cors[CONFIG_TEXT_MAX];
    bool protected_mode;
    int port, http_port;
    int io_threads;              /* -1: auto */
    int maintenance_threads, query_threads; /* -1: auto */
    uint64_t max_clients, max_source;
    char unix_socket[CONFIG_TEXT_MAX];
    int unix_mode;               /* octal digits read as decimal: 700; 0: none */
    int keepalive_s;
    uint64_t output_hard, output_soft;
    int64_t output_soft_ms;
    int64_t resp_idle_ms, http_idle_ms, http_head_ms;
    uint64_t bulk_max, body_max;
    char requirepass[CONFIG_TEXT_MAX], acl_file[CONFIG_TEXT_MAX];
    int64_t shutdown_grace_ms;
    int log_level;               /* enum log_level */
    struct db_options engine;
    struct app_settings app;
};

enum config_type {
    CONFIG_YESNO, CONFIG_INT, CONFIG_COUNT, CONFIG_COUNT32, CONFIG_SIZE, CONFIG_DURATION,
    CONFIG_MILLIS, CONFIG_ENUM, CONFIG_ENUM8, CONFIG_TEXT, CONFIG_FLOAT,
    CONFIG_COMPACTION,
    CONFIG_EVENTS, CONFIG_FIXED,
};

struct config_name {
    const char *name;
    int value;
};

/* A row of the table. */
struct config_row {
    const char *name;
    enum config_type type;
    size_t off, size;            /* of the field */
    const char *preset;          /* default, as text */
    int64_t low, high;
    const struct config_name *names; /* of an ENUM, ended by a NULL name */
    bool any_time;
    const char *group, *text;
};

extern const struct config_row config_rows[];
extern const size_t config_n_rows;

const struct config_row *config_row(struct slice name); /* NULL: no such option */

void config_init(struct config *cfg); /* all defaults */

/* ST_INVALID says what the option takes. */
CHECKED status config_set(struct config *cfg, const struct config_row *row, struct slice value,
                          struct err *err);

/* The value as text that config_set() takes. */
void config_print(struct strbuf *out, const struct config *cfg, const struct config_row *row);

/* What no row can check alone: ranges of the engine, protected mode. */
CHECKED status config_check(const struct config *cfg, struct err *err);

/* config_file.c: "name value" lines, '#' comments, values may be quoted. The error names
 * the line. */
CHECKED status config_parse_text(struct config *cfg, const char *file, struct slice text,
                                 struct err *err);

/* The arguments after the program's name: [FILE] [--name value]... *file is NULL or the
 * file's name, which has been read. */
CHECKED status config_parse_args(struct config *cfg, int argc, char **argv, const char **file,
                                 struct err *err);

/* tsink.conf: every option with its text and its default, as a comment. */
void config_manual(struct strbuf *out);

/* CONFIG REWRITE: the file's text with changed options appended or replaced. */
void config_rewrite(struct strbuf *out, struct slice old, const struct config *cfg);

#endif
