/* Text expositions -> batch: Prometheus 0.0.4 (times in integer milliseconds) and
 * OpenMetrics 1.0 (times in seconds, with a fraction), read tolerantly:
 *
 *     # HELP name text, # TYPE name type, # UNIT name unit     metadata
 *     name{label="value",...} value [time] [# exemplar]        a row
 *     {"name","label"="value"} value                           quoted UTF-8 names
 *
 * In OpenMetrics `_created` of a counter, histogram or summary is no sample, but the start
 * timestamp of the samples with its labels; without a TYPE it is a sample like others.
 *
 * Blanks and tabs may stand between tokens, a comma may trail, "\r\n" ends lines too,
 * other comments are skipped. A sample without a time gets env->now.
 *
 * A bad line is counted, the first with its number and reason kept in report->first, and
 * the good lines stay. A time outside the window refuses its row. Only limits of the
 * whole request and memory make the functions fail. What is wrong with an exemplar costs it
 * alone: the sample before it stays.
 *
 * Pure, any thread. The body must outlive the batch.
 */
#ifndef TSINK_INGEST_PROM_TEXT_H
#define TSINK_INGEST_PROM_TEXT_H

#include "ingest/format.h"

CHECKED status prom_text_decode(struct batch *batch, struct slice body,
                                const struct decode_env *env, struct decode_report *report,
                                struct err *err);

CHECKED status openmetrics_decode(struct batch *batch, struct slice body,
                                  const struct decode_env *env, struct decode_report *report,
                                  struct err *err);

#endif
