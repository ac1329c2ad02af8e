/* tsink-server [FILE] [--option value]...
 *
 * Exit codes (reliability.md X1, sysexits): 0 clean, 64 usage, 65 data corrupt, 69 the
 * directory is locked, 73 cannot create, 74 input/output error, 78 configuration.
 */
#include <stdio.h>
#include <string.h>

#include "api/version.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/panic.h"
#include "server/server.h"
#include "server/signals.h"

enum { EXIT_USAGE = 64, EXIT_DATA = 65, EXIT_LOCKED = 69, EXIT_CREATE = 73, EXIT_IO = 74,
       EXIT_CONFIG = 78 };

static int exit_code(status st)
{
    switch (st) {
    case ST_OK:
    case ST_CANCELLED: return 0; /* told to stop while it was starting */
    case ST_CORRUPT:
    case ST_UNSUPPORTED: return EXIT_DATA;
    case ST_LOCKED: return EXIT_LOCKED;
    case ST_DENIED:
    case ST_INVALID: return EXIT_CONFIG;
    case ST_NOT_FOUND:
    case ST_EXISTS: return EXIT_CREATE;
    default: return EXIT_IO;
    }
}

static int print_manual(void)
{
    struct strbuf text;
    strbuf_init(&text, 0);
    config_manual(&text);
    fwrite(text.ptr, 1, text.len, stdout);
    strbuf_release(&text);
    return 0;
}

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: tsink-server [FILE] [--option value]...\n"
            "       tsink-server --version | --help | --print-config\n"
            "FILE is a configuration like tsink.conf, which explains every option;\n"
            "--print-config prints it with the defaults.\n");
    return code;
}

int main(int argc, char **argv)
{
    struct err err = {.st = ST_OK};
    const char *file;
    struct server *srv;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("tsink-server %s\n", API_VERSION) < 0;
    if (argc == 2 && strcmp(argv[1], "--print-config") == 0) return print_manual();
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return usage(stdout, 0);

    struct config_generation *config = mem_try_zero(sizeof(*config));
    if (!config) {
        fprintf(stderr, "tsink-server: no memory for the configuration\n");
        return EXIT_CONFIG;
    }
    config_init(&config->cfg);
    status st = config_parse_args(&config->cfg, argc - 1, argv + 1, &file, &err);
    if (st == ST_OK) st = config_check(&config->cfg, &err);
    if (st != ST_OK) {
        fprintf(stderr, "tsink-server: %s\n", err.text);
        mem_free(config);
        return st == ST_NOT_FOUND ? usage(stderr, EXIT_USAGE) : EXIT_CONFIG;
    }
    panic_catch_signals();
    signals_install();
    log_set_level((enum log_level)config->cfg.log_level);
    if (log_start(&err) != ST_OK) fprintf(stderr, "tsink-server: %s\n", err.text);

    st = server_open(&srv, config, file, argc - 1, argv + 1, &err);
    if (st == ST_OK) {
        st = server_run(srv, &err);
        server_close(srv);
    }
    if (st != ST_OK)
        log_error("server", "ended", "status=%s reason=\"%s\"", status_name(st),
                  err_text(&err, st));
    log_stop();
    return exit_code(st);
}
