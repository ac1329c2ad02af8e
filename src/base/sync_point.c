/* See sync_point.h. A point without any callback in the process costs one load. */
#include "base/sync_point.h"

#include <stdatomic.h>
#include <string.h>

#include "base/lock.h"
#include "base/panic.h"

struct point {
    const char *name; /* NULL: free */
    void (*fn)(void *ctx);
    void *ctx;
    unsigned n_inside;
};

static struct {
    _Atomic unsigned n_set;
    struct mutex mutex; /* the rest */
    struct cond left;
    struct point points[SYNC_POINT_MAX];
} all = {
    .mutex = {.raw = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_SYNC_POINT},
    .left = {.raw = PTHREAD_COND_INITIALIZER},
};

static _Thread_local struct point *inside; /* the callback this thread is in */

static struct point *find_point(const char *name)
{
    for (size_t i = 0; i < SYNC_POINT_MAX; i++)
        if (all.points[i].name && strcmp(all.points[i].name, name) == 0) return &all.points[i];
    return NULL;
}

static struct point *find_free(void)
{
    for (size_t i = 0; i < SYNC_POINT_MAX; i++)
        if (!all.points[i].name && all.points[i].n_inside == 0) return &all.points[i];
    PANIC("more than %d sync points", SYNC_POINT_MAX);
}

void sync_point_set(const char *name, void (*fn)(void *ctx), void *ctx)
{
    mutex_lock(&all.mutex);
    struct point *point = find_point(name);
    if (!point) {
        point = find_free();
        atomic_fetch_add(&all.n_set, 1);
    }
    point->name = name;
    point->fn = fn;
    point->ctx = ctx;
    mutex_unlock(&all.mutex);
}

static void clear_point(struct point *point)
{
    if (!point || !point->name) return;
    point->name = NULL;
    atomic_fetch_sub(&all.n_set, 1);
    while (point->n_inside > (inside == point)) cond_wait(&all.left, &all.mutex);
}

void sync_point_clear(const char *name)
{
    mutex_lock(&all.mutex);
    clear_point(find_point(name));
    mutex_unlock(&all.mutex);
}

void sync_point_clear_all(void)
{
    mutex_lock(&all.mutex);
    for (size_t i = 0; i < SYNC_POINT_MAX; i++) clear_point(&all.points[i]);
    mutex_unlock(&all.mutex);
}

void sync_point_pass(const char *name)
{
    if (likely(atomic_load_explicit(&all.n_set, memory_order_relaxed) == 0)) return;
    if (inside) return; /* what a callback does is not a place to stop */

    mutex_lock(&all.mutex);
    struct point *point = find_point(name);
    if (!point) {
        mutex_unlock(&all.mutex);
        return;
    }
    void (*fn)(void *ctx) = point->fn;
    void *ctx = point->ctx;
    point->n_inside++;
    mutex_unlock(&all.mutex);

    inside = point;
    fn(ctx);
    inside = NULL;

    mutex_lock(&all.mutex);
    point->n_inside--;
    cond_broadcast(&all.left);
    mutex_unlock(&all.mutex);
}
