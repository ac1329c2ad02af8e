/* Exemplars and metadata as bytes. The first byte chooses: 0 the payload of a frame of the
 * log, 1 a whole file, 2 a file whose checksums are made right first, so that what is behind
 * them is reached; 3 the packed labels of an exemplar. Checked: what is accepted is encoded
 * again to something that is read as the same; the stores take it and hold together. */
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"
#include "codec/frame.h"
#include "engine/exemplars.h"
#include "engine/meta_payload.h"
#include "engine/metadata_store.h"
#include "storage/payload_file.h"
#include "tests/fuzz/fuzz.h"

int fuzz_meta(const uint8_t *src, size_t len);

#define FILE_MAGIC FRAME_MAGIC('T', 'S', 'P', 'F')

static const struct database_id db = {{'d', 'b'}};

struct copy {
    VEC(uint8_t) bytes;
    struct exemplars *exemplars;
    struct metadata_store *metadata;
    size_t n;
};

static status copy_exemplar(void *ctx, series_id id, const struct exemplar *ex)
{
    struct copy *copy = ctx;
    ASSERT(id != 0 && exemplar_packed_valid(ex->labels));
    ASSERT(vec_reserve(&copy->bytes, meta_exemplar_bound(ex)));
    size_t n = meta_exemplar_put(copy->bytes.ptr + copy->bytes.len, id, ex);
    ASSERT(n <= meta_exemplar_bound(ex));
    copy->bytes.len += n;
    copy->n++;
    (void)exemplars_put(copy->exemplars, id, ex);
    enum exemplar_verdict again = exemplars_put(copy->exemplars, id, ex);
    ASSERT(again == EXEMPLAR_DUPLICATE || again == EXEMPLAR_OUT_OF_ORDER);
    return ST_OK;
}

static status copy_family(void *ctx, const struct metric_meta *meta)
{
    struct copy *copy = ctx;
    ASSERT(meta->family.len > 0 && meta->type < N_METRIC_TYPES);
    ASSERT(vec_reserve(&copy->bytes, meta_family_bound(meta)));
    size_t n = meta_family_put(copy->bytes.ptr + copy->bytes.len, meta);
    ASSERT(n <= meta_family_bound(meta));
    copy->bytes.len += n;
    copy->n++;
    if (metadata_store_put(copy->metadata, meta) != METADATA_REFUSED)
        ASSERT(metadata_store_has(copy->metadata, meta));
    return ST_OK;
}

static void open_copy(struct copy *copy)
{
    struct exemplar_limits limits = {.total = 20, .per_series = 5};
    *copy = (struct copy){.n = 0};
    copy->exemplars = exemplars_new(&limits, NULL);
    copy->metadata = metadata_store_new(10, NULL);
    ASSERT(copy->exemplars && copy->metadata);
}

static void close_copy(struct copy *copy)
{
    ASSERT(exemplars_check(copy->exemplars, NULL) == ST_OK);
    exemplars_free(copy->exemplars);
    metadata_store_free(copy->metadata);
    vec_release(&copy->bytes);
}

static status fuzz_payload(void *ctx, struct slice payload)
{
    struct copy a, b;
    (void)ctx;
    open_copy(&a);
    open_copy(&b);
    struct meta_taker take_a = {copy_exemplar, copy_family, &a};
    struct meta_taker take_b = {copy_exemplar, copy_family, &b};
    status st = meta_payload_each(payload, &take_a);
    ASSERT(st == ST_OK || st == ST_CORRUPT);
    ASSERT((meta_payload_each(payload, &(struct meta_taker){0}) == ST_OK) == (st == ST_OK));
    if (st == ST_OK) {
        ASSERT(meta_payload_each(slice_of(a.bytes.ptr, a.bytes.len), &take_b) == ST_OK);
        ASSERT(a.n == b.n && a.bytes.len == b.bytes.len);
        ASSERT(a.n == 0 || memcmp(a.bytes.ptr, b.bytes.ptr, a.bytes.len) == 0);
    }
    close_copy(&a);
    close_copy(&b);
    return ST_OK;
}

/* Each frame that its length lets be one gets the checksum of what it has. */
static void seal_frames(uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at + FRAME_HEAD_LEN <= len;) {
        uint64_t n = load_u64(bytes + at + 8);
        if (load_u32(bytes + at) != FILE_MAGIC || n > len - at - FRAME_HEAD_LEN) return;
        struct frame frame = {.magic = FILE_MAGIC,
                              .version = load_u16(bytes + at + 4),
                              .type = load_u16(bytes + at + 6),
                              .payload = bytes + at + FRAME_HEAD_LEN,
                              .len = (size_t)n};
        frame_put_head(bytes + at, &frame);
        at += FRAME_HEAD_LEN + (size_t)n;
    }
}

static void fuzz_file(const uint8_t *src, size_t len, bool seal)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file;
    lsn covered;
    uint8_t *bytes = mem_try(len + 1);
    ASSERT(vfs && bytes);
    memcpy(bytes, src, len);
    if (seal) seal_frames(bytes, len);
    const char *path = payload_file_path(PAYLOAD_EXEMPLARS);
    ASSERT(vfs_open(vfs, &file, path, VFS_CREATE, NULL) == ST_OK);
    ASSERT(len == 0 || vfs_write(file, 0, bytes, len, NULL) == ST_OK);
    vfs_close(file);
    status st = payload_file_read(&covered, vfs, PAYLOAD_EXEMPLARS, &db, fuzz_payload, NULL, NULL);
    ASSERT(st == ST_OK || st == ST_CORRUPT || st == ST_UNSUPPORTED);
    ASSERT(st == ST_OK || covered == 0);
    mem_free(bytes);
    vfs_free(vfs);
}

static void fuzz_labels(const uint8_t *src, size_t len)
{
    struct slice packed = slice_of(src, len), again;
    struct arena arena;
    if (!exemplar_packed_valid(packed)) return;
    arena_init(&arena, NULL, 1024);
    struct labels set = exemplar_labels(packed, &arena);
    struct label *copy = arena_try_array(&arena, set.n + 1, sizeof(*copy));
    ASSERT(copy);
    for (size_t i = 0; i < set.n; i++) copy[i] = set.ptr[set.n - 1 - i];
    ASSERT(exemplar_pack(&again, &arena, copy, set.n, NULL) == ST_OK);
    ASSERT(slice_eq(packed, again));
    arena_release(&arena);
}

int fuzz_meta(const uint8_t *src, size_t len)
{
    if (len == 0) return 0;
    switch (src[0] % 4) {
    case 0: (void)fuzz_payload(NULL, slice_of(src + 1, len - 1)); break;
    case 1: fuzz_file(src + 1, len - 1, false); break;
    case 2: fuzz_file(src + 1, len - 1, true); break;
    case 3: fuzz_labels(src + 1, len - 1); break;
    }
    return 0;
}

FUZZ_ENTRY(fuzz_meta)
