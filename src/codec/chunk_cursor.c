/* The cursor holds one decoded section and moves over it; a seek decodes at most two
 * (the one that the index names, and the next when the time falls after its last
 * point). */
#include "codec/chunk_cursor.h"

static status load(struct chunk_cursor *cur, uint32_t section)
{
    cur->section = section;
    cur->at = 0;
    cur->n = 0;
    if (section == cur->info.n_sections) return ST_OK;
    return chunk_decode_section(cur->ts, cur->val, &cur->n, &cur->info, section, cur->arena,
                                cur->src);
}

status chunk_cursor_init(struct chunk_cursor *cur, struct arena *arena, const uint8_t *src,
                         size_t len)
{
    cur->src = src;
    cur->arena = arena;
    cur->at = 0;
    cur->n = 0;
    TRY(chunk_info(&cur->info, src, len));
    return load(cur, 0);
}

status chunk_cursor_seek(struct chunk_cursor *cur, ts_time t)
{
    uint32_t section;

    if (t > cur->info.ts.to) return load(cur, cur->info.n_sections);
    TRY(chunk_find_section(&section, &cur->info, cur->src, t));
    if (section == cur->section && cur->n > 0) {
        cur->at = 0;
    } else {
        TRY(load(cur, section));
    }
    while (cur->at < cur->n && cur->ts[cur->at] < t) cur->at++;
    if (cur->at == cur->n) return load(cur, section + 1);
    return ST_OK;
}

status chunk_cursor_next(struct chunk_cursor *cur)
{
    if (cur->at == cur->n) return ST_OK;
    if (++cur->at < cur->n) return ST_OK;
    return load(cur, cur->section + 1);
}

status chunk_cursor_next_section(struct chunk_cursor *cur)
{
    if (cur->at == cur->n) return ST_OK;
    return load(cur, cur->section + 1);
}
