/* Shared by the decoders of this room. */
#ifndef TSINK_INGEST_FORMAT_PRIV_H
#define TSINK_INGEST_FORMAT_PRIV_H

#include "ingest/format.h"

/* Remembers the first refusal; later ones change nothing. */
void report_first(struct decode_report *report, status st, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
