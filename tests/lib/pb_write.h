/* Writes protobuf by hand, for tests of the readers: fields into a strbuf, messages as
 * strbufs put into one another, and the messages of remote write 1.0. Nothing is checked,
 * so that broken messages can be written too. */
#ifndef TSINK_TESTS_PB_WRITE_H
#define TSINK_TESTS_PB_WRITE_H

#include <stdint.h>

#include "base/strbuf.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_GROUP = 3, PB_FIXED32 = 5 };

void pb_raw_varint(struct strbuf *out, uint64_t v);
void pb_tag(struct strbuf *out, uint64_t number, enum pb_type type);
void pb_varint(struct strbuf *out, uint32_t number, uint64_t v);
void pb_sint(struct strbuf *out, uint32_t number, int64_t v);
void pb_double(struct strbuf *out, uint32_t number, double v);
void pb_bytes(struct strbuf *out, uint32_t number, struct slice bytes);
void pb_text(struct strbuf *out, uint32_t number, const char *text);

/* Puts child as field `number` of out and empties it. */
void pb_message(struct strbuf *out, uint32_t number, struct strbuf *child);

/* Fields of a TimeSeries. */
void pb_label(struct strbuf *series, const char *name, const char *value);
void pb_sample(struct strbuf *series, double value, int64_t ms);

/* A MetricMetadata into a WriteRequest. */
void pb_metadata(struct strbuf *request, unsigned type, const char *family, const char *help,
                 const char *unit);

#endif
