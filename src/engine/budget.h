/* Whether a batch may be applied with the memory there is: a pure function of how things
 * are, so that the policy is tested on a table of situations. Pure, any thread.
 *
 *     0 ........... 5/8 .......... 7/8 ........ 15/16 ......... limit
 *       new series   |  none are made: samples of known series must fit besides
 *                                   |  a flush begins
 *                                                |  batches wait for what it gives back;
 *                                                   the rest is its own working memory
 *                                                                |  batches are refused
 *
 * Registry and heads do not shrink with a flush; samples do. So series get 5/8 at most,
 * and however many series somebody invents, those that exist can be written to.
 */
#ifndef TSINK_ENGINE_BUDGET_H
#define TSINK_ENGINE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t limit;        /* bytes; 0: none */
    uint64_t used;         /* bytes of everything that is charged */
    uint64_t samples;      /* of these, what a flush can give back */
    uint64_t need_rows;    /* most that the batch's samples add */
    uint64_t need_series;  /* most that the series add which it makes; 0: it makes none */
    int64_t short_ms;      /* how long batches have been waiting for memory; 0: not at all */
    int64_t timeout_ms;    /* the longest they may */
    bool flushing;         /* a flush is under way or must be tried again */
};

enum budget_verdict {
    BUDGET_ADMIT,
    BUDGET_KNOWN_ONLY,     /* rows of series that exist; those of new ones are refused */
    BUDGET_WAIT,           /* a flush is needed and makes the batch fit */
    BUDGET_REFUSE,
};

enum budget_verdict budget_decide(const struct budget *now);

/* What the registry alone may take: its tables double, which no need foresees. */
uint64_t budget_registry_max(uint64_t limit);

/* Whether so much is used that a flush should begin, and samples are worth one: with
 * many series and few samples flushes in a row would free nothing. */
bool budget_wants_flush(uint64_t limit, uint64_t used, uint64_t samples);

/* Retired memory above this is reason to end the oldest view. */
uint64_t budget_retired_max(uint64_t limit);

/* The limit for a process on a machine (or in a control group) with so much memory: 60 %
 * of it (reliability M1). */
uint64_t budget_default(uint64_t memory_bytes);

#endif
