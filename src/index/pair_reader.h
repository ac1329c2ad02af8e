/* From identities (model/label.h) to pair ids, for replay of the log: many series one after
 * the other, most of whose labels the registry knows.
 *
 * One thread at a time uses a reader; several readers may work side by side, and while the
 * owner interns. What the registry knew when a label was looked up is found; the rest is
 * left to the owner.
 */
#ifndef TSINK_INDEX_PAIR_READER_H
#define TSINK_INDEX_PAIR_READER_H

#include "index/registry.h"

enum { PAIR_UNKNOWN = UINT32_MAX };

struct pair_reader;

struct pair_reader *pair_reader_new(const struct registry *reg); /* NULL: no memory */
void pair_reader_free(struct pair_reader *reader);

/* A series' labels as ids, in the order of their names. */
struct pair_list {
    const uint32_t *pairs;       /* PAIR_UNKNOWN: its text is the next of unknown */
    size_t n;
    const struct label *unknown; /* point into the identity */
    size_t n_unknown;
    bool keyed;                  /* has `__key__`, or is a companion: then the rest says
                                  * nothing */
};

/* *out is valid until the next call and while identity is; identity itself must stay until
 * the call after that. ST_CORRUPT as labels_from_identity(); not said of one with a key. */
CHECKED status pair_reader_read(struct pair_list *out, struct pair_reader *reader,
                                struct slice identity);

#endif
