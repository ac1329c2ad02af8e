/* tsink-check verify and info: what is wrong with a directory, and what it holds. With
 * --json one object a line: findings, notes, repairs, and a summary at the end. */
#include <stdio.h>
#include <string.h>

#include "base/json_write.h"
#include "engine/repair.h"
#include "storage/dirlock.h"
#include "utils/tsink-check/check.h"

struct line {
    struct strbuf text;
    struct json_writer w;
};

static void line_begin(struct line *line, const char *type)
{
    strbuf_init(&line->text, 0);
    json_writer_init(&line->w, &line->text);
    json_open_object(&line->w);
    json_field_text(&line->w, "type", slice_str(type));
}

static void line_end(struct line *line)
{
    json_close_object(&line->w);
    printf("%s\n", strbuf_cstr(&line->text));
    strbuf_release(&line->text);
}

/* ---- what is found ---------------------------------------------------------------- */

static void print_finding(void *ctx, const struct verify_finding *finding)
{
    const struct check_options *opt = ctx;
    struct line line;
    check_progress_end(opt);
    if (!opt->json) {
        printf("DAMAGED %s: %s: %s\n", verify_part_name(finding->part), finding->path,
               finding->text);
        return;
    }
    line_begin(&line, "finding");
    json_field_text(&line.w, "part", slice_str(verify_part_name(finding->part)));
    json_field_text(&line.w, "path", slice_str(finding->path));
    json_field_text(&line.w, "status", slice_str(status_name(finding->st)));
    json_field_text(&line.w, "text", slice_str(finding->text));
    line_end(&line);
}

static void print_text(const struct check_options *opt, const char *type, const char *text)
{
    struct line line;
    check_progress_end(opt);
    if (!opt->json) {
        printf("%s: %s\n", type, text);
        return;
    }
    line_begin(&line, type);
    json_field_text(&line.w, "text", slice_str(text));
    line_end(&line);
}

static void print_note(void *ctx, const char *text)
{
    print_text(ctx, "note", text);
}

static void print_repair(void *ctx, const char *text)
{
    print_text(ctx, "repaired", text);
}

/* ---- what is there ---------------------------------------------------------------- */

struct sums {
    uint64_t n_segments, n_bytes, n_points;
};

static struct sums sum_levels(const struct verify_report *report)
{
    struct sums sums = {0};
    for (unsigned i = 0; i < N_LANES * SEGMENT_LEVELS; i++) {
        const struct verify_level *level = &report->levels[i / SEGMENT_LEVELS][i % SEGMENT_LEVELS];
        sums.n_segments += level->n_segments;
        sums.n_bytes += level->n_bytes;
        sums.n_points += level->n_points;
    }
    return sums;
}

static void put_levels(struct json_writer *w, const struct verify_report *report)
{
    json_put_key(w, SLICE_LIT("levels"));
    json_open_array(w);
    for (unsigned i = 0; i < N_LANES * SEGMENT_LEVELS; i++) {
        const struct verify_level *level = &report->levels[i / SEGMENT_LEVELS][i % SEGMENT_LEVELS];
        if (level->n_segments == 0) continue;
        json_open_object(w);
        json_field_text(w, "lane",
                        slice_str(layout_lane_name((enum value_lane)(i / SEGMENT_LEVELS))));
        json_field_u64(w, "level", i % SEGMENT_LEVELS);
        json_field_u64(w, "segments", level->n_segments);
        json_field_u64(w, "chunks", level->n_chunks);
        json_field_u64(w, "samples", level->n_points);
        json_field_u64(w, "bytes", level->n_bytes);
        json_close_object(w);
    }
    json_close_array(w);
}

static void print_json_summary(const struct verify_report *report, const char *type)
{
    struct sums sums = sum_levels(report);
    struct line line;
    line_begin(&line, type);
    json_field_u64(&line.w, "findings", report->n_findings);
    json_field_text(&line.w, "precision", slice_str(precision_name(report->db.precision)));
    json_field_u64(&line.w, "series", report->n_series);
    json_field_u64(&line.w, "segments", sums.n_segments);
    json_field_u64(&line.w, "segment_bytes", sums.n_bytes);
    json_field_u64(&line.w, "segment_samples", sums.n_points);
    if (sums.n_points) {
        json_field_f64(&line.w, "bytes_per_sample", (double)sums.n_bytes / (double)sums.n_points);
        json_field_i64(&line.w, "min_time", report->ts.from);
        json_field_i64(&line.w, "max_time", report->ts.to);
    }
    json_field_u64(&line.w, "registry_bytes", report->registry_bytes);
    json_field_u64(&line.w, "wal_files", report->n_wal_files);
    json_field_u64(&line.w, "wal_frames", report->n_wal_frames);
    json_field_u64(&line.w, "wal_bytes", report->n_wal_bytes);
    json_field_u64(&line.w, "wal_samples", report->n_wal_samples);
    json_field_u64(&line.w, "deletes", report->n_deletes);
    json_field_u64(&line.w, "exemplars", report->n_exemplars);
    json_field_u64(&line.w, "metadata", report->n_families);
    json_field_u64(&line.w, "quarantined", report->n_quarantined);
    put_levels(&line.w, report);
    line_end(&line);
}

