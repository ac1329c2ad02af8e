/* Encoding full tails: the owner never does it.
 *
 *   plan     owner    takes queued series; what lies below a series' newest node is
 *                     frozen, and one job at a time has a series (HEAD_QUEUED)
 *   run      worker   tails become mini-blocks behind the run below them, or in a new
 *                     run; runs that hold a chunk's worth become a chunk
 *   publish  owner    finds the node whose older word is the one that was encoded and
 *                     stores the new word; retires what it replaced
 *
 * Content does not change, so views do not care which of the two they read. Nodes that a
 * flush took in the meantime are left alone and the work is thrown away.
 */
#include <string.h>

#include "base/mem.h"
#include "base/sync_point.h"
#include "codec/chunk.h"
#include "engine/cell_priv.h"
#include "engine/overlay.h"
#include "engine/run.h"

enum {
    TAILS_MAX = 256,     /* tails of one series in one job */
    CHUNK_WORDS_MAX = 256, /* runs in one chunk */
};

struct encode_item {
    uint32_t ordinal, gen;
    uint8_t type;
    node_word from, to;           /* to 0: nothing came of it */
    size_t made, n_made;          /* in job->made: nodes nobody has seen yet */
    size_t old, n_old;            /* in job->old: nodes that `to` replaces */
};

struct encode_job {
    struct job job;
    struct cell *cell;
    struct epoch_hold hold;       /* a flush may retire the nodes meanwhile */
    uint32_t chunk_points;
    VEC(struct encode_item) items;
    VEC(struct node *) made;
    VEC(struct node *) old;
    uint64_t n_blocks, n_chunks;
};

/* ---- run: a worker ------------------------------------------------------------- */

static bool may_encode(const struct node *node, uint64_t del_gen)
{
    return node && node_del_gen(node) == del_gen && !node_flush(node);
}

/* The run that a word names, when samples deleted by the same generation may go into it. */
static struct run_part run_part(node_word word, uint64_t del_gen)
{
    struct node *node = word_node(word);
    if (!may_encode(node, del_gen) || node_kind(node) != NODE_RUN) return (struct run_part){0};
    return (struct run_part){container_of(node, struct run, node), word_count(word)};
}

/* A node that the item's result replaces. There is room for it. */
static void replace(struct encode_job *job, struct encode_item *item, struct node *node)
{
    job->old.ptr[job->old.len++] = node;
    item->n_old++;
}

/* Puts one tail behind *at. */
static status encode_tail(struct encode_job *job, struct encode_item *item, node_word *at,
                          node_word word, struct points *pts, struct arena *arena)
{
    struct node *tail = word_node(word);
    struct run_part top = run_part(*at, node_del_gen(tail)), under = {0}, out;
    if (top.run) under = run_part(node_older(&top.run->node), node_del_gen(tail));
    enum run_how how;

    pts->n = 0;
    TRY(node_read(word, (struct time_range){TS_MIN, TS_MAX}, pts, arena));
    if (!vec_reserve(&job->made, 1) || !vec_reserve(&job->old, 3)) return ST_NO_MEMORY;
    TRY(run_append(&out, &how, &job->cell->space, top, under, tail->type, pts));
    node_word older = *at;
    replace(job, item, tail);
    if (how == RUN_COPIED || how == RUN_MERGED) {
        replace(job, item, &top.run->node);
        older = node_older(&top.run->node);
    }
    if (how == RUN_MERGED) {
        replace(job, item, &under.run->node);
        older = node_older(&under.run->node);
    }
    if (how != RUN_EXTENDED) {
        node_set_del_gen(&out.run->node, node_del_gen(tail));
        atomic_store_explicit(&out.run->node.older, older, memory_order_relaxed);
        job->made.ptr[job->made.len++] = &out.run->node;
        item->n_made++;
    }
    *at = word_make(&out.run->node, out.n_blocks);
    job->n_blocks++;
    return ST_OK;
}

/* The runs on top of each other at the end of a chain, as one chunk once they hold
 * enough. */
