/* Buffers and batches of bodies. See write_space.h. */
#include "api/write_space.h"

#include "api/app.h"
#include "base/mem.h"
#include "base/panic.h"

enum {
    KEEP_N = 8,             /* of a loop: more connections write at once seldom; a guess */
    KEEP_BYTES = 4 << 20,   /* the body of 2000 samples takes half a MiB; a guess */
};

struct write_spaces {
    struct app *app;
    size_t n;
    struct {
        struct write_space *first;
        size_t n;
    } loop[];
};

struct write_spaces *write_spaces_new(struct app *app)
{
    struct write_spaces *spaces =
        mem_try_zero(sizeof(*spaces) + app->loops.n * sizeof(spaces->loop[0]));
    if (!spaces) return NULL;
    spaces->app = app;
    spaces->n = app->loops.n;
    return spaces;
}

static void free_space(struct write_space *space)
{
    strbuf_release(&space->plain);
    batch_free(space->batch);
    mem_free(space);
}

void write_spaces_free(struct write_spaces *spaces)
{
    if (!spaces) return;
    for (size_t i = 0; i < spaces->n; i++) {
        while (spaces->loop[i].first) {
            struct write_space *space = spaces->loop[i].first;
            spaces->loop[i].first = space->next;
            free_space(space);
        }
    }
    mem_free(spaces);
}

static size_t idx_of(const struct write_spaces *spaces, const struct conn_loop *home)
{
    for (size_t i = 0; i < spaces->n; i++)
        if (spaces->app->loops.ptr[i] == home) return i;
    PANIC("a connection of no known loop");
}

struct write_space *write_space_take(struct app *app, const struct conn_loop *home)
{
    struct write_spaces *spaces = app->spaces;
    size_t loop = idx_of(spaces, home);
    struct write_space *space = spaces->loop[loop].first;
    if (space) {
        spaces->loop[loop].first = space->next;
        spaces->loop[loop].n--;
        return space;
    }
    space = mem_try_zero(sizeof(*space));
    if (!space) return NULL;
    space->loop = loop;
    strbuf_init(&space->plain, 0);
    space->batch = batch_new(app->net_account);
    if (space->batch) return space;
    mem_free(space);
    return NULL;
}

void write_space_give(struct app *app, struct write_space *space)
{
    struct write_spaces *spaces = app->spaces;
    size_t held = space->plain.cap + batch_bytes(space->batch);
    if (held > KEEP_BYTES || spaces->loop[space->loop].n == KEEP_N) {
        free_space(space);
        return;
    }
    strbuf_reset(&space->plain);
    batch_reset(space->batch);
    space->next = spaces->loop[space->loop].first;
    spaces->loop[space->loop].first = space;
    spaces->loop[space->loop].n++;
}
