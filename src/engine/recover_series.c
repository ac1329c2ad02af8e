/* Recovery of series: what is known before the WAL is read.
 *
 * The catalogue of the registry's files says which of them count and which segments they
 * were seen to match. When they load, no series table of a segment is read, except of a
 * segment that the catalogue does not vouch for: its series are looked up and the missing
 * ones added. When a file is damaged or missing all of them go to quarantine, every
 * segment's table is read, and the WAL's definitions count from its beginning; the next
 * checkpoint writes a new snapshot.
 */
#include "base/log.h"
#include "base/thread.h"
#include "engine/checkpoint.h"
#include "engine/recover_priv.h"
#include "engine/rules.h"
#include "engine/wal_payload.h"
#include "storage/quarantine.h"

/* After a loss the largest id ever given out is known only from what is still there:
 * ids go on far behind it. */
enum { ID_JUMP = 1 << 20 };

void recover_rival(bool *lives, struct recovery *rec, series_id id, enum value_type type,
                   struct slice identity, struct hash128 hash)
{
    struct registry *reg = rec->cell->registry;
    uint32_t other = registry_find(reg, identity, hash, type);
    *lives = true;
    if (other == ORDINAL_NONE) return;
    /* A name that was born again: the older series died before, and only the news of
     * that is lost. It has no segment and nothing in the WAL that is not covered. */
    *lives = registry_entry(reg, other)->id < id;
    if (!*lives) return;
    bool gone = cell_remove_series(rec->cell, other);
    ASSERT(gone); /* no flush has it, and nothing of it is being encoded */
}

static status name_series(struct recovery *rec, struct series_new *out,
                          const struct series_new *make)
{
    *out = *make;
    out->hash = hash128(make->identity.ptr, make->identity.len);
    arena_reset(&rec->arena);
    return labels_from_identity(&out->labels, &rec->arena, make->identity);
}

status recover_adopt(struct recovery *rec, uint32_t *ordinal, const struct series_new *make)
{
    struct series_new named;
    bool lives;
    *ordinal = ORDINAL_NONE;
    TRY(name_series(rec, &named, make));
    recover_rival(&lives, rec, make->id, make->type, make->identity, named.hash);
    if (!lives) return ST_OK;
    return cell_add_series(rec->cell, ordinal, &named);
}

status recover_relabel(struct recovery *rec, const struct series_new *make)
{
    struct registry *reg = rec->cell->registry;
    struct series_new named;
    uint32_t to, from = registry_by_id(reg, make->id);
    if (from == ORDINAL_NONE) {
        TRY(recover_adopt(rec, &to, make));
        /* Who was defined before the log was, may have samples in a segment. */
        if (to != ORDINAL_NONE && rec->db->catalog.n)
            cell_head(rec->cell, to)->flags |= HEAD_UNKNOWN;
        return ST_OK;
    }
    if (registry_entry(reg, from)->label_version >= make->label_version) return ST_OK;
    TRY(name_series(rec, &named, make));
    uint32_t other = registry_find(reg, make->identity, named.hash, make->type);
    if (other == from) return ST_OK;
    if (other != ORDINAL_NONE) { /* it died, or is called something else by now */
        bool gone = cell_remove_series(rec->cell, other);
        ASSERT(gone); /* nothing is at work yet */
    }
    return cell_relabel(rec->cell, &to, from, named.labels, named.identity, named.hash,
                        make->label_version);
}

/* --- the registry's files -------------------------------------------------------- */

struct heads_part {
    const struct cell *cell;
    uint32_t from, to;
    uint8_t flags;
    uint64_t n_choosy;
};

static void run_heads(void *ctx)
{
    struct heads_part *part = ctx;
    part->n_choosy = cell_adopt_heads(part->cell, part->from, part->to, part->flags);
}