static status seal_runs(struct encode_job *job, struct encode_item *item, node_word *at,
                        struct points *pts, struct arena *arena)
{
    node_word words[CHUNK_WORDS_MAX];
    uint32_t n_words = 0, n = 0;
    uint64_t del_gen = node_del_gen(word_node(*at));
    node_word w = *at;
    while (word_node(w) && node_kind(word_node(w)) == NODE_RUN &&
           may_encode(word_node(w), del_gen) && n_words < CHUNK_WORDS_MAX &&
           n + node_samples(w) <= CHUNK_POINTS_MAX) {
        words[n_words++] = w;
        n += node_samples(w);
        w = node_older(word_node(w));
    }
    bool full = n_words == CHUNK_WORDS_MAX || n + RUN_SAMPLES_MAX > CHUNK_POINTS_MAX;
    if (n_words == 0 || (n < job->chunk_points && !full)) return ST_OK;

    struct points part = {0};
    status st = ST_OK;
    pts->n = 0;
    for (uint32_t i = n_words; i-- > 0 && st == ST_OK;) {
        part.n = 0;
        st = node_read(words[i], (struct time_range){TS_MIN, TS_MAX}, &part, arena);
        if (st == ST_OK) st = points_overlay(pts, 0, &part);
    }
    points_release(&part);
    if (st != ST_OK) return st;
    if (!vec_reserve(&job->made, 1) || !vec_reserve(&job->old, n_words)) return ST_NO_MEMORY;

    struct chunk_node *chunk;
    struct node *top = word_node(*at);
    TRY(chunk_node_new(&chunk, &job->cell->space, top->type, pts));
    node_set_del_gen(&chunk->node, del_gen);
    atomic_store_explicit(&chunk->node.older, w, memory_order_relaxed);
    for (uint32_t i = 0; i < n_words; i++) job->old.ptr[job->old.len++] = word_node(words[i]);
    item->n_old += n_words;
    job->made.ptr[job->made.len++] = &chunk->node;
    item->n_made++;
    *at = word_make(&chunk->node, 0);
    job->n_chunks++;
    return ST_OK;
}

static status encode_series(struct encode_job *job, struct encode_item *item,
                            struct points *pts, struct arena *arena)
{
    node_word tails[TAILS_MAX];
    uint32_t n_tails = 0;
    node_word at = item->from;
    /* Of a longer chain the oldest part is encoded now, the rest by the next job. */
    while (word_node(at) && node_is_tail(word_node(at)) && !node_flush(word_node(at))) {
        tails[n_tails++ % TAILS_MAX] = at;
        at = node_older(word_node(at));
    }
    uint32_t n = n_tails < TAILS_MAX ? n_tails : TAILS_MAX;
    if (n == 0) return ST_OK;
    item->from = tails[(n_tails - n) % TAILS_MAX];
    item->made = job->made.len;
    item->old = job->old.len;
    for (uint32_t i = 1; i <= n; i++)
        TRY(encode_tail(job, item, &at, tails[(n_tails - i) % TAILS_MAX], pts, arena));
    if (node_kind(word_node(at)) == NODE_RUN) TRY(seal_runs(job, item, &at, pts, arena));
    item->to = at;
    return ST_OK;
}

static status encode_run(struct job *base)
{
    struct encode_job *job = container_of(base, struct encode_job, job);
    struct points pts = {0};
    struct arena arena;
    arena_init(&arena, NULL, 16 << 10);

    for (size_t i = 0; i < job->items.len && !job_cancelled(base); i++) {
        struct encode_item *item = &job->items.ptr[i];
        status st = encode_series(job, item, &pts, &arena);
        if (st != ST_OK) item->to = 0; /* tails stay; the next full one tries again */
        arena_reset(&arena);
    }
    points_release(&pts);
    arena_release(&arena);
    return ST_OK;
}

/* ---- publish: the owner -------------------------------------------------------- */

/* The node above the one that `word` names, or NULL. */
static struct node *find_above(const struct head *head, node_word word)
{
    struct node *node = word_node(head_root(head));
    while (node && node_older(node) != word) node = word_node(node_older(node));
    return node;
}

