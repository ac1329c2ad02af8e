/* A directory of its own for a test, removed at the end. */
#ifndef TSINK_TESTS_TEMP_DIR_H
#define TSINK_TESTS_TEMP_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

static int temp_dir_remove_one(const char *path, const struct stat *sb, int kind, struct FTW *ftw)
{
    (void)sb, (void)kind, (void)ftw;
    return remove(path);
}

/* Fills path, an array. */
#define temp_dir_make(path)                                                                    \
    do {                                                                                       \
        const char *base_ = getenv("TMPDIR");                                                  \
        (void)snprintf(path, sizeof(path), "%s/tsink-unit-XXXXXX", base_ ? base_ : "/tmp");    \
        ck_assert_ptr_nonnull(mkdtemp(path));                                                  \
    } while (0)

static inline void temp_dir_drop(const char *path)
{
    (void)nftw(path, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
