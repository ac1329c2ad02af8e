/* Keys of TS.* commands <-> series (resp.md 5.2, candidate B).
 *
 * A series made by TS.* carries its key in the label `__key__`. All others have the
 * canonical selector text as their key: up{instance="h:1",job="a"}; it is computed, not
 * stored, and a key that ends in '}' and has a '{' is tried as one when no `__key__`
 * matches.
 *
 * Owner's loop, or a registered reader (db_reader_enter).
 */
#ifndef TSINK_API_TS_KEY_H
#define TSINK_API_TS_KEY_H

#include "api/app.h"
#include "base/arena.h"
#include "engine/relabel.h"
#include "model/batch.h"

/* The live series of a key, or ORDINAL_NONE, also when the key is due (keyspace.h). */
uint32_t ts_key_find(struct app *app, struct slice key);

/* The key of a series: its `__key__`, or the selector text. */
void ts_key_print(struct strbuf *out, const struct registry *reg, uint32_t ordinal);
void ts_key_of_labels(struct strbuf *out, struct labels labels);

/* Whether a label is ours and not shown by TS.INFO and WITHLABELS: `__key__`, and
 * `__name__` where it was derived from the key. */
bool ts_label_is_hidden(const struct app_settings *set, struct labels labels, struct slice name);

/* Fills a batch series for a key: ordinal when it is known, and the full identity for one
 * that would be made (labels as the user gave them, plus `__key__` and the metric name).
 * ST_BAD_LABEL names what is wrong; ST_NO_MEMORY. */
CHECKED status ts_key_series(struct app *app, struct batch *batch, struct batch_series *series,
                             struct slice key, const struct label *labels, size_t n_labels,
                             struct err *err);

/* Readies a change of labels (engine/relabel.h) of a series with a key: labels as the user
 * gave them, the key it has, and the metric name that follows from both; in the arena.
 * ST_BAD_LABEL names what is wrong, also that the series has no key. Owner. */
CHECKED status ts_key_relabel(struct app *app, struct relabel_op *op, struct arena *arena,
                              uint32_t ordinal, const struct label *labels, size_t n_labels,
                              struct err *err);

/* The same for another key: the labels stay, and a metric name that followed from the key
 * follows from the new one. */
CHECKED status ts_key_rename(struct app *app, struct relabel_op *op, struct arena *arena,
                             uint32_t ordinal, struct slice key, struct err *err);

#endif
