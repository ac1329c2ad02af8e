/* Posting lists, the room's own part: sets as Roaring bitmaps. */
#ifndef TSINK_INDEX_POSTINGS_PRIV_H
#define TSINK_INDEX_POSTINGS_PRIV_H

#include "index/postings.h"

/* The bits below n_ordinals that are set, as a bitmap to roaring_bitmap_free(). NULL
 * when there is no memory. Any thread. */
struct roaring_bitmap_s *ordinal_bits_bitmap(const struct ordinal_bits *bits,
                                             uint32_t n_ordinals);

/* The prefix as a bitmap of its own, the dead included. NULL when there is no memory. */
struct roaring_bitmap_s *postings_bitmap(const struct postings_view *view);

#endif
