/* The WAL: opening, closing, and the owner's side. See wal.h; what the WAL thread does
 * is in wal_write.c and wal_files.c.
 *
 * The ring holds frames exactly as they will lie in the file, header included, so that
 * writing is one pwrite. A frame never wraps: when it does not fit before the end of
 * the ring, the rest is skipped (a zero where its magic would be, when a header would
 * fit there). The same is skipped when the thread has kept up and more than the first part
 * of the ring was used: what is never reached takes no memory. The owner and the WAL thread
 * share two positions: head, stored by the owner (release) when frames are complete, and
 * freed, stored by the WAL thread (release) when they are in a file. A frame's type, flags
 * and sequence number are the owner's; its CRC needs the id of the file and is made by the
 * WAL thread in place.
 *
 * Sleep and wake is Dekker's pattern: the thread stores `sleeping`, then loads head;
 * the owner stores head, then loads `sleeping`, all sequentially consistent. One of
 * them sees the other, and the owner takes the mutex only when there is a sleeper.
 *
 * Every opening begins a new file: what a crash left behind the end of an old one can
 * never be mistaken for what is written now.
 */
#include "storage/wal.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "storage/wal_priv.h"

/* ---- opening ---- */

static status find_log(void *ctx, const struct vfs_entry *entry)
{
    bool *found = ctx;
    uint64_t id;
    if (layout_wal_id(&id, entry->name)) *found = true;
    return ST_OK;
}

static status check_no_log(struct vfs *vfs, struct err *err)
{
    bool found = false;

    TRY(vfs_list(vfs, LAYOUT_WAL_DIR, find_log, &found, err));
    return found ? err_set(err, ST_EXISTS, "there is a log that was not replayed") : ST_OK;
}

static void adopt_file(struct wal *wal, const struct wal_found_file *f)
{
    struct wal_file file = {
        .id = f->id, .last = f->last, .bytes = f->bytes, .unsynced = f->last != 0};

    (void)vec_push(&wal->files, file); /* reserved */
    wal_add(&wal->file_live_bytes, f->bytes);
}

/* What replay found becomes the files left behind. Those without frames come first:
 * they may be recycled at once. */
static status adopt_files(struct wal *wal, const struct wal_found *found, struct err *err)
{
    if (!vec_reserve(&wal->files, found->n)) return err_set(err, ST_NO_MEMORY, "WAL files");
    for (size_t i = 0; i < found->n; i++) {
        if (found->files[i].last == 0) adopt_file(wal, &found->files[i]);
    }
    for (size_t i = 0; i < found->n; i++) {
        if (found->files[i].last != 0) adopt_file(wal, &found->files[i]);
    }
    wal->next_id = found->id_max + 1;
    wal->next_seq = found->last + 1;
    return ST_OK;
}

/* A log that ends before what segments cover is an old one or was lost: its frames are
 * covered, and the next sequence number must lie behind the gap. */
static status drop_covered(struct wal *wal, lsn covered, struct err *err)
{
    layout_path path;

    if (covered < wal->next_seq) return ST_OK;
    for (size_t i = 0; i < wal->files.len; i++) {
        layout_wal(path, wal->files.ptr[i].id);
        TRY(vfs_remove(wal->vfs, path, err));
        TRY(vfs_sync_dir(wal->vfs, LAYOUT_WAL_DIR, err)); /* oldest first, also on disk */
    }
    vec_clear(&wal->files);
    atomic_store_explicit(&wal->file_live_bytes, 0, memory_order_relaxed);
    wal->next_seq = covered + 1;
    return ST_OK;
}

static status make_ring(struct wal *wal, size_t buffer_bytes, struct account *account,
                        struct err *err)
{
    size_t cap = buffer_bytes ? buffer_bytes : WAL_BUFFER_DEFAULT;
    if (cap < WAL_BUFFER_MIN) cap = WAL_BUFFER_MIN;
    if (cap > (size_t)1 << 32) return err_set(err, ST_INVALID, "WAL buffer of %zu bytes", cap);
    cap = (size_t)next_pow2(cap);

    if (!account_charge(account, cap)) return err_set(err, ST_NO_MEMORY, "WAL buffer");
    wal->account = account;
    wal->cap = cap;
    uint64_t least = WAL_FILE_HEAD_LEN + WAL_FRAME_OVERHEAD + wal_payload_max(wal) +
                     WAL_MARK_LEN;
    if (wal->file_bytes < least) wal->file_bytes = least;
    /* Any frame fits: a file that was current has frames, and replay counts on it. */
    wal->first_bytes = least > WAL_FIRST_MIN ? least : WAL_FIRST_MIN;
    if (wal->first_bytes > wal->file_bytes) wal->first_bytes = wal->file_bytes;
    wal->ring = mem_try_aligned(4096, cap);
    wal->runs = mem_try_array(WAL_RUNS_MAX, sizeof(wal->runs[0]));
    if (!wal->ring || !wal->runs) return err_set(err, ST_NO_MEMORY, "WAL buffer");
    return ST_OK;
}

