/* Changes of labels. See relabel.h. */
#include "engine/relabel.h"

#include "engine/db_priv.h"
#include "engine/wal_payload.h"

static void end(struct cell *cell, struct relabel_op *op, status st)
{
    list_remove(&op->link);
    op->st = st;
    db_step_wal(cell->db);
    op->done(op);
}

static size_t room(const struct relabel_op *op)
{
    return 2 * (WAL_HEAD_LEN + WAL_RUN_LEN + WAL_RELABEL_BYTES + ATTRS_BYTES + op->identity.len);
}

/* What speaks against it, whenever it is done. */
static status admit(struct cell *cell, struct relabel_op *op, uint32_t *from)
{
    struct registry *reg = cell->registry;
    TRY(db_refusing(cell->db, &op->err));
    *from = registry_by_id(reg, op->id);
    if (*from == ORDINAL_NONE) return err_set(&op->err, ST_NOT_FOUND, "the series is gone");
    if (room(op) > wal_payload_max(cell->wal))
        return err_set(&op->err, ST_TOO_LARGE, "labels of %zu bytes", op->identity.len);
    const struct series_entry *entry = registry_entry(reg, *from);
    if (entry->label_version == UINT16_MAX)
        return err_set(&op->err, ST_LIMIT, "the labels of a series change 65,534 times at most");

    struct hash128 hash = hash128(op->identity.ptr, op->identity.len);
    enum value_type type = (enum value_type)entry->type;
    uint32_t other = registry_find(reg, op->identity, hash, type);
    struct slice key = labels_get(op->labels, SLICE_LIT(LABEL_KEY));
    struct slice tenant = labels_get(op->labels, SLICE_LIT(LABEL_TENANT));
    if (other == ORDINAL_NONE && key.len) other = registry_by_key(reg, tenant, key);
    if (other != ORDINAL_NONE && other != *from)
        return err_set(&op->err, ST_EXISTS, "another series has these labels");
    return ST_OK;
}

/* The log first: it has room. */
static void log_change(struct cell *cell, struct relabel_op *op, uint32_t ordinal)
{
    const struct series_entry *entry = registry_entry(cell->registry, ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    struct wal_series series = {.id = entry->id,
                                .place = entry->place,
                                .type = (enum value_type)entry->type,
                                .identity = op->identity,
                                .has_attrs = attrs != NULL};
    if (attrs) series.attrs = *attrs;
    uint8_t *dst = wal_begin(cell->wal, WAL_RELABEL_BYTES + ATTRS_BYTES + op->identity.len);
    ASSERT(dst);
    op->at = wal_end(cell->wal, WAL_RELABEL, WAL_COMMIT, 0,
                     wal_relabel_put(dst, &series, entry->label_version));
    wal_publish(cell->wal);
}

/* False: it must wait. */
static bool change(struct cell *cell, struct relabel_op *op)
{
    struct hash128 hash = hash128(op->identity.ptr, op->identity.len);
    uint32_t from, to;
    status st = admit(cell, op, &from);
    op->at = wal_head(cell->wal);
    if (st == ST_OK && registry_find(cell->registry, op->identity, hash,
                                     (enum value_type)registry_entry(cell->registry, from)->type) ==
                           from) {
        end(cell, op, ST_OK); /* they are its labels already */
        return true;
    }
    if (st == ST_OK && wal_room(cell->wal) < room(op)) return false;
    if (st == ST_OK) {
        uint16_t version = (uint16_t)(registry_entry(cell->registry, from)->label_version + 1);
        st = cell_relabel(cell, &to, from, op->labels, op->identity, hash, version);
    }
    if (st == ST_OK) log_change(cell, op, to);
    end(cell, op, st);
    return true;
}

void relabel_step(struct cell *cell)
{
    while (!list_empty(&cell->relabels)) {
        if (!cell_may_rename(cell)) return;
        if (!write_idle(cell)) write_finish_batch(cell);
        if (!cell_may_rename(cell) || cell->delete_open) return;
        if (!change(cell, container_of(cell->relabels.next, struct relabel_op, link))) return;
    }
}

void relabel_close(struct cell *cell)
{
    while (!list_empty(&cell->relabels)) {
        struct relabel_op *op = container_of(cell->relabels.next, struct relabel_op, link);
        (void)err_set(&op->err, ST_CLOSED, "the database is closing");
        end(cell, op, ST_CLOSED);
    }
}

void db_relabel(struct db *db, struct relabel_op *op)
{
    struct cell *cell = db_cell(db);
    op->st = ST_OK;
    op->err = (struct err){.st = ST_OK};
    op->at = wal_head(cell->wal);
    list_push(&cell->relabels, &op->link);
    if (cell->closing) relabel_close(cell);
    else relabel_step(cell);
}
