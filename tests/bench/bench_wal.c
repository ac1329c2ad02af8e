/* Group commit beside what the disk can do. In a directory of the real file system:
 *
 *     bare        a loop of pwrite of one frame and fdatasync into a preallocated file
 *     wal N       N writers, each with one frame in flight: published together, counted
 *                 when acknowledged (mode append), N = 1, 16, 256
 *     stream      as much as the ring takes, frames of 16 KiB, modes append and off
 *
 * Lines: BENCH wal.append.16.per_s=..., .p50_us, .p99_us. The first argument is the
 * directory (default: the current one); nothing is asserted: the disk decides. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/thread.h"
#include "storage/wal.h"

enum { FRAME = 200, ROUNDS_NS = 1000000000, SAMPLES = 200000 };

static const struct database_id db = {{1}};
static double us[SAMPLES];

static int cmp_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_latency(const char *name, size_t n, int64_t ns)
{
    size_t kept = n < SAMPLES ? n : SAMPLES;
    qsort(us, kept, sizeof(us[0]), cmp_double);
    printf("BENCH wal.%s.per_s=%.0f\n", name, (double)n * 1e9 / (double)ns);
    printf("BENCH wal.%s.p50_us=%.0f\n", name, us[kept / 2]);
    printf("BENCH wal.%s.p99_us=%.0f\n", name, us[kept * 99 / 100]);
}

static void note(size_t i, mono_ns begun)
{
    us[i % SAMPLES] = (double)(clock_mono(clock_system()) - begun) / 1e3;
}

static void bench_bare(struct vfs *vfs)
{
    struct vfs_file *file;
    static uint8_t bytes[FRAME + WAL_HEAD_LEN + WAL_RUN_LEN];
    mono_ns begun = clock_mono(clock_system());
    size_t n = 0;

    ASSERT(vfs_open(vfs, &file, "bare", VFS_TRUNCATE, NULL) == ST_OK);
    ASSERT(vfs_allocate(file, 0, WAL_FILE_DEFAULT, NULL) == ST_OK);
    ASSERT(vfs_sync(file, NULL) == ST_OK);
    begun = clock_mono(clock_system());
    while (clock_mono(clock_system()) - begun < ROUNDS_NS) {
        mono_ns at = clock_mono(clock_system());
        ASSERT(vfs_write(file, n * sizeof(bytes) % (WAL_FILE_DEFAULT - sizeof(bytes)), bytes,
                         sizeof(bytes), NULL) == ST_OK);
        ASSERT(vfs_sync(file, NULL) == ST_OK);
        note(n++, at);
    }
    print_latency("bare_fdatasync", n, clock_mono(clock_system()) - begun);
    vfs_close(file);
    vfs_remove_best_effort(vfs, "bare");
}

static struct wal *open_wal(struct vfs *vfs, enum wal_sync sync)
{
    struct wal_options opt = {.sync = sync, .db = db, .clock = clock_system()};
    struct wal *wal;
    struct err err;

    status st = wal_open(&wal, vfs, &opt, NULL, &err);
    if (st != ST_OK) PANIC("%s", err.text);
    ASSERT(wal_start_thread(wal, NULL) == ST_OK);
    return wal;
}

static void drop_wal(struct vfs *vfs, struct wal *wal)
{
    ASSERT(wal_close(wal, NULL) == ST_OK);
    ASSERT(vfs_remove_tree(vfs, "wal", NULL) == ST_OK);
}

static void put_frame(struct wal *wal, size_t len)
{
    uint8_t *dst = wal_begin(wal, len);
    ASSERT(dst);
    memset(dst, (int)len, len);
    wal_end(wal, WAL_SAMPLES, 0, 0, len);
}

/* Everybody writes again as soon as answered; waiting yields, as a loop would sleep. */
static void bench_writers(struct vfs *vfs, size_t n_writers)
{
    struct wal *wal = open_wal(vfs, WAL_SYNC_APPEND);
    mono_ns begun = clock_mono(clock_system());
    size_t n = 0;
    char name[32];

    while (clock_mono(clock_system()) - begun < ROUNDS_NS) {
        mono_ns at = clock_mono(clock_system());
        for (size_t i = 0; i < n_writers; i++) put_frame(wal, FRAME);
        wal_publish(wal);
        lsn want = wal_head(wal);
        while (wal_acked(wal) < want) usleep(5);
        for (size_t i = 0; i < n_writers; i++) note(n++, at);
        wal_release(wal, want);
    }
    (void)snprintf(name, sizeof(name), "append.%zu", n_writers);
    print_latency(name, n, clock_mono(clock_system()) - begun);
    drop_wal(vfs, wal);
}

