/* The option external-labels: what says to others which server this is. Pure, any thread. */
#ifndef TSINK_API_EXTERNAL_LABELS_H
#define TSINK_API_EXTERNAL_LABELS_H

#include "base/arena.h"
#include "base/status.h"
#include "model/label.h"

/* Reads `a="x", b="y"` (or nothing) to labels in canonical order, texts and all in the
 * arena. ST_INVALID says what is wrong; ST_NO_MEMORY. */
CHECKED status external_labels_parse(struct labels *out, struct slice text, struct arena *arena,
                                     struct err *err);

#endif
