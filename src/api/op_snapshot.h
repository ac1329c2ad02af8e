/* What TS.SNAPSHOT and the admin route share: a question about snapshots goes to the
 * owner, is answered there after its job, and its answer comes back to the loop of the
 * connection. Calls: that loop. */
#ifndef TSINK_API_OP_SNAPSHOT_H
#define TSINK_API_OP_SNAPSHOT_H

#include "api/app.h"
#include "base/vec.h"
#include "engine/snapshot.h"

enum snapshot_verb { SNAPSHOT_CREATE, SNAPSHOT_LIST, SNAPSHOT_DELETE };

struct snapshot_question {
    struct task task;             /* on the way */
    struct app *app;
    struct loop *home;
    enum snapshot_verb verb;
    char name[256];               /* NUL-terminated; one that is longer is no name */
    bool skip_head;
    /* The home loop, once. st and err; info of a created one, or the list. The caller
     * frees with snapshot_question_free(). */
    void (*finish)(struct snapshot_question *q);
    void *ctx;
    status st;
    struct err err;
    struct snapshot_info info;
    VEC(struct snapshot_entry) entries;
};

/* name may be empty. Returns owned; set finish, then ask. */
struct snapshot_question *snapshot_question_new(struct app *app, struct loop *home,
                                                enum snapshot_verb verb, struct slice name);
void snapshot_ask(struct snapshot_question *q);
void snapshot_question_free(struct snapshot_question *q);

#endif