static status make_heads(struct recovery *rec)
{
    enum { PARTS_MAX = 16, HEADS_A_PART = 8192 };
    struct heads_part parts[PARTS_MAX];
    struct cell *cell = rec->cell;
    uint32_t n = registry_n_ordinals(cell->registry);
    unsigned n_parts = n / HEADS_A_PART + 1;
    if (n_parts > PARTS_MAX) n_parts = PARTS_MAX;
    for (uint32_t i = 0; i < n; i++)
        if (!segvec_reserve(&cell->heads, i)) return ST_NO_MEMORY;
    /* Any segment may hold a series' newest sample. */
    uint8_t flags = rec->db->catalog.n > 0 ? HEAD_UNKNOWN : 0;
    for (unsigned i = 0; i < n_parts; i++)
        parts[i] = (struct heads_part){.cell = cell,
                                       .from = (uint32_t)((uint64_t)n * i / n_parts),
                                       .to = (uint32_t)((uint64_t)n * (i + 1) / n_parts),
                                       .flags = flags};
    threads_share("load", run_heads, parts, sizeof(parts[0]), n_parts, rec->n_threads);
    for (unsigned i = 0; i < n_parts; i++) cell->n_choosy += parts[i].n_choosy;
    segvec_publish(&cell->heads, n);
    return ST_OK;
}

/* Those that are attributes of series in the files. */
static void find_rules(struct cell *cell)
{
    for (uint32_t i = 0; i < registry_n_ordinals(cell->registry); i++) {
        const struct series_entry *entry = registry_entry(cell->registry, i);
        const struct series_attrs *attrs = entry_attrs(entry);
        if (attrs && attrs->rule_source) rules_attrs(cell, entry->id, attrs);
    }
}

/* ST_OK, also for a new directory; else the files are of no use. */
static status read_files(struct recovery *rec, struct err *err)
{
    struct db *db = rec->db;
    status st = registry_files_load(rec->cell->registry, &db->registry_catalog, NULL, db->ports.vfs,
                                    &db->file.id, rec->n_threads, err);
    return st == ST_NOT_FOUND && db->catalog.n == 0 ? ST_OK : st;
}

static status move_if_there(struct recovery *rec, const char *path, const struct err *why)
{
    if (!vfs_exists(rec->db->ports.vfs, path)) return ST_OK;
    rec->db->n_quarantined++;
    return quarantine_move(NULL, rec->db->ports.vfs, path, why->text, rec->err);
}

/* All of the registry's files are put aside: one without the others says too little. */
static status lose_files(struct recovery *rec, const struct err *why)
{
    struct db *db = rec->db;
    struct registry_catalog *cat = &db->registry_catalog;
    log_error("recover", "the registry's files are damaged; rebuilding it from segments and WAL",
              "reason=\"%s\"", why->text);
    TRY(move_if_there(rec, LAYOUT_REGISTRY, why));
    for (size_t i = 0; i < cat->deltas.len; i++) {
        layout_path path;
        layout_registry_delta(path, cat->deltas.ptr[i].number);
        TRY(move_if_there(rec, path, why));
    }
    TRY(move_if_there(rec, LAYOUT_REGISTRY_CATALOG, why));
    rec->cell->stats.n_quarantined++;
    rec->rebuilding = true;
    registry_catalog_release(cat);
    registry_catalog_init(cat, &db->file.id);
    rec->cell->attrs_dirty = rec->cell->lost_attrs = true; /* a snapshot, soon */
    return cell_restart_registry(rec->cell);
}

status recover_registry(struct recovery *rec)
{
    struct db *db = rec->db;
    struct err err = {.st = ST_OK};
    TRY(recover_report(rec, "registry", 0, 1));
    status st = read_files(rec, &err);
    if (st == ST_CORRUPT || st == ST_NOT_FOUND) {
        TRY(lose_files(rec, &err));
    } else if (st != ST_OK) {
        return err_set(rec->err, st, "%s", err_text(&err, st));
    }
    if (!rec->rebuilding) {
        TRY(make_heads(rec));
        find_rules(rec->cell);
        rec->defined = db->registry_catalog.covered_lsn;
        rec->next_id = db->registry_catalog.next_id;
    }
    rec->cell->saved_births = registry_n_births(rec->cell->registry);
    return registry_catalog_sweep(db->ports.vfs, &db->registry_catalog, rec->err);
}

/* --- segments -------------------------------------------------------------------- */

void recover_put_aside(struct db *db, const char *path, status st, const struct err *err)
{
    struct err failed = {.st = ST_OK};
    log_error("recover", "damaged, put aside", "path=%s reason=\"%s\"", path,
              err_text(err, st));
    if (quarantine_move(NULL, db->ports.vfs, path, err_text(err, st), &failed) != ST_OK)
        log_error("recover", "putting aside failed", "path=%s reason=\"%s\"", path, failed.text);
    db->n_quarantined++;
}

