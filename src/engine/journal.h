/* First-touch journal: keeps a view exact although the heads go on changing.
 *
 * While a view is capturing, the first root store of a head in an epoch is preceded by
 * a row {ordinal, root before}. Rows are written, then n is stored (release); a worker
 * that has loaded roots loads n (acquire) afterwards and finds every row of a root
 * store that it may have seen. The owner rewinds n when nobody captures.
 *
 * Appending: owner. Reading rows below a loaded n: any thread that captures.
 */
#ifndef TSINK_ENGINE_JOURNAL_H
#define TSINK_ENGINE_JOURNAL_H

#include "base/segvec.h"
#include "engine/node.h"

enum { JOURNAL_ROWS_MAX = 4 << 20 };

struct journal_row {
    uint64_t ordinal;
    node_word root;
};

struct journal {
    struct segvec rows;  /* published length: n */
    uint64_t n_max;      /* most rows it ever held */
};

/* false: full. Then every view still capturing must pin again. */
static inline bool journal_add(struct journal *journal, uint32_t ordinal, node_word root)
{
    size_t n = atomic_load_explicit(&journal->rows.len, memory_order_relaxed);
    if (n >= JOURNAL_ROWS_MAX || !segvec_reserve(&journal->rows, n)) return false;

    struct journal_row *row = segvec_at(&journal->rows, n);
    *row = (struct journal_row){ordinal, root};
    segvec_publish(&journal->rows, n + 1);
    if (n + 1 > journal->n_max) journal->n_max = n + 1;
    return true;
}

#endif
