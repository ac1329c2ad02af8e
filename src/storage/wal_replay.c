/* Replay of the WAL. See wal_replay.h for what counts; docs/formats/wal.md.
 *
 * One walk over all files in order of id checks every frame and cuts the log into
 * extents: stretches of valid frames with consecutive sequence numbers. Within a file
 * a chain ends at the first bytes that are no frame (or not the expected one). Then:
 *
 *   the next file begins with the expected number -> a normal end of file
 *   nothing behind proves that a sync passed      -> a torn tail: the log ends here
 *   a barrier, or a file of a later session, does -> damage: refuse, or skip to the
 *                                                    next valid frame
 *
 * The proof is needed because a power cut may keep the end of an unsynced write
 * without its beginning (see wal_write.c). What was never synced was never
 * acknowledged in mode append; in the other modes it is the loss that they allow.
 *
 * A torn tail is cut off the file (truncated, synced), and later files that hold only
 * frames behind the cut are put aside, so that the next replay meets a log that simply
 * ends and nothing stale can be taken for new.
 *
 * Runs are settled in the same walk: instances are numbered in order of their FIRST
 * frames, and what decides is kept per instance. wal_replay_each() repeats the walk
 * over the extents, without checksums, and meets the same instances.
 */
#include "storage/wal_replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "storage/quarantine.h"
#include "storage/wal_priv.h"

enum {
    FILES_MAX = 1 << 20,        /* more is no log of ours */
    SCAN_WINDOW = 64 << 10,
    SCAN_COST = 8,              /* bytes checksummed in search of a frame, per byte of file */
};

struct replay_file {
    uint64_t id;
    struct vfs_map map;
    uint64_t session;      /* 0: the header is damaged */
    lsn first, last;       /* valid frames in the log; first 0: none */
    uint64_t bytes;        /* of frames in the log */
    size_t end;            /* end of the last valid frame */
    bool clean;            /* ends with a clean mark */
    bool aside;            /* copied to quarantine */
    bool gone;             /* moved to quarantine */
};

/* Valid frames side by side in one file. */
struct extent {
    size_t file;
    size_t from, to;
    bool new_runs;         /* runs open before are lost here */
};

struct open_run {
    uint64_t id;
    uint32_t instance;
};

struct run_set {
    VEC(struct open_run) open;
    uint32_t n_instances;
};

struct run_end {
    bool committed;
    uint32_t n_frames;
};

struct wal_replay {
    struct vfs *vfs;
    struct wal_replay_options opt;
    VEC(struct replay_file) files;
    VEC(struct extent) extents;
    VEC(struct run_end) ends;      /* by instance */
    VEC(struct wal_found_file) found;
    uint64_t id_max;
    lsn last;
    bool begun;                    /* there is a frame somewhere */
    struct wal_replay_stats stats;
};

/* A place in the walk. */
struct walk {
    struct wal_replay *replay;
    struct run_set runs;
    size_t file;
    size_t off;
    lsn expect;            /* 0: any, nothing seen yet */
    uint64_t session;
    bool new_runs;
};

/* ---- files ---- */

static status add_file(void *ctx, const struct vfs_entry *entry)
{
    struct wal_replay *replay = ctx;
    struct replay_file file = {0};

    if (entry->is_dir || !layout_wal_id(&file.id, entry->name)) return ST_OK;
    if (replay->files.len >= FILES_MAX) return ST_LIMIT;
    return vec_push(&replay->files, file) ? ST_OK : ST_NO_MEMORY;
}

static int cmp_file(const void *a, const void *b)
{
    uint64_t x = ((const struct replay_file *)a)->id, y = ((const struct replay_file *)b)->id;
    return x < y ? -1 : x > y;
}

static status map_file(struct wal_replay *replay, struct replay_file *f, struct err *err)
{
    struct vfs_file *file;
    layout_path path;

    layout_wal(path, f->id);
    TRY(vfs_open(replay->vfs, &file, path, VFS_READ, err));
    status st = vfs_map(file, &f->map, err);
    vfs_close(file);
    return st;
}

