/* tsink-check: what its parts share. One thread. */
#ifndef TSINK_CHECK_CHECK_H
#define TSINK_CHECK_CHECK_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/vfs.h"
#include "engine/verify.h"

/* sysexits, reliability.md X1. */
enum check_exit {
    CHECK_OK = 0,
    CHECK_USAGE = 64,
    CHECK_CORRUPT = 65,
    CHECK_LOCKED = 69,
    CHECK_CREATE = 73,
    CHECK_IO = 74,
};

struct check_options {
    const char *command;       /* "verify" "restore" "info" */
    const char *dir, *target;
    bool json, quick, progress, repair, link;
};

int check_exit_of(status st);

/* Prints why nothing could be done, as a sentence or as a JSON object, and returns the
 * exit code. */
int check_fail(const struct check_options *opt, const char *what, status st,
               const struct err *err);

/* A bar on the terminal, when progress is wanted. */
void check_progress(void *opt, const char *phase, uint64_t done, uint64_t total);
void check_progress_end(const struct check_options *opt);

/* verify.c, restore.c */
int check_verify(const struct check_options *opt);
int check_info(const struct check_options *opt);
int check_restore(const struct check_options *opt);

#endif
