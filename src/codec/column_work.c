/* A pool of work memory. A slot holds one that is not in use; taking and giving are one
 * atomic exchange each. More threads than slots work with memory of their own, which is
 * freed after the call. What grew beyond KEEP_BYTES is not kept. */
#include "codec/column_work_priv.h"

#include <stdatomic.h>

#include "base/mem.h"

enum { SLOTS = 16, KEEP_BYTES = 4 << 20 };

static _Atomic(struct work *) pool[SLOTS];

static void free_work(struct work *work)
{
    mem_free(work->words);
    for (unsigned i = 0; i < WORK_BUFFERS; i++) mem_free(work->bytes[i]);
    decimal_scratch_release(&work->decimal);
    zstd_pack_free(work->zstd);
    mem_free(work);
}

struct work *work_take(void)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!atomic_load_explicit(&pool[i], memory_order_relaxed)) continue;
        struct work *work = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
        if (work) return work;
    }
    return mem_try_zero(sizeof(struct work));
}

void work_give(struct work *work)
{
    if (!work) return;
    size_t n_bytes = work->n_words * sizeof(work->words[0]);
    for (unsigned i = 0; i < WORK_BUFFERS; i++) n_bytes += work->n_bytes[i];
    for (unsigned i = 0; n_bytes <= KEEP_BYTES && i < SLOTS; i++) {
        struct work *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&pool[i], &none, work, memory_order_release,
                                                    memory_order_relaxed)) {
            return;
        }
    }
    free_work(work);
}

uint64_t *work_words(struct work *work, size_t n)
{
    if (n > work->n_words) {
        mem_free(work->words);
        work->words = mem_try(n * sizeof(work->words[0]));
        work->n_words = work->words ? n : 0;
    }
    return work->words;
}

uint8_t *work_bytes(struct work *work, unsigned buffer, size_t n)
{
    if (n > work->n_bytes[buffer]) {
        mem_free(work->bytes[buffer]);
        work->bytes[buffer] = mem_try(n);
        work->n_bytes[buffer] = work->bytes[buffer] ? n : 0;
    }
    return work->bytes[buffer];
}

struct zstd_pack *work_zstd(struct work *work)
{
    if (!work->zstd) work->zstd = zstd_pack_new();
    return work->zstd;
}
