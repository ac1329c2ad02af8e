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
};

static inline void sink_write(struct sink *sink, struct batch *batch)
{
    sink->ops->write(sink, batch);
}

#endif
