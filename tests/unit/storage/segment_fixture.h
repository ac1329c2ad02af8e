/* What the segments' tests share: series and chunks that are functions of their number. */
#ifndef TSINK_TESTS_SEGMENT_FIXTURE_H
#define TSINK_TESTS_SEGMENT_FIXTURE_H

#include "base/panic.h"
#include "storage/segment.h"
#include "tests/unit/storage/storage_suites.h"

extern const struct database_id segment_fixture_db;

/* Series number i of a segment, in (shard, id) order. Every 5th has a __key__, every
 * 7th a place of its own (as after a rename). Texts live in a static buffer until the
 * next call. */
struct segment_series segment_fixture_series(size_t i);

/* Chunks of series i: 1 to 3, or 200 for the series 17. Points of chunk c:
 * (1000 * c + 10 * k, i + k), k < 20, some of them late in two of three series: two
 * patterns of ticks in all. */
size_t segment_fixture_n_chunks(size_t i);
enum { FIXTURE_POINTS = 20 };

struct segment_options segment_fixture_options(uint64_t id);

/* Writes a segment of n series; err tells why not. */
CHECKED status segment_fixture_write_as(struct segment_info *out, struct vfs *vfs,
                                        const struct segment_options *opt, size_t n,
                                        struct err *err);
CHECKED status segment_fixture_write(struct segment_info *out, struct vfs *vfs, uint64_t id,
                                     size_t n, struct err *err);

/* All of it is there and right. Asserts; where is for the message. */
void segment_fixture_check(struct segment *seg, size_t n, const char *where);

#endif
