/* Matchers -> ordinals, on a worker, over the published prefixes of posting lists
 * (architecture 7). Equality first and cheapest first; negative matchers are taken
 * away; matchers that accept the empty string come last, as what they refuse;
 * regular expressions become sets of literals where they can, else the automaton runs
 * once a distinct value, unless the candidates are so few that testing their labels
 * is cheaper.
 *
 * The tenant rule (decision 19): the default tenant (empty) sees series without
 * `__tsink_tenant__`, another one those that carry its name.
 */
#ifndef TSINK_INDEX_RESOLVE_H
#define TSINK_INDEX_RESOLVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/status.h"
#include "index/registry.h"
#include "model/matcher.h"

struct resolve_args {
    struct matchers matchers;      /* all must accept; none: every series */
    struct slice tenant;           /* empty: default */
    bool all_tenants;              /* the tenant rule is off: for the server itself */
    size_t limit;                  /* most ordinals; more is ST_LIMIT; 0: none */
    const _Atomic bool *cancelled; /* polled; may be NULL */
    struct account *account;       /* charged for the result and scratch; may be NULL */
};

/* Ascending, unique, alive when looked at. Zeroed is empty. */
struct ordinals {
    uint32_t *ptr;
    size_t n, cap;
    uint64_t n_births;       /* every series born before this was considered */
    struct account *account; /* holds cap * 4 bytes */
};

/* Series born while this runs may or may not be in the result; those with birth
 * number below out->n_births are, if they match. The caller tests later births with
 * resolve_test(). ST_LIMIT, ST_NO_MEMORY, ST_CANCELLED. Any registered reader. */
CHECKED status resolve(struct ordinals *out, const struct registry *reg,
                       const struct resolve_args *args, struct err *err);

/* Adds the births [out->n_births, n_births) that match and are not there yet, keeping
 * the order, and moves out->n_births. Any registered reader. */
CHECKED status resolve_births(struct ordinals *out, const struct registry *reg,
                              const struct resolve_args *args, uint64_t n_births,
                              struct err *err);

/* Whether one series is alive and accepted. Any registered reader. */
bool resolve_test(const struct registry *reg, uint32_t ordinal,
                  const struct resolve_args *args);

void ordinals_release(struct ordinals *set); /* accepts a zeroed struct */

#endif
