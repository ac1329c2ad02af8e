/* series_index.bin below its checksums. The input is four runs of records, each with a
 * two-byte length and a one-byte count before it: names, values, pairs, series. The
 * harness compresses them, puts frames with right sums around and loads the file.
 * Checked: whatever is refused or accepted, the registry stays sound; what is accepted
 * is saved and loaded again as many series. */
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

/* Forges the file; the counts in the end frame are the blocks' own. */
static void forge(struct strbuf *out, const uint8_t *src, size_t len)
{
    uint8_t head[HEAD_LEN] = {0}, end[END_LEN] = {0};
    put_frame(out, REG_FRAME_HEAD, head, sizeof(head));
    for (uint16_t type = REG_FRAME_NAMES; type <= REG_FRAME_SERIES && len >= 3; type++) {
        size_t n_bytes = load_u16(src);
        uint8_t n = src[2];
        src += 3;
        len -= 3;
        if (n_bytes > len) n_bytes = len;
        if (n_bytes > 0) put_block(out, type, n, src, n_bytes);
        store_u64(end + (size_t)(type - REG_FRAME_NAMES) * 8, n_bytes ? n : 0);
        src += n_bytes;
        len -= n_bytes;
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
    struct err err = {.st = ST_OK};
    if (registry_check(reg, &err) != ST_OK) PANIC("%s", err.text);
    registry_free(reg);
    ASSERT(account_used(account) == 0);
}

static void check_again(const struct registry *reg, struct vfs *vfs, uint64_t n_series)
{
    static const uint8_t database[16];
    struct registry_prefix prefix = registry_prefix(reg, 0);
    struct registry_loaded loaded;
    struct account account;
    struct registry *again = registry_make(&account);
    ASSERT(registry_save(reg, &prefix, database, vfs, "again", NULL, NULL) == ST_OK);
    ASSERT(registry_load(again, &loaded, vfs, "again", NULL) == ST_OK);
    ASSERT(loaded.n_series == n_series);
    finish(again, &account);
}

int fuzz_registry(const uint8_t *src, size_t len)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file;
    struct strbuf out;
    struct account account;
    struct registry_loaded loaded;
    struct registry *reg = registry_make(&account);

    strbuf_init(&out, 0);
    forge(&out, src, len);
    ASSERT(!out.failed && vfs_open(vfs, &file, "f", VFS_CREATE, NULL) == ST_OK);
    ASSERT(vfs_write(file, 0, out.ptr, out.len, NULL) == ST_OK);
    vfs_close(file);
    if (registry_load(reg, &loaded, vfs, "f", NULL) == ST_OK) {
        check_again(reg, vfs, loaded.n_series);
    }
    finish(reg, &account);
    strbuf_release(&out);
    vfs_free(vfs);
    return 0;
}

FUZZ_ENTRY(fuzz_registry)