static void init_fields(struct wal *wal, struct vfs *vfs, const struct wal_options *opt)
{
    *wal = (struct wal){
        .vfs = vfs,
        .clock = opt->clock,
        .notify = opt->notify,
        .notify_ctx = opt->notify_ctx,
        .db = opt->db,
        .file_bytes = opt->file_bytes ? opt->file_bytes : WAL_FILE_DEFAULT,
        .n_spare_max = opt->n_spare_max ? opt->n_spare_max : 8,
        .frame_max = SIZE_MAX,
        .next_seq = 1,
        .next_id = 1,
    };
    if (wal->file_bytes < WAL_FILE_MIN) wal->file_bytes = WAL_FILE_MIN;
    atomic_store_explicit(&wal->space_ok, true, memory_order_relaxed);
    wal_set_sync(wal, opt->sync, opt->sync_interval_ns);
    mutex_init(&wal->mutex, LOCK_WAL);
    mutex_init(&wal->hold_mutex, LOCK_WAL);
    cond_init(&wal->cond);
}

static void free_wal(struct wal *wal)
{
    vfs_close(wal->file);
    vfs_close(wal->prep.file);
    for (size_t i = 0; i < wal->ready.len; i++) vfs_close(wal->ready.ptr[i].file);
    vec_release(&wal->ready);
    vec_release(&wal->files);
    cond_release(&wal->cond);
    mutex_release(&wal->mutex);
    mutex_release(&wal->hold_mutex);
    if (wal->cap) account_release(wal->account, wal->cap);
    mem_free(wal->ring);
    mem_free(wal->runs);
    mem_free(wal);
}

/* The first file, and the durability of everything that came before it: the barrier on
 * the first frame says so. */
static status begin_first_file(struct wal *wal, struct err *err)
{
    struct wal_ready first;
    lsn last = wal->next_seq - 1;

    wal->session = wal->next_id;
    wal->written = last;
    wal->published = last;
    atomic_store_explicit(&wal->head_seq, last, memory_order_relaxed);
    TRY(wal_sync_files(wal, err));
    TRY(wal_next_file(wal, &first, err));
    wal->file = first.file;
    wal->room = first.room;
    wal->cur = (struct wal_file){.id = first.id};
    wal->off = WAL_FILE_HEAD_LEN;
    atomic_store_explicit(&wal->acked, last, memory_order_relaxed);
    atomic_store_explicit(&wal->count.n_files, wal->files.len + 1, memory_order_relaxed);
    wal->synced_at = wal->wrote_at = clock_mono(wal->clock);
    return ST_OK;
}

status wal_open(struct wal **out, struct vfs *vfs, const struct wal_options *opt,
                const struct wal_replay *replay, struct err *err)
{
    struct wal_found found = {0};
    status st;

    struct wal *wal = mem_try_aligned(WAL_ALIGN, sizeof(*wal));
    if (!wal) return err_set(err, ST_NO_MEMORY, "WAL");
    init_fields(wal, vfs, opt);
    st = make_ring(wal, opt->buffer_bytes, opt->account, err);
    if (st != ST_OK) goto fail;
    st = vfs_mkdir_all(vfs, LAYOUT_WAL_DIR, err);
    if (st != ST_OK) goto fail;

    if (replay) wal_replay_found(replay, &found);
    else st = check_no_log(vfs, err);
    if (st != ST_OK) goto fail;
    st = adopt_files(wal, &found, err);
    if (st != ST_OK) goto fail;
    st = drop_covered(wal, opt->covered, err);
    if (st != ST_OK) goto fail;
    st = begin_first_file(wal, err);
    if (st != ST_OK) goto fail;
    *out = wal;
    return ST_OK;

fail:
    free_wal(wal);
    return err_wrap(err, st, "open the WAL");
}

status wal_close(struct wal *wal, struct err *err)
{
    struct err why = {.st = ST_OK};

    if (!wal) return ST_OK;
    wal_stop(wal);
    status st = wal_failed(wal, &why);
    uint64_t head = atomic_load_explicit(&wal->head, memory_order_acquire);
    if (st == ST_OK) st = wal_write_head(wal, head, &why);
    if (st == ST_OK && wal->taken != head) {
        st = err_set(&why, ST_NO_SPACE, "no room for the last frames");
    }
    if (st == ST_OK) st = wal_sync_files(wal, &why);
    if (st == ST_OK) st = wal_write_mark(wal, WAL_CLEAN, &why);
    if (st == ST_OK) st = wal_sync_files(wal, &why);
    free_wal(wal);
    return st == ST_OK ? ST_OK : err_set(err, st, "close the WAL: %s", err_text(&why, st));
}