static status put_aside(struct wal_replay *replay, struct replay_file *f, const char *reason,
                        struct err *err)
{
    layout_path path;

    if (f->aside || replay->opt.read_only) return ST_OK;
    layout_wal(path, f->id);
    TRY(quarantine_copy(NULL, replay->vfs, path, reason, err));
    f->aside = true;
    replay->stats.n_files_aside++;
    return ST_OK;
}

/* The name says which file it is; a header that disagrees is damage. */
static status check_head(struct wal_replay *replay, struct replay_file *f, struct err *err)
{
    struct wal_file_head head;
    struct err why = {.st = ST_OK};

    status st = wal_file_head_get(&head, f->map.ptr, f->map.len, &why);
    if (st == ST_OK && memcmp(&head.db, &replay->opt.db, sizeof(head.db)) != 0) {
        return err_set(err, ST_CORRUPT, "belongs to another database");
    }
    if (st == ST_OK && head.file_id != f->id) {
        st = err_set(&why, ST_CORRUPT, "the header says it is file %016llx",
                     (unsigned long long)head.file_id);
    }
    if (st == ST_OK) {
        f->session = head.session;
        return ST_OK;
    }
    if (st == ST_UNSUPPORTED || replay->opt.mode == WAL_REPLAY_STRICT) {
        return err_set(err, st, "offset 0: %s", err_text(&why, st));
    }
    replay->stats.n_damaged++;
    return put_aside(replay, f, err_text(&why, st), err);
}

static status load_files(struct wal_replay *replay, struct err *err)
{
    layout_path path;

    status st = vfs_list(replay->vfs, LAYOUT_WAL_DIR, add_file, replay, err);
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st != ST_OK) return st;
    if (replay->files.len == 0) return ST_OK;
    qsort(replay->files.ptr, replay->files.len, sizeof(replay->files.ptr[0]), cmp_file);
    for (size_t i = 0; i < replay->files.len; i++) {
        struct replay_file *f = &replay->files.ptr[i];
        replay->id_max = f->id;
        st = map_file(replay, f, err);
        if (st == ST_OK) st = check_head(replay, f, err);
        if (st != ST_OK) {
            layout_wal(path, f->id);
            return err_wrap(err, st, "%s", path);
        }
    }
    return ST_OK;
}

/* ---- runs ---- */

static struct open_run *find_run(const struct run_set *runs, uint64_t id)
{
    for (size_t i = runs->open.len; i > 0; i--) {
        if (runs->open.ptr[i - 1].id == id) return &runs->open.ptr[i - 1];
    }
    return NULL;
}

enum { RUN_ALONE = UINT32_MAX, RUN_LOST = UINT32_MAX - 1 };

/* Which instance a frame belongs to; updates the open runs. ST_CORRUPT when there are
 * more of them than any writer can have. */
static status follow_run(uint32_t *instance, struct run_set *runs, const struct wal_frame *frame)
{
    *instance = RUN_ALONE;
    if (frame->run == 0) return ST_OK;

    struct open_run *run = find_run(runs, frame->run);
    if (frame->flags & WAL_FIRST) {
        uint32_t next = runs->n_instances++;
        if (next >= RUN_LOST) return ST_CORRUPT;
        if (run) run->instance = next; /* a crash left the older one unfinished */
        else {
            if (runs->open.len >= WAL_RUNS_MAX) return ST_CORRUPT;
            if (!vec_push(&runs->open, (struct open_run){frame->run, next})) return ST_NO_MEMORY;
            run = &runs->open.ptr[runs->open.len - 1];
        }
    }
    if (!run) {
        *instance = RUN_LOST; /* its beginning is lost */
        return ST_OK;
    }
    *instance = run->instance;
    if (frame->flags & WAL_COMMIT) *run = runs->open.ptr[--runs->open.len];
    return ST_OK;
}

