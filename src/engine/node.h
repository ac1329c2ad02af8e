/* Nodes: where the samples of a series live until a segment has them.
 *
 * A series' nodes form a chain, newest first. Its head's root word names the newest
 * and says how much of it is published; each node's `older` word does the same for
 * the next:
 *
 *     word = address << 16 | count        address below 2^48, asserted
 *
 *     tail   count = n_late << 8 | n      n <= 32 slots in order (SAME: 64), n_late <= 64
 *     run    count = blocks published     mini-blocks, up to 512 samples
 *     chunk  count = 0                    one sealed chunk, up to chunk-points samples
 *
 *     root --> [tail 5/0] --> [tail 32/1, full] --> [run, 9 blocks] --> [chunk] --> 0
 *
 * What a word publishes never changes and never moves; slots beyond it belong to the
 * writer alone. So (root word) is a snapshot of a series. Times of nodes may overlap:
 * a newer node wins over an older one, in a tail the late lane wins over the slots and
 * later late samples over earlier ones.
 *
 * Kinds of tail (decision 26): GRID holds t0 + i * step and 8 bytes a value; GRID16
 * adds a 16-bit residual; RAW holds time and value; SAME is a GRID whose samples all have
 * one value, which is there once. A series' first tail begins with 4 slots, later ones with
 * 16; they grow by copying, to 4, 8, 16, 24, 32. A GRID that could be SAME becomes that
 * instead, and a SAME that gets another value a GRID. A sample that does not fit closes the
 * tail and opens one of a wider kind.
 *
 * Values of bytes and histogram series are pointers to a struct blob that the node
 * owns. Only the owner stores; anyone may read below a published count. A node is
 * freed through the retire list.
 */
#ifndef TSINK_ENGINE_NODE_H
#define TSINK_ENGINE_NODE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/panic.h"
#include "codec/chunk.h"
#include "engine/node_space.h"
#include "engine/retire.h"
#include "model/point.h"

typedef uint64_t node_word;

/* The root of an ordinal whose series has another one now (relabel.h): no node, but not
 * the 0 of a series without samples. A view that finds it passes the ordinal over. */
#define ROOT_MOVED ((node_word)1)

enum node_kind { NODE_GRID, NODE_GRID16, NODE_RAW, NODE_SAME, NODE_RUN, NODE_CHUNK };

enum {
    TAIL_SLOTS_MIN = 4,
    TAIL_SLOTS_MAX = 32,
    TAIL_SLOTS_STEP = 4,
    TAIL_SLOTS_NEXT = 16,   /* of the tail that follows a full one */
    TAIL_SLOTS_WIDER = 8,   /* that a tail of 16 and more grows by */
    TAIL_SAME_MAX = 64,     /* with as many late ones still a block */
    TAIL_AGE_MAX = 3,
    TAIL_LATE_MAX = 64,
    RUN_SAMPLES_MAX = 512,
    RUN_BLOCKS_MAX = 32,
    FLUSH_MARKS = 256,
};

/* Flushes that have taken nodes, by number; a node names its flush by it, 0 for none. The
 * version is UINT64_MAX until the flush's segments are in a manifest; a view of that
 * manifest or a later one reads the segments instead. A number is used again when no node
 * that has it can be seen any more. */
struct flush_marks {
    _Atomic uint64_t version[FLUSH_MARKS];
    bool taken[FLUSH_MARKS];            /* the owner's */
};

enum { NODE_DEL_GEN_BITS = 40 };
#define NODE_DEL_GEN_MAX ((1ull << NODE_DEL_GEN_BITS) - 1)

/* There are several nodes a series, so every byte counts. */
struct node {
    _Atomic node_word older;
    uint32_t del_gen_low;               /* deletes of a larger generation hide its samples */
    uint8_t del_gen_high;
    _Atomic uint8_t flush;              /* the mark of the flush that took it, or 0 */
    uint8_t type;                       /* enum value_type */
    uint8_t shape;                      /* enum node_kind; of a tail also slots and age */
};

_Static_assert(sizeof(struct node) == 16, "a node's own part");

struct blob {
    uint32_t len;
    uint8_t bytes[];
};

struct late_sample {
    ts_time ts;
    union value val;
};

struct late_lane {
    uint64_t cap;
    struct late_sample at[];
};

struct tail {
    struct node node;
    ts_time t0;
    int64_t step;                       /* set by the second sample of a GRID tail */
    _Atomic(struct late_lane *) late;
    union value val[];                  /* then int16_t res[cap] or ts_time ts[cap]; SAME: 1 */
};

struct chunk_node {
    struct node node;
    uint32_t n;
    uint32_t ticks_len, values_len;
    ts_time min, max;
    uint8_t data[];                     /* ticks, values, CHUNK_PAD readable bytes */
};

/* The chunk's columns, as codec/chunk.h wants them. Lives as long as the node. */
struct chunk_ref chunk_node_ref(const struct chunk_node *chunk);

static inline enum node_kind node_kind(const struct node *node)
{
    return (enum node_kind)(node->shape & 7);
}

/* Samples that a tail has room for: 4, 8 ... 32, SAME: 64. */
static inline uint32_t node_cap(const struct node *node)
{
    if (node_kind(node) == NODE_SAME) return TAIL_SAME_MAX;
    return ((node->shape >> 3 & 7) + 1u) * TAIL_SLOTS_STEP;
}