static void bench_stream(struct vfs *vfs, enum wal_sync sync, const char *name)
{
    enum { LEN = 16 << 10 };
    struct wal *wal = open_wal(vfs, sync);
    mono_ns begun = clock_mono(clock_system());
    uint64_t n = 0;
    struct wal_stats stats;

    while (clock_mono(clock_system()) - begun < 2 * (int64_t)ROUNDS_NS) {
        while (wal_room(wal) >= 2 * (LEN + WAL_HEAD_LEN + WAL_RUN_LEN)) {
            put_frame(wal, LEN);
            n++;
            if (n % 4 == 0) wal_publish(wal);
        }
        wal_publish(wal);
        wal_release(wal, wal_acked(wal));
        usleep(50);
    }
    while (wal_acked(wal) < wal_head(wal)) usleep(50);
    int64_t ns = clock_mono(clock_system()) - begun;
    wal_stats(wal, &stats);
    printf("BENCH wal.%s.mb_per_s=%.0f\n", name, (double)n * LEN / 1e6 * 1e9 / (double)ns);
    printf("BENCH wal.%s.syncs=%llu\n", name, (unsigned long long)stats.n_syncs);
    printf("BENCH wal.%s.files_recycled=%llu\n", name, (unsigned long long)stats.n_recycled);
    printf("BENCH wal.%s.files_created=%llu\n", name, (unsigned long long)stats.n_created);
    drop_wal(vfs, wal);
}

/* What the owner pays for a frame, without the disk. */
static void bench_owner(void)
{
    enum { N = 200000 };
    struct vfs *mem = vfs_mem_new();
    struct wal_options opt = {
        .sync = WAL_SYNC_OFF, .db = db, .clock = clock_system(), .file_bytes = 16 << 20};
    struct wal *wal;
    int64_t ns = 0;

    ASSERT(wal_open(&wal, mem, &opt, NULL, NULL) == ST_OK);
    for (size_t i = 0; i < N; i += 100) {
        mono_ns begun = clock_mono(clock_system());
        for (size_t k = 0; k < 100; k++) {
            put_frame(wal, FRAME);
            wal_publish(wal);
        }
        ns += clock_mono(clock_system()) - begun;
        wal_release(wal, wal_head(wal));
        while (wal_step(wal)) {
        }
    }
    printf("BENCH wal.owner.ns_per_frame=%.0f\n", (double)ns / N);
    ASSERT(wal_close(wal, NULL) == ST_OK);
    vfs_free(mem);
}

int main(int argc, char **argv)
{
    struct vfs *vfs;
    struct err err;

    status st = vfs_posix_open(&vfs, argc > 1 ? argv[1] : ".", &err);
    if (st != ST_OK) {
        fprintf(stderr, "bench_wal: %s\n", err.text);
        return 1;
    }
    bench_owner();
    bench_bare(vfs);
    bench_writers(vfs, 1);
    bench_writers(vfs, 16);
    bench_writers(vfs, 256);
    bench_stream(vfs, WAL_SYNC_APPEND, "stream_append");
    bench_stream(vfs, WAL_SYNC_OFF, "stream_off");
    vfs_free(vfs);
    return 0;
}