static status settle_run(struct walk *w, const struct wal_frame *frame)
{
    struct wal_replay *replay = w->replay;
    uint32_t instance;

    TRY(follow_run(&instance, &w->runs, frame));
    if (instance == RUN_ALONE) return ST_OK;
    if (instance == RUN_LOST) {
        replay->stats.n_frames_dropped++;
        return ST_OK;
    }
    if (instance == replay->ends.len) {
        if (!vec_push(&replay->ends, (struct run_end){0})) return ST_NO_MEMORY;
    }
    ASSERT(instance < replay->ends.len);
    struct run_end *end = &replay->ends.ptr[instance];
    end->n_frames++;
    if (frame->flags & WAL_COMMIT) end->committed = true;
    return ST_OK;
}

/* ---- the walk ---- */

static const char *parse_at(const struct replay_file *f, size_t off, struct wal_frame *frame,
                            size_t *len)
{
    if (off >= f->map.len) return "the file ends";
    return wal_frame_parse(frame, len, f->id, f->map.ptr + off, f->map.len - off);
}

/* The sequence number that a mark or frame continues from. */
static lsn seq_before(const struct wal_frame *frame)
{
    return frame->type == WAL_MARK ? frame->seq : frame->seq - 1;
}

static status start_extent(struct walk *w)
{
    struct extent ext = {
        .file = w->file, .from = w->off, .to = w->off, .new_runs = w->new_runs};

    if (w->new_runs) vec_clear(&w->runs.open);
    w->new_runs = false;
    return vec_push(&w->replay->extents, ext) ? ST_OK : ST_NO_MEMORY;
}

static status take_frame(struct walk *w, const struct wal_frame *frame, size_t len)
{
    struct wal_replay *replay = w->replay;
    struct replay_file *f = &replay->files.ptr[w->file];

    w->off += len;
    replay->extents.ptr[replay->extents.len - 1].to = w->off;
    f->end = w->off;
    f->clean = frame->type == WAL_MARK && (frame->flags & WAL_CLEAN);
    if (frame->type == WAL_MARK) {
        if (w->expect == 0) w->expect = frame->seq + 1;
        if (frame->seq > replay->last) replay->last = frame->seq;
        return ST_OK;
    }
    if (f->first == 0) f->first = frame->seq;
    f->last = replay->last = frame->seq;
    f->bytes += len;
    w->expect = frame->seq + 1;
    replay->stats.n_frames++;
    replay->stats.n_bytes += len;
    return settle_run(w, frame);
}

/* Follows the chain from w->off to its end; *reason says why it ends. */
static status follow_chain(struct walk *w, const char **reason, struct err *err)
{
    const struct replay_file *f = &w->replay->files.ptr[w->file];
    struct wal_frame frame;
    size_t len;

    TRY(start_extent(w));
    for (;;) {
        *reason = parse_at(f, w->off, &frame, &len);
        if (*reason) return ST_OK;
        if (frame.type != WAL_MARK && (frame.type < WAL_SERIES || frame.type > WAL_TYPE_MAX)) {
            return err_set(err, ST_UNSUPPORTED, "frame %llu at offset %zu has unknown type %d",
                           (unsigned long long)frame.seq, w->off, (int)frame.type);
        }
        if (w->expect != 0 && seq_before(&frame) + 1 != w->expect) {
            *reason = "the sequence numbers do not continue";
            return ST_OK;
        }
        status st = take_frame(w, &frame, len);
        if (st != ST_OK) {
            return err_set(err, st, "frame %llu at offset %zu: open runs",
                           (unsigned long long)frame.seq, w->off - len);
        }
    }
}

/* ---- behind the end of a chain ---- */

/* A valid frame somewhere behind, and what was learned on the way to it. */
struct behind {
    bool found;
    size_t file, off;       /* of the first one */
    lsn seq;
    bool proof;             /* something behind proves that the gap had been synced */
    uint64_t n_frames;
    bool gave_up;           /* too much that looks like frames and is none */
};

