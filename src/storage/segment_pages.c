/* Writing a file in pages, each under a checksum. See segment_priv.h. */
#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "storage/segment_priv.h"

status seg_pages_begin(struct seg_pages *out, struct vfs_file *file, const struct seg_head *head,
                       size_t cap, struct err *err)
{
    ASSERT(cap % SEGMENT_PAGE == 0 && cap > 0);
    *out = (struct seg_pages){
        .file = file, .kind = head->kind, .segment = head->segment, .cap = cap};
    strbuf_init(&out->crcs, 0);
    out->buf = mem_try(cap);
    if (!out->buf) return err_set(err, ST_NO_MEMORY, "segment writer");
    seg_head_put(out->buf, head);
    out->len = SEG_HEAD_LEN;
    return ST_OK;
}

void seg_pages_release(struct seg_pages *pages)
{
    vfs_close(pages->file);
    mem_free(pages->buf);
    strbuf_release(&pages->crcs);
}

/* Writes what is in the buffer; only the last call may have a part of a page. */
static status flush(struct seg_pages *pages, struct err *err)
{
    for (size_t off = 0; off < pages->len; off += SEGMENT_PAGE) {
        uint8_t crc[4];
        size_t len = pages->len - off < SEGMENT_PAGE ? pages->len - off : SEGMENT_PAGE;
        uint64_t number = (pages->off + off) / SEGMENT_PAGE;
        store_u32(crc, seg_crc(pages->segment, pages->kind, number, pages->buf + off, len));
        strbuf_put(&pages->crcs, crc, sizeof(crc));
    }
    if (pages->crcs.failed) return err_set(err, ST_NO_MEMORY, "checksums of pages");
    TRY(vfs_write(pages->file, pages->off, pages->buf, pages->len, err));
    pages->off += pages->len;
    pages->len = 0;
    return ST_OK;
}

status seg_pages_put(struct seg_pages *pages, const uint8_t *src, size_t len, struct err *err)
{
    while (len > 0) {
        size_t room = pages->cap - pages->len;
        size_t n = len < room ? len : room;
        memcpy(pages->buf + pages->len, src, n);
        pages->len += n;
        src += n;
        len -= n;
        if (pages->len == pages->cap) TRY(flush(pages, err));
    }
    return ST_OK;
}

status seg_pages_finish(struct seg_pages *pages, struct err *err)
{
    static const uint8_t pad[CHUNK_PAD];

    TRY(seg_pages_put(pages, pad, sizeof(pad), err));
    if (pages->len > 0) TRY(flush(pages, err));
    return vfs_sync(pages->file, err);
}
