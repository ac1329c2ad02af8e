/* Port: where samples go. Local or clustered is decided once, at start, by which
 * sink is plugged in. */
#ifndef TSINK_MODEL_SINK_H
#define TSINK_MODEL_SINK_H

#include "model/batch.h"

struct sink {
    const struct sink_ops *ops;
};

struct sink_ops {
    /* Owner. Takes the batch and calls batch->done(batch) once, on the owner, maybe
     * before it returns. Batches are applied in the order in which they come, except
     * rows that wait for an older value. */
    void (*write)(struct sink *sink, struct batch *batch);
    /* Any thread. Looks up the series' hashes: fills ordinal and gen where known. */
    void (*probe)(struct sink *sink, struct batch_series *series, size_t n);
};

static inline void sink_write(struct sink *sink, struct batch *batch)
{
    sink->ops->write(sink, batch);
}

static inline void sink_probe(struct sink *sink, struct batch_series *series, size_t n)
{
    sink->ops->probe(sink, series, n);
}

#endif