static bool is_proof(const struct wal_frame *frame, lsn expect)
{
    if (!(frame->flags & WAL_BARRIER)) return false;
    return frame->type == WAL_MARK ? frame->seq >= expect : frame->seq > expect;
}

static void note_behind(struct behind *b, size_t file, size_t off, const struct wal_frame *frame,
                        lsn expect)
{
    if (is_proof(frame, expect)) b->proof = true;
    if (frame->type == WAL_MARK) return;
    b->n_frames++;
    if (b->found) return;
    b->found = true;
    b->file = file;
    b->off = off;
    b->seq = frame->seq;
}

/* The next place at or behind off where a frame may begin, or NULL. What is searched is
 * mostly room that was never written: memchr() crosses zeros ten times as fast as memmem(). */
static const uint8_t *find_magic(const struct replay_file *f, size_t off)
{
    static const char magic[4] = {'T', 'S', 'F', 'R'};
    const uint8_t *at = f->map.ptr + off, *end = f->map.ptr + f->map.len;

    while ((size_t)(end - at) >= sizeof(magic)) {
        /* In windows, because tools that check memory look at all that memchr() is given,
         * however soon it ends. */
        size_t most = (size_t)(end - at) - (sizeof(magic) - 1), len = SCAN_WINDOW;
        const uint8_t *hit = memchr(at, magic[0], most < len ? most : len);
        if (hit && memcmp(hit, magic, sizeof(magic)) == 0) return hit;
        at = hit ? hit + 1 : at + (most < len ? most : len);
    }
    return NULL;
}

/* Searches [off, end of file) for valid frames that follow `expect`. Each byte that is
 * checksummed in vain is paid from a budget, so hostile bytes cannot hold us up. */
static void search_file(const struct wal_replay *replay, size_t file, size_t off, lsn expect,
                        struct behind *b)
{
    const struct replay_file *f = &replay->files.ptr[file];
    uint64_t budget = (uint64_t)f->map.len * SCAN_COST + ((uint64_t)64 << 10);
    struct wal_frame frame;
    size_t len;

    while (off < f->map.len) {
        const uint8_t *at = find_magic(f, off);
        if (!at) return;
        off = (size_t)(at - f->map.ptr);
        if (f->map.len - off < WAL_HEAD_LEN) return;
        lsn seq = load_u64(at + WAL_OFF_SEQ);
        size_t cost = (size_t)load_u32(at + WAL_OFF_LEN);
        if (seq < expect && !(at[WAL_OFF_TYPE] == WAL_MARK && seq + 1 == expect)) {
            off++;
            continue;
        }
        if (cost <= f->map.len - off) {
            if (cost > budget) {
                b->gave_up = true;
                return;
            }
            budget -= cost;
        }
        if (!parse_at(f, off, &frame, &len)) {
            note_behind(b, file, off, &frame, expect);
            off += len;
        } else {
            off++;
        }
    }
}

/* Whether there is a valid frame anywhere in the file. */
static bool holds_frame(const struct wal_replay *replay, size_t file)
{
    struct behind b = {0};
    struct wal_frame frame;
    size_t len;

    if (!parse_at(&replay->files.ptr[file], WAL_FILE_HEAD_LEN, &frame, &len)) return true;
    search_file(replay, file, WAL_FILE_HEAD_LEN, 0, &b);
    return b.found || b.gave_up;
}

/* What lies behind the end of the chain at w. Later files count by their first frame
 * (they were written only after this one was full) and the next one by all of them. The
 * first frame of another session is proof without a barrier: before that session wrote
 * it, all that it had found was made durable. Its later frames are not: the power may
 * have taken its own first ones and left them. */
