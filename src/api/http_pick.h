/* What match[] parameters select, as one list: each series once, sorted by labels. For routes
 * that go through series one by one. Worker. */
#ifndef TSINK_API_HTTP_PICK_H
#define TSINK_API_HTTP_PICK_H

#include "api/work.h"
#include "model/matcher.h"
#include "query/querier.h"

/* A series of a set. */
struct picked {
    struct series_set *set;
    size_t idx;
};

struct http_picks {
    struct fetch *fetch;
    struct picked *ptr;  /* in the work's arena */
    size_t n;
};

static inline struct labels picked_labels(const struct picked *p)
{
    return p->set->labels[p->idx];
}

static inline enum value_type picked_type(const struct picked *p)
{
    return p->set->types[p->idx];
}

/* Fetches for each group of matchers. What is picked is valid until http_unpick(), which is
 * due after ST_OK alone. */
CHECKED status http_pick(struct query_work *work, struct http_picks *out,
                         const struct matchers *groups, size_t n_groups, struct time_range range,
                         bool labels_only);
void http_unpick(struct query_work *work, struct http_picks *picks); /* accepts zeroed picks */

#endif
