/* Start timestamps of what a fetch reads: the companions of its series (index/registry.h),
 * captured by the same view. Worker.
 *
 * A companion may be born or die while a query begins, as series may. So it is looked for
 * twice: before the pin, by a registered reader, as those that die are found only then; and
 * after the pin, for those born in between. The capture tells what the view has of either.
 */
#ifndef TSINK_QUERY_FETCH_STARTS_H
#define TSINK_QUERY_FETCH_STARTS_H

#include "base/vec.h"
#include "engine/view.h"
#include "index/resolve.h"

struct companion {
    uint32_t parent, ordinal;
};

/* Zeroed at first. */
struct fetch_starts {
    VEC(struct companion) found;  /* before the pin */
    struct captured *of;          /* of each series that was captured, in the arena; ordinal
                                   * ORDINAL_NONE: it has no companion. NULL: none has. */
};

void fetch_starts_release(struct fetch_starts *starts);

/* The companions of a set. A registered reader, before the pin. False: no memory. */
CHECKED bool fetch_starts_look(struct fetch_starts *starts, const struct registry *reg,
                               const struct ordinals *set);

/* view_capture() of n series, ascending, and of their companions. */
CHECKED status fetch_starts_capture(struct fetch_starts *starts, struct view *view,
                                    struct captured *series, size_t n, struct arena *arena,
                                    struct err *err);

/* The starts of series i in the range, appended. Any thread. */
CHECKED status fetch_starts_read(const struct fetch_starts *starts, struct view *view, size_t i,
                                 struct time_range range, struct points *out, struct err *err);

#endif
