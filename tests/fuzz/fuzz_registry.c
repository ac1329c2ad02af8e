/* The registry's files below their checksums. The input is runs of records, each with a
 * two-byte length and a one-byte count before it: names, values, pairs and series of a
 * snapshot, then names to attributes of a delta. The harness compresses them, puts frames
 * with right sums around and loads both files. Checked: what is accepted is a sound
 * registry; saved and loaded again it is as large. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/strbuf.h"
#include "codec/compress.h"
#include "index/registry_file.h"
#include "index/registry_file_priv.h"
#include "tests/fuzz/fuzz.h"

int fuzz_registry(const uint8_t *src, size_t len);

static void free_now(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free_fn(ptr, arg); /* there are no readers */
}

static void put_frame(struct strbuf *out, uint16_t type, const void *src, size_t len)
{
    uint8_t head[FRAME_HEAD_LEN];
    frame_put_head(head, &(struct frame){.magic = REGISTRY_MAGIC,
                                         .version = REGISTRY_FILE_VERSION,
                                         .type = type,
                                         .payload = src,
                                         .len = len});
    strbuf_put(out, head, sizeof(head));
    strbuf_put(out, src, len);
}

static void put_block(struct strbuf *out, uint16_t type, uint8_t n, const uint8_t *raw, size_t len)
{
    size_t bound = zstd_bound(len), used;
    uint8_t *block = malloc(BLOCK_HEAD_LEN + bound);
    ASSERT(block);
    store_u32(block + BLOCK_OFF_N, n);
    store_u32(block + BLOCK_OFF_RAW_LEN, (uint32_t)len);
    ASSERT(zstd_encode(&used, block + BLOCK_HEAD_LEN, bound, raw, len, ZSTD_LEVEL_FAST) == ST_OK);
    put_frame(out, type, block, BLOCK_HEAD_LEN + used);
    free(block);
}

/* Forges a file; the counts in the end frame are the blocks' own. */
static void forge(struct strbuf *out, bool delta, const uint8_t **src, size_t *len)
{
    uint8_t head[HEAD_LEN] = {0}, end[END_LEN] = {0};
    store_u64(head + HEAD_OFF_NUMBER, delta ? 2 : 1);
    store_u32(head + HEAD_OFF_KIND, delta ? REG_KIND_DELTA : REG_KIND_SNAPSHOT);
    put_frame(out, REG_FRAME_HEAD, head, sizeof(head));
    for (uint16_t type = REG_FRAME_NAMES; type <= REG_FRAME_ATTRS && *len >= 3; type++) {
        if (!delta && (type == REG_FRAME_DEAD || type == REG_FRAME_ATTRS)) continue;
        size_t n_bytes = load_u16(*src);
        uint8_t n = (*src)[2];
        *src += 3;
        *len -= 3;
        if (n_bytes > *len) n_bytes = *len;
        if (n_bytes > 0) put_block(out, type, n, *src, n_bytes);
        store_u64(end + (size_t)(type - REG_FRAME_NAMES) * 8, n_bytes ? n : 0);
        *src += n_bytes;
        *len -= n_bytes;
    }
    put_frame(out, REG_FRAME_END, end, sizeof(end));
}

static struct registry *registry_make(struct account *account)
{
    struct reclaim rc = {free_now, NULL};
    account_init(account, "fuzz", NULL, 0);
    struct registry *reg = registry_new(account, &rc);
    ASSERT(reg);
    return reg;
}

static void finish(struct registry *reg, struct account *account)
{
    registry_free(reg);
    ASSERT(account_used(account) == 0);
}

static status load(struct registry *reg, struct registry_loaded *loaded, struct vfs *vfs,
                   const char *snapshot, const char *delta, unsigned n_threads)
{
    struct registry_part parts[2] = {{.path = snapshot}, {.path = delta}};
    struct registry_load_options opt = {
        .parts = parts, .n = delta ? 2 : 1, .any_bytes = true, .n_threads = n_threads};
    return registry_load(reg, loaded, vfs, &opt, NULL);
}

static void check_sound(const struct registry *reg)
{
    struct err err = {.st = ST_OK};
    if (registry_check(reg, &err) != ST_OK) PANIC("%s", err.text);
}

static void check_again(const struct registry *reg, struct vfs *vfs, uint64_t n_series)
{
    static const uint8_t database[16];
    struct registry_prefix prefix = registry_prefix(reg, 0, 1);
    struct registry_loaded loaded;
    struct account account;
    struct registry *again = registry_make(&account);
    ASSERT(registry_save(reg, &prefix, NULL, database, vfs, "again", NULL, NULL, NULL) == ST_OK);
    ASSERT(load(again, &loaded, vfs, "again", NULL, 1) == ST_OK);
    ASSERT(loaded.n_series == n_series);
    check_sound(again);
    finish(again, &account);
}

static void put_file(struct vfs *vfs, const char *path, bool delta, const uint8_t **src,
                     size_t *len)
{
    struct strbuf out;
    struct vfs_file *file;
    strbuf_init(&out, 0);
    forge(&out, delta, src, len);
    ASSERT(!out.failed && vfs_open(vfs, &file, path, VFS_CREATE, NULL) == ST_OK);
    ASSERT(vfs_write(file, 0, out.ptr, out.len, NULL) == ST_OK);
    vfs_close(file);
    strbuf_release(&out);
}

int fuzz_registry(const uint8_t *src, size_t len)
{
    struct account account;
    struct registry_loaded loaded;
    struct vfs *vfs = vfs_mem_new();
    struct registry *reg = registry_make(&account);

    put_file(vfs, "f", false, &src, &len);
    bool delta = len > 0;
    if (delta) put_file(vfs, "d", true, &src, &len);
    if (load(reg, &loaded, vfs, "f", delta ? "d" : NULL, 1) == ST_OK) {
        check_sound(reg);
        check_again(reg, vfs, loaded.n_series);
    }
    finish(reg, &account);
    vfs_free(vfs);
    return 0;
}

FUZZ_ENTRY(fuzz_registry)