/* A node that this item made and then replaced itself is in both lists: it was never
 * seen and is freed at once. */
static bool made_here(const struct encode_job *job, const struct encode_item *item,
                      const struct node *node)
{
    for (size_t i = 0; i < item->n_made; i++)
        if (job->made.ptr[item->made + i] == node) return true;
    return false;
}

static bool replaced_here(const struct encode_job *job, const struct encode_item *item,
                          const struct node *node)
{
    for (size_t i = 0; i < item->n_old; i++)
        if (job->old.ptr[item->old + i] == node) return true;
    return false;
}

/* What lies below the encoded nodes may have gone since the worker looked: a flush that
 * took it was published and unlinked it. The lowest new node must point to what the
 * lowest old one points to now. */
static void renew_bottom(const struct encode_job *job, const struct encode_item *item)
{
    struct node *old = word_node(item->from), *new = word_node(item->to);
    if (!made_here(job, item, new)) return; /* an old run took it all: its link is kept */
    for (struct node *n = old; n && replaced_here(job, item, n); n = word_node(node_older(n)))
        old = n;
    for (struct node *n = new; n && made_here(job, item, n); n = word_node(node_older(n)))
        new = n;
    /* The same node: a run that was extended, and `new` knows the larger count. */
    if (word_node(node_older(new)) != word_node(node_older(old)))
        atomic_store_explicit(&new->older, node_older(old), memory_order_relaxed);
}

static void publish_item(struct encode_job *job, struct encode_item *item)
{
    struct cell *cell = job->cell;
    struct head *head = cell_head(cell, item->ordinal);
    struct node *above = NULL;
    bool same = head->gen == item->gen;
    if (same) head->flags &= (uint8_t)~HEAD_QUEUED;
    if (same && item->to && !node_flush(word_node(item->from)))
        above = find_above(head, item->from);

    if (above) renew_bottom(job, item);
    for (size_t i = 0; i < item->n_made; i++) {
        struct node *node = job->made.ptr[item->made + i];
        if (!above || replaced_here(job, item, node)) node_free(&cell->space, node);
    }
    if (!above) return;
    SYNC_POINT("encode:before-swap");
    atomic_store_explicit(&above->older, item->to, memory_order_release);
    for (size_t i = 0; i < item->n_old; i++) {
        struct node *node = job->old.ptr[item->old + i];
        if (!made_here(job, item, node)) node_retire(node, &cell->retire);
    }
    /* Tails that filled up meanwhile were not queued again. */
    node_word next = word_node(head_root(head)) ? node_older(word_node(head_root(head))) : 0;
    if (word_node(next) && node_is_tail(word_node(next)) && !node_flush(word_node(next)))
        encode_queue_push(cell, item->ordinal);
}

static void free_job(struct encode_job *job)
{
    vec_release(&job->items);
    vec_release(&job->made);
    vec_release(&job->old);
    mem_free(job);
}

static void encode_publish(struct job *base, status st)
{
    struct encode_job *job = container_of(base, struct encode_job, job);
    struct cell *cell = job->cell;
    (void)st; /* per series: an item without a result is skipped */
    cell_unhold(&job->hold);
    for (size_t i = 0; i < job->items.len; i++) publish_item(job, &job->items.ptr[i]);
    cell->stats.n_encode_jobs++;
    cell_job_done(cell, DB_JOB_ENCODE);
    cell->stats.n_blocks_encoded += job->n_blocks;
    cell->stats.n_chunks_sealed += job->n_chunks;
    cell->encode.n_running--;
    free_job(job);
    encode_plan(cell);
    write_wake(cell);
}

static const struct job_ops encode_ops = {
    .name = "encode", .lane = JOB_MAINTENANCE, .run = encode_run, .publish = encode_publish};

/* ---- plan: the owner ----------------------------------------------------------- */

