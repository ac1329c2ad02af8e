/* Reading the numbers of many captured series as columns: what view_read() gives, without
 * a copy a sample, and the times once for the series that share them.
 *
 *     view_reader_open   the range
 *     view_reader_expect the next series, up to some hundred: their chunks are looked up
 *                        in the order in which segments have them
 *     view_reader_read   one of them
 *     view_reader_close
 *
 * One thread a reader; a view has any number of them. The account is charged with the columns
 * of times that are kept (times_cache.h), not with what lives from call to call: the samples of
 * one series, and the chunks looked up, of which view_reader_chunks() tells.
 */
#ifndef TSINK_ENGINE_VIEW_READER_H
#define TSINK_ENGINE_VIEW_READER_H

#include "engine/view.h"

struct view_reader;

/* Of a view whose series are captured. The account may be NULL. ST_NO_MEMORY. */
CHECKED status view_reader_open(struct view_reader **out, struct view *view,
                                struct time_range range, struct account *account,
                                struct err *err);
void view_reader_close(struct view_reader *reader); /* accepts NULL */

/* Borrows the series, in any order, until the next call. */
CHECKED status view_reader_expect(struct view_reader *reader,
                                  const struct captured *const *series, size_t n,
                                  struct err *err);

/* How many chunks a series has in the range, as the segments' sizes tell: at least 1, and a
 * guess. What is held of the chunks of those expected is about 100 bytes each. */
size_t view_reader_chunks(const struct view_reader *reader);

/* The at-th of those expected, whose type is a number. Valid until the next call. Fails as
 * view_read() does. */
CHECKED status view_reader_read(struct view_reader *reader, size_t at, struct sample_span *out,
                                struct err *err);

#endif
