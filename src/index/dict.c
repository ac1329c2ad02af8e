/* Interned texts. A text is a piece of memory
 *
 *     | users | length, a varint | bytes |
 *
 * and `texts` leads from its id to the length. The order of publication is: bytes, pointer,
 * count, slot of the table; so whoever finds an id can read its text. users is the owner's.
 *
 * Pieces up to SMALL_MAX bytes lie back to back, at their exact length, and are kept for
 * others of that length when they are free; larger ones are the pool's. A text that is
 * dropped leaves the table at once; piece and id are free after the grace period. See
 * dict.h.
 */
#include "index/dict.h"

#include "base/bits.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/segvec.h"
#include "base/varint.h"
#include "base/vec.h"
#include "index/id_table_priv.h"

enum { SMALL_MIN = sizeof(void *), SMALL_MAX = 255 };

struct dict {
    struct index_pool pool;
    struct id_table table;
    struct segvec texts; /* of const uint8_t *; NULL: a free id */
    struct account *account;
    void *free_small[SMALL_MAX + 1]; /* by length, linked through their first bytes */
    VEC(uint32_t) free_ids;
    uint32_t n_dropped;  /* that are free or will be */
};

struct dict *dict_new(struct account *account, const struct reclaim *rc)
{
    struct dict *dict = mem_zalloc(sizeof(*dict));
    pool_init(&dict->pool, account, rc);
    id_table_init(&dict->table, &dict->pool);
    segvec_init(&dict->texts, sizeof(const uint8_t *), account);
    dict->account = account;
    if (!account_charge(account, sizeof(*dict))) {
        mem_free(dict);
        return NULL;
    }
    return dict;
}

/* --- pieces -------------------------------------------------------------------------- */

static size_t piece_len(size_t text_len)
{
    return 1 + varint_len(text_len) + text_len;
}

static uint8_t *piece_new(struct dict *dict, size_t len)
{
    if (len > SMALL_MAX) return pool_alloc(&dict->pool, len);
    if (len < SMALL_MIN) len = SMALL_MIN;
    void *piece = dict->free_small[len];
    if (!piece) return (uint8_t *)pool_text(&dict->pool, len);
    memcpy(&dict->free_small[len], piece, sizeof(void *));
    return piece;
}

static void piece_free(struct dict *dict, void *piece, size_t len)
{
    if (len > SMALL_MAX) {
        pool_free(&dict->pool, piece, len);
        return;
    }
    if (len < SMALL_MIN) len = SMALL_MIN;
    memcpy(piece, &dict->free_small[len], sizeof(void *));
    dict->free_small[len] = piece;
}

/* --- life ---------------------------------------------------------------------------- */

static uint8_t *piece_of(const struct dict *dict, uint32_t id)
{
    uint8_t *text = *(uint8_t **)segvec_at(&dict->texts, id);
    return text ? text - 1 : NULL;
}

void dict_free(struct dict *dict)
{
    if (!dict) return;
    /* The largest have memory of their own. */
    for (uint32_t id = 0; id < dict_len(dict); id++) {
        size_t len = piece_of(dict, id) ? piece_len(dict_text(dict, id).len) : 0;
        if (len > POOL_PIECE_MAX) piece_free(dict, piece_of(dict, id), len);
    }
    vec_release(&dict->free_ids);
    id_table_release(&dict->table);
    segvec_release(&dict->texts);
    pool_release(&dict->pool);
    account_release(dict->account, sizeof(*dict));
    mem_free(dict);
}

struct slice dict_text(const struct dict *dict, uint32_t id)
{
    const uint8_t *text = *(const uint8_t *const *)segvec_at(&dict->texts, id);
    uint64_t len = text[0];
    size_t n = 1;
    if (unlikely(len >= 0x80)) n = varint_get(&len, text, VARINT_MAX);
    return (struct slice){(const char *)text + n, len};
}

struct slice dict_raw(const struct dict *dict, uint32_t id)
{
    struct slice text = dict_text(dict, id);
    const char *at = *(const char *const *)segvec_at(&dict->texts, id);
    return (struct slice){at, (size_t)(text.ptr - at) + text.len};
}

uint32_t dict_len(const struct dict *dict)
{
    return (uint32_t)segvec_len(&dict->texts);
}

static bool text_eq(const void *ctx, uint32_t id, const void *key)
{
    return slice_eq(dict_text(ctx, id), *(const struct slice *)key);
}

uint32_t dict_find(const struct dict *dict, struct slice text)
{
    return id_table_find(&dict->table, hash_slice(text), text_eq, dict, &text);
}

uint32_t dict_intern(struct dict *dict, struct slice text)
{
    uint64_t hash = hash_slice(text);
    uint32_t id = id_table_find(&dict->table, hash, text_eq, dict, &text);
    if (id != ID_NONE) return id;

    size_t n_free = dict->free_ids.len, end = segvec_len(&dict->texts);
    size_t next = n_free ? dict->free_ids.ptr[n_free - 1] : end;
    if (next >= DICT_NONE - 1) return DICT_NONE;
    if (!segvec_reserve(&dict->texts, next)) return DICT_NONE;
    if (!id_table_reserve(&dict->table, 1)) return DICT_NONE;
    uint8_t *piece = piece_new(dict, piece_len(text.len));
    if (!piece) return DICT_NONE;

    piece[0] = 0;
    size_t n = varint_put(piece + 1, text.len);
    if (text.len) memcpy(piece + 1 + n, text.ptr, text.len);
    *(const uint8_t **)segvec_at(&dict->texts, next) = piece + 1;
    if (next == end) segvec_publish(&dict->texts, next + 1);
    else dict->free_ids.len--;
    dict->n_dropped -= next != end;
    id_table_put(&dict->table, hash, (uint32_t)next);
    return (uint32_t)next;
}

/* --- users --------------------------------------------------------------------------- */

void dict_use(struct dict *dict, uint32_t id)
{
    uint8_t *users = piece_of(dict, id);
    if (*users < DICT_USERS_MAX) ++*users;
}

/* Nobody can see the text any more. */
static void free_text(void *ptr, void *arg)
{
    struct dict *dict = arg;
    uint32_t id = (uint32_t)(uintptr_t)ptr;
    piece_free(dict, piece_of(dict, id), piece_len(dict_text(dict, id).len));
    *(const uint8_t **)segvec_at(&dict->texts, id) = NULL;
    /* Without memory for the list the id is simply not used again. */
    (void)vec_push(&dict->free_ids, id);
}

void dict_drop(struct dict *dict, uint32_t id)
{
    uint8_t *users = piece_of(dict, id);
    DASSERT(*users > 0);
    if (*users == DICT_USERS_MAX || --*users > 0) return;
    struct slice text = dict_text(dict, id);
    id_table_remove(&dict->table, hash_slice(text), id);
    dict->n_dropped++;
    reclaim_later(&dict->pool.rc, free_text, (void *)(uintptr_t)id, dict, piece_len(text.len));
}

uint32_t dict_count(const struct dict *dict)
{
    return dict_len(dict) - dict->n_dropped;
}
