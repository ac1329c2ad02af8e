/* What the index tests share: a registry with an account and a reclaimer that keeps
 * retired memory until the test says that no reader is left (so that the sanitizer
 * sees a reader that should not be there), and series spelt as text:
 * "up,job=a,instance=b" or "key:sensor,room=1". */
#ifndef TSINK_TESTS_INDEX_FIXTURE_H
#define TSINK_TESTS_INDEX_FIXTURE_H

#include "base/arena.h"
#include "base/panic.h"
#include "base/rng.h"
#include "index/registry.h"
#include "index/registry_file.h"
#include "index/resolve.h"
#include "tests/unit/unit.h"

struct retired {
    void (*free_fn)(void *ptr, void *arg);
    void *ptr, *arg;
    size_t bytes;
};

struct index_fixture {
    struct account account;
    struct reclaim rc;
    struct registry *reg;
    struct retired *retired;
    size_t n_retired, cap_retired;
    struct arena arena; /* labels of the last calls */
};

void fixture_init(struct index_fixture *fx);
/* Checks the registry's invariants, and that all memory was given back. */
void fixture_release(struct index_fixture *fx);
/* The same for a registry that a failed load has left half filled: no invariants. */
void fixture_release_part(struct index_fixture *fx);
/* A snapshot alone, by its path. */
status fixture_save(const struct registry *reg, const struct registry_prefix *prefix,
                    const uint8_t database[16], struct vfs *vfs, const char *path,
                    struct err *err);
status fixture_load(struct registry *reg, struct registry_loaded *out, struct vfs *vfs,
                    const char *path, struct err *err);
/* The grace period is over. */
void fixture_grace(struct index_fixture *fx);

/* Canonical labels of a spelling, in the fixture's arena. */
struct labels fixture_labels(struct index_fixture *fx, const char *spelling);
/* Adds a series and returns its ordinal. */
uint32_t fixture_add(struct index_fixture *fx, const char *spelling);
uint32_t fixture_add_labels(struct index_fixture *fx, struct labels labels);
status fixture_try_add(uint32_t *ordinal, struct index_fixture *fx, struct labels labels,
                       const struct series_attrs *attrs);
/* The companion of a series. */
uint32_t fixture_add_starts(struct index_fixture *fx, uint32_t parent);
uint32_t fixture_find(struct index_fixture *fx, struct labels labels);

/* Runs every due rebuild at once; every purge that is worth it or becomes so by asking. */
void fixture_fold(struct index_fixture *fx);
bool fixture_purge(struct index_fixture *fx);

/* Matchers spelt "a=x;b!=y;c=~z.*;d!~w", to be released with fixture_matchers_free(). */
struct matchers fixture_matchers(struct index_fixture *fx, const char *spelling);
void fixture_matchers_free(struct matchers ms);

#endif
