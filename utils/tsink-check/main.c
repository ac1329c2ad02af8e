/* tsink-check: looks at a data directory that no server has open, repairs it, restores
 * snapshots. See docs/check.md; usage() below. Nothing is changed but by --repair and
 * restore. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/version.h"
#include "base/json_write.h"
#include "base/log.h"
#include "utils/tsink-check/check.h"

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: tsink-check [verify] DIR [--quick | --full] [--repair] [--json]"
                " [--progress]\n"
                "       tsink-check info DIR [--json]\n"
                "       tsink-check restore SNAPSHOT DIR [--link] [--quick] [--json]"
                " [--progress]\n"
                "       tsink-check --version | --help\n"
                "verify   every checksum and everything that files say of each other; with\n"
                "         --quick without decoding chunks. --repair puts aside what is damaged,\n"
                "         never deletes, and makes the rest consistent.\n"
                "info     what a directory holds\n"
                "restore  a verified copy of a snapshot into an empty directory; --link: segments\n"
                "         by hard link\n"
                "Exit codes: 0 clean, 64 usage, 65 damaged, 69 in use, 73 cannot create,\n"
                "74 input or output error.\n");
    return code;
}

int check_exit_of(status st)
{
    switch (st) {
    case ST_OK: return CHECK_OK;
    case ST_CORRUPT:
    case ST_UNSUPPORTED: return CHECK_CORRUPT;
    case ST_LOCKED: return CHECK_LOCKED;
    case ST_EXISTS: return CHECK_CREATE;
    case ST_INVALID:
    case ST_NOT_FOUND: return CHECK_USAGE;
    default: return CHECK_IO;
    }
}

int check_fail(const struct check_options *opt, const char *what, status st,
               const struct err *err)
{
    check_progress_end(opt);
    if (opt->json) {
        struct strbuf text;
        struct json_writer w;
        strbuf_init(&text, 0);
        json_writer_init(&w, &text);
        json_open_object(&w);
        json_field_text(&w, "type", SLICE_LIT("error"));
        json_field_text(&w, "path", slice_str(what));
        json_field_text(&w, "status", slice_str(status_name(st)));
        json_field_text(&w, "text", slice_str(err_text(err, st)));
        json_close_object(&w);
        printf("%s\n", strbuf_cstr(&text));
        strbuf_release(&text);
    }
    fprintf(stderr, "tsink-check: %s: %s\n", what, err_text(err, st));
    return check_exit_of(st);
}

void check_progress(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
    const struct check_options *opt = ctx;
    if (!opt->progress) return;
    if (total)
        fprintf(stderr, "\r%s: %llu of %llu MiB\033[K", phase, (unsigned long long)(done >> 20),
                (unsigned long long)(total >> 20));
    else
        fprintf(stderr, "\r%s\033[K", phase);
}

void check_progress_end(const struct check_options *opt)
{
    if (opt->progress) fprintf(stderr, "\r\033[K");
}

/* ---- arguments -------------------------------------------------------------------- */

static bool take_flag(struct check_options *opt, const char *word)
{
    if (strcmp(word, "--json") == 0) opt->json = true;
    else if (strcmp(word, "--quick") == 0) opt->quick = true;
    else if (strcmp(word, "--full") == 0) opt->quick = false;
    else if (strcmp(word, "--progress") == 0) opt->progress = true;
    else if (strcmp(word, "--repair") == 0) opt->repair = true;
    else if (strcmp(word, "--link") == 0) opt->link = true;
    else return false;
    return true;
}

static bool is_command(const char *word)
{
    return strcmp(word, "verify") == 0 || strcmp(word, "info") == 0 ||
           strcmp(word, "restore") == 0;
}

static bool take_word(struct check_options *opt, const char *word, unsigned n)
{
    if (n == 0 && is_command(word)) opt->command = word;
    else if (!opt->dir) opt->dir = word;
    else if (!opt->target && opt->command && strcmp(opt->command, "restore") == 0)
        opt->target = word;
    else return false;
    return true;
}

static bool parse_args(struct check_options *opt, int argc, char **argv)
{
    unsigned n = 0;
    bool only_words = false;
    *opt = (struct check_options){.progress = isatty(STDERR_FILENO)};
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            if (take_flag(opt, argv[i])) continue;
            fprintf(stderr, "tsink-check: unknown option %s\n", argv[i]);
            return false;
        } else if (!take_word(opt, argv[i], n++)) {
            fprintf(stderr, "tsink-check: one argument too many: %s\n", argv[i]);
            return false;
        }
    }
    if (!opt->command) opt->command = "verify";
    bool restore = strcmp(opt->command, "restore") == 0;
    bool verify = strcmp(opt->command, "verify") == 0;
    if (!opt->dir || (restore && !opt->target) || (opt->link && !restore) ||
        (opt->repair && !verify)) {
        fprintf(stderr, "tsink-check: %s\n",
                opt->dir && !restore ? "an option does not fit the command"
                                     : "a directory is missing");
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct check_options opt;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return usage(stdout, CHECK_OK);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("tsink-check %s\n", API_VERSION) < 0;
    if (!parse_args(&opt, argc, argv)) return usage(stderr, CHECK_USAGE);
    log_set_level(LOG_OFF);
    if (strcmp(opt.command, "info") == 0) return check_info(&opt);
    if (strcmp(opt.command, "restore") == 0) return check_restore(&opt);
    return check_verify(&opt);
}