typedef unsigned long long ull;

static void print_summary(const struct verify_report *report)
{
    struct sums sums = sum_levels(report);
    printf("series       %llu\n", (ull)report->n_series);
    printf("segments     %llu: %llu samples, %llu bytes", (ull)sums.n_segments,
           (ull)sums.n_points, (ull)sums.n_bytes);
    if (sums.n_points)
        printf(", %.3f bytes a sample, times %lld to %lld (%s)",
               (double)sums.n_bytes / (double)sums.n_points, (long long)report->ts.from,
               (long long)report->ts.to, precision_name(report->db.precision));
    printf("\n");
    for (unsigned i = 0; i < N_LANES * SEGMENT_LEVELS; i++) {
        const struct verify_level *level = &report->levels[i / SEGMENT_LEVELS][i % SEGMENT_LEVELS];
        if (level->n_segments == 0) continue;
        printf("  %s l%u  %llu: %llu chunks, %llu samples, %llu bytes\n",
               layout_lane_name((enum value_lane)(i / SEGMENT_LEVELS)), i % SEGMENT_LEVELS,
               (ull)level->n_segments, (ull)level->n_chunks, (ull)level->n_points,
               (ull)level->n_bytes);
    }
    printf("log          %llu files, %llu frames, %llu samples not in segments, %llu bytes\n",
           (ull)report->n_wal_files, (ull)report->n_wal_frames, (ull)report->n_wal_samples,
           (ull)report->n_wal_bytes);
    printf("registry     %llu bytes\n", (ull)report->registry_bytes);
    printf("deletes      %llu\n", (ull)report->n_deletes);
    printf("exemplars    %llu\n", (ull)report->n_exemplars);
    printf("metadata     %llu\n", (ull)report->n_families);
    printf("quarantine   %llu\n", (ull)report->n_quarantined);
}

/* ---- commands --------------------------------------------------------------------- */

/* The directory, locked against databases. */
static status open_dir(struct vfs **vfs, struct dirlock **lock, const struct check_options *opt,
                       struct err *err)
{
    TRY(vfs_posix_open(vfs, opt->dir, err));
    status st = dirlock_look(lock, *vfs, err);
    if (st != ST_OK) {
        vfs_free(*vfs);
        *vfs = NULL;
    }
    return st;
}

static status verify_once(struct verify_report *report, struct vfs *vfs,
                          const struct check_options *opt, bool tell, struct err *err)
{
    struct verify_options how = {.quick = opt->quick,
                                 .finding = tell ? print_finding : NULL,
                                 .note = tell ? print_note : NULL,
                                 .progress = check_progress,
                                 .ctx = (void *)(uintptr_t)opt}; /* only read */
    status st = verify_dir(report, vfs, &how, err);
    check_progress_end(opt);
    return st;
}

static status repair(struct verify_report *report, struct vfs *vfs,
                     const struct check_options *opt, struct err *err)
{
    TRY(repair_dir(vfs, print_repair, (void *)(uintptr_t)opt, err));
    return verify_once(report, vfs, opt, true, err);
}

int check_verify(const struct check_options *opt)
{
    struct verify_report report;
    struct err err = {.st = ST_OK};
    struct dirlock *lock = NULL;
    struct vfs *vfs = NULL;
    status st = open_dir(&vfs, &lock, opt, &err);
    if (st != ST_OK) return check_fail(opt, opt->dir, st, &err);
    st = verify_once(&report, vfs, opt, true, &err);
    bool io = st == ST_CORRUPT && report.n_io_errors;
    if (st == ST_CORRUPT && opt->repair && !io) st = repair(&report, vfs, opt, &err);
    dirlock_close(lock);
    vfs_free(vfs);
    if (st != ST_OK && st != ST_CORRUPT) return check_fail(opt, opt->dir, st, &err);
    if (opt->json) print_json_summary(&report, "summary");
    else print_summary(&report);
    if (!opt->json && st == ST_OK) printf("clean\n");
    if (st == ST_OK) return CHECK_OK;
    (void)check_fail(opt, opt->dir, st, &err);
    return io ? CHECK_IO : CHECK_CORRUPT;
}

int check_info(const struct check_options *opt)
{
    struct check_options quick = *opt;
    struct verify_report report;
    struct err err = {.st = ST_OK};
    struct dirlock *lock = NULL;
    struct vfs *vfs = NULL;
    quick.quick = true;
    status st = open_dir(&vfs, &lock, opt, &err);
    if (st != ST_OK) return check_fail(opt, opt->dir, st, &err);
    st = verify_once(&report, vfs, &quick, false, &err);
    dirlock_close(lock);
    vfs_free(vfs);
    if (st != ST_OK && st != ST_CORRUPT) return check_fail(opt, opt->dir, st, &err);
    if (opt->json) print_json_summary(&report, "info");
    else print_summary(&report);
    return st == ST_OK ? CHECK_OK : check_fail(opt, opt->dir, st, &err);
}