/* How many tails of the series were there before this one: 0 to TAIL_AGE_MAX or more. */
uint32_t tail_age(const struct node *node);
uint8_t node_shape(enum node_kind kind, uint32_t cap, uint32_t age);

static inline uint64_t node_del_gen(const struct node *node)
{
    return (uint64_t)node->del_gen_high << 32 | node->del_gen_low;
}

/* At most NODE_DEL_GEN_MAX: deletes beyond are refused. */
void node_set_del_gen(struct node *node, uint64_t gen);

static inline node_word word_make(const struct node *node, uint32_t count)
{
    uintptr_t at = (uintptr_t)node;
    ASSERT(at >> 48 == 0 && count <= UINT16_MAX);
    return (uint64_t)at << 16 | count;
}

static inline struct node *word_node(node_word word)
{
    return (struct node *)(uintptr_t)(word >> 16);
}

static inline uint32_t word_count(node_word word)
{
    return word & 0xffff;
}

static inline uint32_t word_n(node_word word)
{
    return word & 0xff;
}

static inline uint32_t word_late(node_word word)
{
    return (word >> 8) & 0xff;
}

static inline bool node_is_tail(const struct node *node)
{
    return node_kind(node) <= NODE_SAME;
}

static inline node_word node_older(const struct node *node)
{
    return atomic_load_explicit(&node->older, memory_order_acquire);
}

static inline uint8_t node_flush(const struct node *node)
{
    return atomic_load_explicit(&node->flush, memory_order_acquire);
}

static inline bool type_is_blob(uint8_t type)
{
    return type == VALUE_BYTES || type == VALUE_HISTOGRAM;
}

/* What retire lists of nodes hold. */
enum retire_kind { RETIRE_NODE = 1, RETIRE_MOVED_TAIL, RETIRE_LANE, RETIRE_MARK };

/* Frees at once; for nodes that nobody can see. Accepts NULL. Owner. */
void node_free(struct node_space *space, struct node *node);
void node_retire(struct node *node, struct retire_list *list);

/* Its values and late lane went to a larger tail. */
void node_retire_moved(struct node *node, struct retire_list *list);

/* Frees what a retire list had: RETIRE_NODE to RETIRE_LANE. */
void node_free_retired(struct node_space *space, enum retire_kind kind, void *ptr);

size_t node_bytes(const struct node *node); /* without blobs and late lane */

/* Samples published by the word in its node alone. */
uint32_t node_samples(node_word word);

/* Earliest and latest time published in the node alone; false when it has none. */
bool node_bounds(node_word word, struct time_range *out);

/* Appends the node's own samples within range to out, ascending, newest winning
 * inside the node. Blob values are copied to the arena as slices or histograms.
 * Reader or owner. ST_CORRUPT never happens short of damaged memory. */
CHECKED status node_read(node_word word, struct time_range range, struct points *out,
                         struct arena *arena);

/* --- tail.c: owner only ------------------------------------------------------- */

/* An empty tail of `cap` slots, a multiple of 4 up to 32 (SAME: any, it has one); NULL when
 * memory is refused. */
struct tail *tail_new(struct node_space *space, enum node_kind kind, uint8_t type, uint32_t cap);

/* An empty RAW tail becomes one of another kind. */
void tail_recast(struct tail *tail, enum node_kind kind, uint8_t type);

/* Whether an in-order sample fits behind n others. */
bool tail_fits(const struct tail *tail, uint32_t n, ts_time ts, union value val);
/* Fills slot n, which tail_fits() accepted. Publishing is the caller's. */
void tail_put(struct tail *tail, uint32_t n, ts_time ts, union value val);
ts_time tail_ts(const struct tail *tail, uint32_t i);
union value tail_val(const struct tail *tail, uint32_t i);
void tail_copy_ts(const struct tail *tail, uint32_t n, ts_time *dst); /* of slots 0..n-1 */
void tail_copy_val(const struct tail *tail, uint32_t n, union value *dst);

/* Fills late slot n_late; false when the lane is full or cannot grow. A replaced lane
 * goes to the retire list. */
bool tail_put_late(struct node_space *space, struct tail *tail, uint32_t n_late, ts_time ts,
                   union value val, struct retire_list *list);

/* A tail of another size with the same samples and the same older node, or NULL. Its kind is
 * the same, or one is GRID and the other SAME; then tail_is_same() held. */
struct tail *tail_grow(struct node_space *space, const struct tail *tail, uint32_t n,
                       enum node_kind kind, uint32_t cap);

/* Whether the n samples of a tail, on a grid, and one more have the same value. */
bool tail_is_same(const struct tail *tail, uint32_t n, union value val);

/* The kind that the next tail should have, judged by what this one saw. */
enum node_kind tail_next_kind(const struct tail *tail, uint32_t n, ts_time ts, int64_t *step);

/* A copy of bytes as a blob; NULL when refused. */
struct blob *blob_new(struct node_space *space, const void *src, size_t len);
void blob_free(struct node_space *space, struct blob *blob); /* accepts NULL */

/* --- sealed.c: pure; a worker builds, the owner links (runs: run.h) ------------- */

/* One chunk of all points (ascending, at most 65535). Any thread. */
CHECKED status chunk_node_new(struct chunk_node **out, struct node_space *space, uint8_t type,
                              const struct points *pts);

/* Blob (in-memory) values <-> values that codecs take. */
CHECKED status value_thaw(union value *out, uint8_t type, const struct blob *blob,
                          struct arena *arena);

#endif
