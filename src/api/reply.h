/* What a command answers, in the RESP version of its session. A thin name over net's
 * writer, so that handlers and workers say what they mean and see no sockets: on the
 * loop it writes into the reply slot's chain, on a worker into a chain that is handed
 * over later. Nothing here fails; a chain without memory is noticed when it is sent.
 */
#ifndef TSINK_API_REPLY_H
#define TSINK_API_REPLY_H

#include "net/resp_write.h"

struct reply {
    struct resp_writer w;
};

static inline void reply_init(struct reply *reply, struct iobuf *out, int version)
{
    reply->w = (struct resp_writer){.out = out, .version = version};
}

static inline int reply_version(const struct reply *reply)
{
    return reply->w.version;
}

static inline void reply_array(struct reply *reply, size_t n)
{
    resp_array(&reply->w, n);
}

/* n pairs: RESP3 a map, RESP2 a flat array of 2n. */
static inline void reply_map(struct reply *reply, size_t n)
{
    resp_map(&reply->w, n);
}

/* The same as a map in RESP3, but in RESP2 an array of n two-element arrays: begin each
 * pair with reply_pair(). Labels in TS.* answers are of this kind. */
static inline void reply_pairs(struct reply *reply, size_t n)
{
    if (reply->w.version >= 3) resp_map(&reply->w, n);
    else resp_array(&reply->w, n);
}

static inline void reply_pair(struct reply *reply)
{
    if (reply->w.version < 3) resp_array(&reply->w, 2);
}

static inline void reply_set(struct reply *reply, size_t n)
{
    resp_set(&reply->w, n);
}

static inline void reply_int(struct reply *reply, int64_t v)
{
    resp_int(&reply->w, v);
}

static inline void reply_u64(struct reply *reply, uint64_t v)
{
    resp_u64(&reply->w, v);
}

static inline void reply_double(struct reply *reply, double v)
{
    resp_double(&reply->w, v);
}

static inline void reply_bulk(struct reply *reply, struct slice bytes)
{
    resp_bulk(&reply->w, bytes);
}

static inline void reply_text(struct reply *reply, const char *text)
{
    resp_bulk_str(&reply->w, text);
}

/* RESP3: a verbatim string, so that redis-cli prints its lines as they are. */
static inline void reply_verbatim(struct reply *reply, struct slice text)
{
    resp_verbatim(&reply->w, "txt", text);
}

static inline void reply_simple(struct reply *reply, const char *text)
{
    resp_simple(&reply->w, text);
}

static inline void reply_ok(struct reply *reply)
{
    resp_simple(&reply->w, "OK");
}

static inline void reply_bool(struct reply *reply, bool v)
{
    resp_bool(&reply->w, v);
}

static inline void reply_null(struct reply *reply)
{
    resp_null(&reply->w);
}

static inline void reply_null_array(struct reply *reply)
{
    resp_null_array(&reply->w);
}

/* An error inside an array (TS.MADD) or a whole reply: the status' word and the text of
 * err, or its row's sentence. */
static inline void reply_error(struct reply *reply, status st, const struct err *err)
{
    resp_errorf(&reply->w, "%s %s", status_resp(st), err_text(err, st));
}

#endif