static status series_of_segment(void *ctx, const struct segment_series *series)
{
    struct recovery *rec = ctx;
    struct series_attrs attrs;
    uint32_t ordinal = registry_by_id(rec->cell->registry, series->id);
    struct series_new make = {.id = series->id,
                              .place = series->place,
                              .type = series->type,
                              .label_version = (uint16_t)series->labels_version,
                              .identity = series->identity};
    if (ordinal != ORDINAL_NONE && rec->rebuilding) {
        TRY(recover_relabel(rec, &make)); /* the newest labels count */
        ordinal = registry_by_id(rec->cell->registry, series->id);
    }
    if (ordinal == ORDINAL_NONE) {
        /* Known to be dead: a compaction that began before its death made the segment. */
        if (series->id < rec->next_id) return ST_OK;
        bool has = series->attrs.len > 0;
        if (has) TRY(attrs_get(&attrs, series->attrs));
        make.attrs = has ? &attrs : NULL;
        TRY(recover_adopt(rec, &ordinal, &make));
        if (ordinal == ORDINAL_NONE) return ST_OK;
        rec->cell->attrs_dirty = rec->cell->lost_attrs = true; /* a snapshot repairs it */
    }
    cell_head(rec->cell, ordinal)->flags |= HEAD_UNKNOWN;
    return ST_OK;
}

static status add_segment(struct recovery *rec, struct segment *seg)
{
    struct manifest_change change = {.add = &seg,
                                     .n_add = 1,
                                     .deletes = rec->cell->manifest->deletes,
                                     .mem_deletes = rec->cell->manifest->mem_deletes};
    struct manifest *next = manifest_next(rec->cell->manifest, &change);
    if (!next) return ST_NO_MEMORY;
    manifest_unref(rec->cell->manifest);
    rec->cell->manifest = next;
    /* A delete that is made from now on has not been applied to it. */
    if (segment_info(seg)->del_gen > rec->cell->del_gen)
        rec->cell->del_gen = segment_info(seg)->del_gen;
    return ST_OK;
}

static status take_segment(struct recovery *rec, const struct catalog_entry *entry,
                           struct err *err)
{
    struct db *db = rec->db;
    struct segment *seg = NULL;
    status st = segment_open(&seg, db->ports.vfs, entry->path, &db->file.id, err);
    if (st != ST_OK) return st;
    const struct segment_info *info = segment_info(seg);
    if (!registry_catalog_vouches(&db->registry_catalog, info))
        st = segment_each_series(seg, series_of_segment, rec, err);
    registry_raise_next_id(rec->cell->registry, info->id_max + 1);
    if (st == ST_OK) st = add_segment(rec, seg);
    segment_unref(seg);
    return st;
}

/* Every series of every segment must be in the registry, and its head must know that it
 * does not know the newest sample. */
status recover_segments(struct recovery *rec)
{
    struct db *db = rec->db;
    struct catalog *cat = &db->catalog;
    for (size_t i = 0; i < cat->n;) {
        struct catalog_entry entry = cat->entries[i];
        struct err err = {.st = ST_OK};
        TRY(recover_report(rec, "hydrate", i, cat->n));
        status st = take_segment(rec, &entry, &err);
        if (st == ST_OK) {
            i++;
            continue;
        }
        if (st != ST_CORRUPT && st != ST_NOT_FOUND)
            return err_set(rec->err, st, "%s", err_text(&err, st));
        if (st == ST_CORRUPT) recover_put_aside(db, entry.path, st, &err);
        if (st == ST_NOT_FOUND)
            log_error("recover", "the catalog names a segment that is not there", "path=%s",
                      entry.path);
        (void)catalog_drop(cat, entry.info.lane, entry.info.id);
        rec->cell->stats.n_quarantined++;
    }
    if (rec->rebuilding)
        registry_raise_next_id(rec->cell->registry,
                               registry_next_id(rec->cell->registry) + ID_JUMP);
    rec->n_known = registry_n_ordinals(rec->cell->registry);
    return ST_OK;
}