static void look_behind(const struct walk *w, struct behind *b)
{
    const struct wal_replay *replay = w->replay;

    *b = (struct behind){0};
    if (!replay->files.ptr[w->file].clean) search_file(replay, w->file, w->off, w->expect, b);
    for (size_t i = w->file + 1; i < replay->files.len; i++) {
        const struct replay_file *f = &replay->files.ptr[i];
        struct wal_frame frame;
        size_t len;
        bool begins = !parse_at(f, WAL_FILE_HEAD_LEN, &frame, &len) && frame.seq >= w->expect;
        if (i == w->file + 1) search_file(replay, i, WAL_FILE_HEAD_LEN, w->expect, b);
        else if (begins) note_behind(b, i, WAL_FILE_HEAD_LEN, &frame, w->expect);
        if (begins && f->id == f->session && f->session != replay->files.ptr[w->file].session)
            b->proof = true;
    }
}

/* Whether a later file begins with the frame that the chain at w expects. */
static bool find_next_file(const struct walk *w, size_t *file)
{
    const struct wal_replay *replay = w->replay;

    for (size_t i = w->file + 1; i < replay->files.len; i++) {
        struct wal_frame frame;
        size_t len;
        if (parse_at(&replay->files.ptr[i], WAL_FILE_HEAD_LEN, &frame, &len)) continue;
        if (seq_before(&frame) + 1 != w->expect) continue;
        *file = i;
        return true;
    }
    return false;
}

/* Bytes at the end of the chain that can only be a frame that was being written. */
static bool looks_torn(const struct walk *w)
{
    const struct replay_file *f = &w->replay->files.ptr[w->file];

    if (w->off >= f->map.len || f->map.len - w->off < WAL_HEAD_LEN) return false;
    const uint8_t *at = f->map.ptr + w->off;
    return load_u32(at + WAL_OFF_MAGIC) == WAL_MAGIC && load_u64(at + WAL_OFF_SEQ) == w->expect;
}

static status report_damage(struct walk *w, const char *reason, const struct behind *b,
                            struct err *err)
{
    layout_path path;

    layout_wal(path, w->replay->files.ptr[w->file].id);
    return err_set(err, ST_CORRUPT,
                   "%s: offset %zu: %s, and %llu valid frames follow (%llu to %llu are lost)",
                   path, w->off, reason, (unsigned long long)b->n_frames,
                   (unsigned long long)w->expect, (unsigned long long)b->seq - 1);
}

static void enter_file(struct walk *w, size_t file, size_t off)
{
    const struct replay_file *f = &w->replay->files.ptr[file];

    if (f->session != w->session) w->new_runs = true;
    w->session = f->session;
    w->file = file;
    w->off = off;
}

/* The chain at w has ended and no file continues it. Sets *done at the end of the log;
 * otherwise w is at the next frame to take. */
static status end_chain(struct walk *w, const char *reason, bool *done, struct err *err)
{
    struct wal_replay *replay = w->replay;
    struct behind b;

    look_behind(w, &b);
    bool proof = b.proof || (b.gave_up && !b.found);
    if (!b.found || !proof) {
        *done = true;
        if (!proof) {
            replay->stats.n_torn = b.found || looks_torn(w);
            replay->stats.n_torn_frames = b.n_frames;
            return ST_OK;
        }
    }
    bool covered = b.found && b.seq - 1 <= replay->opt.covered;
    if (!covered && replay->opt.mode == WAL_REPLAY_STRICT) {
        return report_damage(w, reason, &b, err);
    }
    if (!covered) {
        replay->stats.n_damaged++;
        TRY(put_aside(replay, &replay->files.ptr[w->file], reason, err));
    }
    if (*done) return ST_OK;
    w->expect = b.seq;
    enter_file(w, b.file, b.off);
    w->new_runs = true;
    return ST_OK;
}

/* Where the log begins: the first file that holds a frame, wherever in it, or an earlier
 * one of the same session: files of a session are used in order of id, so that one must
 * have had frames too and has lost them all. */
static bool find_first_file(const struct wal_replay *replay, size_t *file)
{
    const struct replay_file *files = replay->files.ptr;
    size_t first = 0;

    while (first < replay->files.len && !holds_frame(replay, first)) first++;
    if (first == replay->files.len) return false;
    for (size_t i = first; i > 0; i--) {
        if (files[i - 1].session == files[first].session && files[first].session != 0) {
            first = i - 1;
        }
    }
    *file = first;
    return true;
}