static bool make_item(struct cell *cell, struct encode_item *item, uint32_t ordinal)
{
    struct head *head = cell_head(cell, ordinal);
    struct node *top = word_node(head_root(head));
    node_word from = top ? node_older(top) : 0;
    if (!word_node(from) || !node_is_tail(word_node(from)) || node_flush(word_node(from))) {
        head->flags &= (uint8_t)~HEAD_QUEUED;
        return false;
    }
    *item = (struct encode_item){
        .ordinal = ordinal, .gen = head->gen, .type = head->type, .from = from};
    return true;
}

static struct encode_job *new_job(struct cell *cell)
{
    struct encode_job *job = mem_alloc(sizeof(*job));
    memset(job, 0, sizeof(*job));
    job_init(&job->job, &encode_ops);
    job->cell = cell;
    job->chunk_points = db_options(cell->db)->chunk_points;
    return job;
}

void encode_queue_push(struct cell *cell, uint32_t ordinal)
{
    struct head *head = cell_head(cell, ordinal);
    if (head->flags & HEAD_QUEUED) return;
    /* Without room in the queue the tail waits for the next one to fill. */
    if (vec_push(&cell->encode.ordinals, ordinal)) head->flags |= HEAD_QUEUED;
}

static uint32_t queue_take(struct encode_queue *queue)
{
    uint32_t ordinal = queue->ordinals.ptr[queue->first++];
    size_t left = encode_waiting(queue);
    if (queue->first >= left) { /* moves no more than it has taken since */
        memmove(queue->ordinals.ptr, queue->ordinals.ptr + queue->first,
                left * sizeof(ordinal));
        queue->ordinals.len = left;
        queue->first = 0;
    }
    return ordinal;
}

void encode_plan(struct cell *cell)
{
    enum { JOBS_MAX = 4 };
    struct encode_queue *queue = &cell->encode;
    while (encode_waiting(queue) && queue->n_running < JOBS_MAX && !cell->closing) {
        struct encode_job *job = new_job(cell);
        size_t n = encode_waiting(queue);
        if (n > ENCODE_JOB_MAX) n = ENCODE_JOB_MAX;
        if (!vec_reserve(&job->items, n)) {
            free_job(job);
            return;
        }
        for (size_t i = 0; i < n; i++) {
            uint32_t ordinal = queue_take(queue);
            if (make_item(cell, &job->items.ptr[job->items.len], ordinal)) job->items.len++;
        }
        if (job->items.len == 0) {
            free_job(job);
            continue;
        }
        queue->n_running++;
        cell_hold(cell, &job->hold);
        exec_submit(db_exec(cell->db), &job->job);
    }
}

/* An ordinal that is born again must not be in the queue twice. */
void encode_forget_dead(struct cell *cell)
{
    struct encode_queue *queue = &cell->encode;
    size_t n = 0;
    for (size_t i = queue->first; i < queue->ordinals.len; i++)
        if (cell_head(cell, queue->ordinals.ptr[i])->flags & HEAD_BORN)
            queue->ordinals.ptr[n++] = queue->ordinals.ptr[i];
    queue->ordinals.len = n;
    queue->first = 0;
}

/* During recovery nobody reads yet: the owner itself says who works, and when. */

struct encode_job *encode_take(struct cell *cell, size_t max)
{
    struct encode_queue *queue = &cell->encode;
    size_t n = encode_waiting(queue) < max ? encode_waiting(queue) : max;
    if (n == 0) return NULL;
    struct encode_job *job = new_job(cell);
    if (!vec_reserve(&job->items, n)) {
        free_job(job);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t ordinal = queue_take(queue);
        if (make_item(cell, &job->items.ptr[job->items.len], ordinal)) job->items.len++;
    }
    return job;
}

void encode_work(struct encode_job *job)
{
    (void)encode_run(&job->job); /* per series: a failure leaves its tails */
}

void encode_put(struct encode_job *job)
{
    struct cell *cell = job->cell;
    for (size_t i = 0; i < job->items.len; i++) publish_item(job, &job->items.ptr[i]);
    cell->stats.n_blocks_encoded += job->n_blocks;
    cell->stats.n_chunks_sealed += job->n_chunks;
    free_job(job);
}