/* ---- the owner's side ---- */

size_t wal_payload_max(const struct wal *wal)
{
    size_t third = wal->cap / 3 - WAL_FRAME_OVERHEAD;
    size_t most = (size_t)WAL_PAYLOAD_MAX - WAL_RUN_LEN;
    return third < most ? third : most;
}

size_t wal_room(const struct wal *wal)
{
    uint64_t freed = atomic_load_explicit(&wal->freed, memory_order_acquire);
    return wal->cap - (size_t)(wal->build - freed);
}

/* Whether the ring is empty and so far used that its start is better: the memory there is
 * held already. Until the skip is freed there is room for as much as was used before. */
static bool may_begin_again(const struct wal *wal, size_t idx, size_t need)
{
    return idx >= WAL_RING_WARM && idx >= wal->cap / 8 && need <= idx &&
           wal_room(wal) == wal->cap;
}

uint8_t *wal_begin(struct wal *wal, size_t max_len)
{
    if (max_len > wal_payload_max(wal)) return NULL;

    size_t need = WAL_FRAME_OVERHEAD + max_len;
    size_t idx = (size_t)(wal->build & (wal->cap - 1)), rest = wal->cap - idx;
    size_t skip = need > rest || may_begin_again(wal, idx, need) ? rest : 0;
    if (skip + need > wal_room(wal)) return NULL;

    wal->frame = wal->build + skip;
    wal->frame_max = max_len;
    return wal->ring + ((wal->frame & (wal->cap - 1)) + WAL_FRAME_OVERHEAD);
}

/* Keeps the list of open runs and says whether this frame begins one. */
static bool note_run(struct wal *wal, uint64_t run, bool commit)
{
    size_t i = wal->n_runs;
    while (i > 0 && wal->runs[i - 1] != run) i--;

    bool first = i == 0;
    if (first && commit) return true;
    if (first) {
        ASSERT(wal->n_runs < WAL_RUNS_MAX);
        wal->runs[wal->n_runs++] = run;
    } else if (commit) {
        wal->runs[i - 1] = wal->runs[--wal->n_runs];
    }
    return first;
}

lsn wal_end(struct wal *wal, enum wal_type type, unsigned flags, uint64_t run, size_t len)
{
    ASSERT(wal->frame_max != SIZE_MAX && len <= wal->frame_max);
    ASSERT((flags & ~(unsigned)WAL_COMMIT) == 0);
    ASSERT(type >= WAL_SERIES && type <= WAL_TYPE_MAX);

    if (wal->frame != wal->build) { /* a skip: its mark, when there is room for one */
        size_t idx = (size_t)(wal->build & (wal->cap - 1));
        if (wal->cap - idx >= WAL_HEAD_LEN) store_u32(wal->ring + idx, 0);
        wal->gap = wal->build;
        wal->gap_len = wal->frame - wal->build;
    }
    if (run != 0 && note_run(wal, run, flags & WAL_COMMIT)) flags |= WAL_FIRST;

    uint8_t *dst = wal->ring + (wal->frame & (wal->cap - 1));
    wal_frame_head(dst, type, flags, wal->next_seq, (uint32_t)(WAL_RUN_LEN + len));
    store_u64(dst + WAL_HEAD_LEN, run);
    wal->build = wal->frame + WAL_FRAME_OVERHEAD + len;
    wal->frame_max = SIZE_MAX;
    return wal->next_seq++;
}

static void wake(struct wal *wal)
{
    if (!atomic_load(&wal->sleeping)) return;
    mutex_lock(&wal->mutex);
    cond_signal(&wal->cond);
    mutex_unlock(&wal->mutex);
}

void wal_publish(struct wal *wal)
{
    if (wal->published + 1 == wal->next_seq) return;
    wal->published = wal->next_seq - 1;
    atomic_store_explicit(&wal->head_seq, wal->published, memory_order_relaxed);
    atomic_store(&wal->head, wal->build); /* seq_cst: before the load of sleeping */
    wake(wal);
}

lsn wal_head(const struct wal *wal)
{
    return wal->published;
}

static void poke(struct wal *wal)
{
    atomic_store(&wal->poked, true);
    wake(wal);
}

void wal_release(struct wal *wal, lsn seq)
{
    if (seq <= atomic_load_explicit(&wal->released, memory_order_relaxed)) return;
    atomic_store_explicit(&wal->released, seq, memory_order_release);
    poke(wal);
}