/* The log begins no later than where the segments end. */
static status check_begin(struct walk *w, struct err *err)
{
    struct wal_replay *replay = w->replay;
    struct replay_file *f = &replay->files.ptr[w->file];
    struct wal_frame frame;
    size_t len;
    lsn covered = replay->opt.covered;
    layout_path path;

    if (covered == 0 || parse_at(f, w->off, &frame, &len)) return ST_OK;
    if (seq_before(&frame) <= covered) return ST_OK;
    if (replay->opt.mode == WAL_REPLAY_SALVAGE) {
        replay->stats.n_damaged++;
        return ST_OK;
    }
    layout_wal(path, f->id);
    return err_set(err, ST_CORRUPT, "%s: offset %zu: begins with frame %llu, but %llu is missing",
                   path, w->off, (unsigned long long)frame.seq, (unsigned long long)covered + 1);
}

static status walk_log(struct walk *w, struct err *err)
{
    struct wal_replay *replay = w->replay;
    const char *reason;
    size_t next;
    bool done = false;

    if (!find_first_file(replay, &next)) return ST_OK;
    replay->begun = true;
    enter_file(w, next, WAL_FILE_HEAD_LEN);
    replay->files.ptr[next].end = w->off;
    TRY(check_begin(w, err));
    while (!done) {
        TRY(follow_chain(w, &reason, err));
        bool at_begin = w->expect == 0; /* the first frame of all is bad */
        if (!at_begin && find_next_file(w, &next)) enter_file(w, next, WAL_FILE_HEAD_LEN);
        else TRY(end_chain(w, reason, &done, err));
    }
    return ST_OK;
}

/* ---- cutting ---- */

static status cut_file(struct wal_replay *replay, struct replay_file *f, struct err *err)
{
    struct vfs_file *file;
    layout_path path;

    layout_wal(path, f->id);
    TRY(vfs_open(replay->vfs, &file, path, VFS_WRITE, err));
    status st = vfs_truncate(file, f->end, err);
    if (st == ST_OK) st = vfs_sync(file, err);
    vfs_close(file);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "cut %s at %zu", path, f->end);
}

static status move_aside(struct wal_replay *replay, struct replay_file *f, struct err *err)
{
    layout_path path;

    layout_wal(path, f->id);
    TRY(quarantine_move(NULL, replay->vfs, path, "frames behind a torn tail", err));
    f->gone = true;
    replay->stats.n_files_aside++;
    return ST_OK;
}

/* Makes the end of the log the end on disk too. last_file is where the walk ended. */
static status cut_tail(struct wal_replay *replay, size_t last_file, struct err *err)
{
    struct replay_file *f = &replay->files.ptr[last_file];

    if (!f->clean && f->end < f->map.len) {
        replay->stats.torn_bytes = replay->stats.n_torn ? f->map.len - f->end : 0;
        if (!replay->opt.read_only) TRY(cut_file(replay, f, err));
    }
    /* Nothing is written behind a clean end. Otherwise any part of a later file may be
     * there without its beginning, and would be a contradiction at the next start. */
    for (size_t i = last_file + 1; i < replay->files.len && !f->clean; i++) {
        if (!holds_frame(replay, i) || replay->opt.read_only) continue;
        TRY(move_aside(replay, &replay->files.ptr[i], err));
    }
    return ST_OK;
}

/* ---- the whole ---- */

static status list_found(struct wal_replay *replay, struct err *err)
{
    for (size_t i = 0; i < replay->files.len; i++) {
        const struct replay_file *f = &replay->files.ptr[i];
        if (f->gone) continue;
        if (f->last) replay->stats.n_files++;
        struct wal_found_file found = {.id = f->id, .last = f->last, .bytes = f->bytes};
        if (!vec_push(&replay->found, found)) return err_set(err, ST_NO_MEMORY, "WAL files");
    }
    return ST_OK;
}

