/* What the decoding of a body needs, used again from request to request: a buffer for the
 * decompressed bytes and a batch. A loop keeps a few, so that the next body finds memory
 * that is mapped, and likely in the cache; a large one is given back.
 *
 * Thread: the loop's that took it.
 */
#ifndef TSINK_API_WRITE_SPACE_H
#define TSINK_API_WRITE_SPACE_H

#include "base/status.h"
#include "base/strbuf.h"
#include "model/batch.h"
#include "net/conn.h"

struct app;
struct write_spaces;

struct write_space {
    struct strbuf plain;
    struct batch *batch;       /* empty */
    struct write_space *next;  /* private, as the next one */
    size_t loop;
};

struct write_spaces *write_spaces_new(struct app *app); /* NULL when memory is refused */
void write_spaces_free(struct write_spaces *spaces);    /* loops stopped; accepts NULL */

/* NULL when memory is refused. */
CHECKED struct write_space *write_space_take(struct app *app, const struct conn_loop *home);
void write_space_give(struct app *app, struct write_space *space);

#endif