void wal_set_sync(struct wal *wal, enum wal_sync sync, int64_t interval_ns)
{
    if (interval_ns <= 0) interval_ns = 1000000000;
    atomic_store_explicit(&wal->sync_interval_ns, interval_ns, memory_order_relaxed);
    atomic_store_explicit(&wal->sync_mode, (int)sync, memory_order_relaxed);
    poke(wal);
}

/* ---- any thread ---- */

lsn wal_acked(const struct wal *wal)
{
    return atomic_load_explicit(&wal->acked, memory_order_acquire);
}

lsn wal_synced(const struct wal *wal)
{
    return atomic_load_explicit(&wal->synced, memory_order_acquire);
}

status wal_failed(const struct wal *wal, struct err *err)
{
    status st = (status)atomic_load_explicit(&wal->failed, memory_order_acquire);
    if (st != ST_OK && err) *err = wal->err;
    return st;
}

bool wal_space_ok(const struct wal *wal)
{
    return atomic_load_explicit(&wal->space_ok, memory_order_relaxed);
}

static uint64_t ring_bytes(const struct wal *wal)
{
    uint64_t freed = atomic_load_explicit(&wal->freed, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&wal->head, memory_order_relaxed);
    bool with_gap = freed <= wal->gap && wal->gap + wal->gap_len <= head;
    return head - freed - (with_gap ? wal->gap_len : 0);
}

uint64_t wal_bytes(const struct wal *wal)
{
    return atomic_load_explicit(&wal->file_live_bytes, memory_order_relaxed) + ring_bytes(wal);
}

void wal_stats(const struct wal *wal, struct wal_stats *out)
{
    const struct wal_counters *c = &wal->count;
#define LOAD(field) .field = atomic_load_explicit(&c->field, memory_order_relaxed)
    *out = (struct wal_stats){
        LOAD(n_frames),
        LOAD(n_bytes),
        LOAD(n_writes),
        LOAD(n_syncs),
        LOAD(sync_ns),
        LOAD(sync_ns_max),
        LOAD(n_rotations),
        LOAD(n_created),
        LOAD(n_recycled),
        LOAD(n_removed),
        LOAD(n_files),
        LOAD(n_errors),
        .live_bytes = wal_bytes(wal),
        .buffered_bytes = ring_bytes(wal),
    };
#undef LOAD
}

void wal_hold(struct wal *wal)
{
    mutex_lock(&wal->hold_mutex);
    wal->n_holds++;
    mutex_unlock(&wal->hold_mutex);
}

void wal_unhold(struct wal *wal)
{
    mutex_lock(&wal->hold_mutex);
    ASSERT(wal->n_holds > 0);
    wal->n_holds--;
    mutex_unlock(&wal->hold_mutex);
    poke(wal);
}

void wal_want_sync(struct wal *wal)
{
    lsn seq = atomic_load_explicit(&wal->head_seq, memory_order_acquire);
    lsn seen = atomic_load_explicit(&wal->want_sync, memory_order_relaxed);
    while (seen < seq && !atomic_compare_exchange_weak(&wal->want_sync, &seen, seq)) {
    }
    poke(wal);
}

/* ---- the thread ---- */

/* True when the thread should look again at once. */
static bool has_news(struct wal *wal)
{
    return atomic_load(&wal->stop) || atomic_load(&wal->poked) ||
           (atomic_load(&wal->head) != wal->taken && !wal->stalled &&
            atomic_load_explicit(&wal->failed, memory_order_relaxed) == ST_OK);
}

static void sleep_until_news(struct wal *wal)
{
    int64_t wait_ns = wal_wait_ns(wal);
    mono_ns deadline = wait_ns < 0 ? 0 : clock_mono(clock_system()) + wait_ns;

    if (wait_ns == 0) return;
    mutex_lock(&wal->mutex);
    atomic_store(&wal->sleeping, true);
    while (!has_news(wal)) {
        if (wait_ns < 0) cond_wait(&wal->cond, &wal->mutex);
        else if (!cond_wait_until(&wal->cond, &wal->mutex, deadline)) break;
    }
    atomic_store(&wal->sleeping, false);
    mutex_unlock(&wal->mutex);
}

static void wal_main(void *ctx)
{
    struct wal *wal = ctx;

    while (!atomic_load(&wal->stop)) {
        if (!wal_step(wal)) sleep_until_news(wal);
    }
}

status wal_start_thread(struct wal *wal, struct err *err)
{
    ASSERT(!wal->thread.started);
    atomic_store(&wal->stop, false);
    wal->paced = true;
    return thread_start(&wal->thread, "wal", wal_main, wal, err);
}

void wal_stop(struct wal *wal)
{
    if (!wal->thread.started) return;
    mutex_lock(&wal->mutex);
    atomic_store(&wal->stop, true);
    cond_signal(&wal->cond);
    mutex_unlock(&wal->mutex);
    thread_join(&wal->thread);
    wal->paced = false;
}
