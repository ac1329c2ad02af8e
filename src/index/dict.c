/* Interned texts. A text is its length as a varint and its bytes, in a block that is
 * never freed before the dictionary; `texts` leads from id to it. The order of
 * publication is: bytes, pointer, count, slot of the table; so whoever finds an id can
 * read its text. See dict.h.
 */
#include "index/dict.h"

#include "base/bits.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/segvec.h"
#include "base/varint.h"
#include "index/id_table_priv.h"

struct dict {
    struct index_pool pool;
    struct id_table table;
    struct segvec texts; /* of const uint8_t * */
    struct account *account;
};

struct dict *dict_new(struct account *account, const struct reclaim *rc)
{
    struct dict *dict = mem_alloc(sizeof(*dict));
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

void dict_free(struct dict *dict)
{
    if (!dict) return;
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

    size_t next = segvec_len(&dict->texts);
    if (next >= DICT_NONE - 1) return DICT_NONE;
    if (!segvec_reserve(&dict->texts, next)) return DICT_NONE;
    if (!id_table_reserve(&dict->table, 1)) return DICT_NONE;
    uint8_t *copy = (uint8_t *)pool_text(&dict->pool, varint_len(text.len) + text.len);
    if (!copy) return DICT_NONE;

    size_t n = varint_put(copy, text.len);
    if (text.len) memcpy(copy + n, text.ptr, text.len);
    *(const uint8_t **)segvec_at(&dict->texts, next) = copy;
    segvec_publish(&dict->texts, next + 1);
    id_table_put(&dict->table, hash, (uint32_t)next);
    return (uint32_t)next;
}