static void count_runs(struct wal_replay *replay)
{
    for (size_t i = 0; i < replay->ends.len; i++) {
        if (replay->ends.ptr[i].committed) continue;
        replay->stats.n_runs_dropped++;
        replay->stats.n_frames_dropped += replay->ends.ptr[i].n_frames;
    }
}

status wal_replay_open(struct wal_replay **out, struct vfs *vfs,
                       const struct wal_replay_options *opt, struct err *err)
{
    struct wal_replay *replay = mem_zalloc(sizeof(*replay));
    struct walk w = {.replay = replay};
    status st;

    replay->vfs = vfs;
    replay->opt = *opt;
    st = load_files(replay, err);
    if (st == ST_OK) st = walk_log(&w, err);
    if (st == ST_OK && replay->begun) st = cut_tail(replay, w.file, err);
    if (st == ST_OK) st = list_found(replay, err);
    vec_release(&w.runs.open);
    if (st != ST_OK) {
        wal_replay_close(replay);
        return err_wrap(err, st, "replay of the WAL");
    }
    count_runs(replay);
    *out = replay;
    return ST_OK;
}

void wal_replay_close(struct wal_replay *replay)
{
    if (!replay) return;
    for (size_t i = 0; i < replay->files.len; i++) vfs_unmap(&replay->files.ptr[i].map);
    vec_release(&replay->files);
    vec_release(&replay->extents);
    vec_release(&replay->ends);
    vec_release(&replay->found);
    mem_free(replay);
}

/* The frame at src, which the walk has checked. */
static size_t read_frame(struct wal_frame *out, const uint8_t *src)
{
    uint32_t len = load_u32(src + WAL_OFF_LEN);

    *out = (struct wal_frame){
        .type = (enum wal_type)src[WAL_OFF_TYPE],
        .flags = src[WAL_OFF_FLAGS],
        .seq = load_u64(src + WAL_OFF_SEQ),
        .run = load_u64(src + WAL_HEAD_LEN),
        .payload = slice_of(src + WAL_HEAD_LEN + WAL_RUN_LEN, len - WAL_RUN_LEN),
    };
    return WAL_HEAD_LEN + (size_t)len;
}

static status each_in_extent(const struct wal_replay *replay, const struct extent *ext,
                             struct run_set *runs,
                             status (*each)(void *ctx, const struct wal_frame *frame), void *ctx)
{
    const uint8_t *base = replay->files.ptr[ext->file].map.ptr;
    uint32_t instance;

    if (ext->new_runs) vec_clear(&runs->open);
    for (size_t off = ext->from; off < ext->to;) {
        struct wal_frame frame;
        off += read_frame(&frame, base + off);
        if (frame.type == WAL_MARK) continue;
        TRY(follow_run(&instance, runs, &frame));
        if (instance == RUN_LOST) continue;
        if (instance != RUN_ALONE && !replay->ends.ptr[instance].committed) continue;
        TRY(each(ctx, &frame));
    }
    return ST_OK;
}

status wal_replay_each(const struct wal_replay *replay,
                       status (*each)(void *ctx, const struct wal_frame *frame), void *ctx)
{
    struct run_set runs = {0};
    status st = ST_OK;

    for (size_t i = 0; i < replay->extents.len && st == ST_OK; i++) {
        st = each_in_extent(replay, &replay->extents.ptr[i], &runs, each, ctx);
    }
    vec_release(&runs.open);
    return st;
}

lsn wal_replay_last(const struct wal_replay *replay)
{
    return replay->last;
}

void wal_replay_stats(const struct wal_replay *replay, struct wal_replay_stats *out)
{
    *out = replay->stats;
}

void wal_replay_found(const struct wal_replay *replay, struct wal_found *out)
{
    *out = (struct wal_found){.files = replay->found.ptr,
                              .n = replay->found.len,
                              .id_max = replay->id_max,
                              .last = replay->last};
}
