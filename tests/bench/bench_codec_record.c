/* bench_codec: the series of a recording (tsink-benchmark record), cut into chunks of
 * several lengths. What a server of it would keep on disk but for the index:
 *
 *     BENCH codec.record.2048.smallest.size=0.405     bytes a sample, of values
 *     BENCH codec.record.2048.smallest.ticks=0.25     of times, which all series share
 *     BENCH codec.record.2048.smallest.encode_ns=...  of values, and times once
 *
 * A line of a page is a series, its name what is before the last space. Only those that
 * are on every page are measured. The file's layout: utils/tsink-benchmark/record.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "codec/compress.h"
#include "tests/bench/bench_codec.h"

static const char magic[] = "TSREC 1\n";

enum { MAGIC_LEN = sizeof(magic) - 1, PAGE_HEAD = 12, SLOTS = 1 << 16, ROUNDS = 3 };

struct series {
    char *name;
    size_t name_len;
    VEC(union value) val;
};

struct recording {
    VEC(ts_time) ts;
    VEC(struct series) series;
    uint32_t slots[SLOTS]; /* number of a series + 1 */
};

static struct series *find_series(struct recording *rec, struct slice name)
{
    size_t at = (size_t)hash_slice(name) & (SLOTS - 1);

    for (; rec->slots[at]; at = (at + 1) & (SLOTS - 1)) {
        struct series *s = &rec->series.ptr[rec->slots[at] - 1];
        if (s->name_len == name.len && memcmp(s->name, name.ptr, name.len) == 0) return s;
    }
    if (rec->series.len == SLOTS / 2) return NULL;
    struct series s = {.name = malloc(name.len + 1), .name_len = name.len};
    if (!s.name) abort();
    memcpy(s.name, name.ptr, name.len);
    if (!vec_push(&rec->series, s)) abort();
    rec->slots[at] = (uint32_t)rec->series.len;
    return &rec->series.ptr[rec->series.len - 1];
}

/* A series that was not on all pages before is out. */
static void take_line(struct recording *rec, const char *line, size_t len)
{
    char number[64];
    const char *space = len && line[0] != '#' ? memrchr(line, ' ', len) : NULL;

    if (!space) return;
    size_t digits = len - (size_t)(space + 1 - line);
    if (digits == 0 || digits >= sizeof(number)) return;
    memcpy(number, space + 1, digits);
    number[digits] = '\0';
    struct series *s = find_series(rec, slice_of(line, (size_t)(space - line)));
    if (!s || s->val.len + 1 != rec->ts.len) return;
    if (!vec_push(&s->val, (union value){.bits = f64_bits(strtod(number, NULL))})) abort();
}

static void take_page(struct recording *rec, int64_t ms, struct slice text)
{
    if (rec->ts.len && ms <= rec->ts.ptr[rec->ts.len - 1]) return;
    if (!vec_push(&rec->ts, ms)) abort();
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - (const char *)text.ptr) : text.len;
        take_line(rec, (const char *)text.ptr, len);
        text = slice_skip(text, end ? len + 1 : len);
    }
}

static bool read_pages(struct recording *rec, const char *path)
{
    struct strbuf packed, pages;
    FILE *file = fopen(path, "re");
    size_t n = 0;

    strbuf_init(&packed, 0);
    strbuf_init(&pages, 0);
    while (file && strbuf_reserve(&packed, 1 << 20) &&
           (n = fread(packed.ptr + packed.len, 1, 1 << 20, file)) > 0) {
        packed.len += n;
    }
    if (file) fclose(file);
    bool good = packed.len > MAGIC_LEN && memcmp(packed.ptr, magic, MAGIC_LEN) == 0 &&
                zstd_decode(&pages, packed.ptr + MAGIC_LEN, packed.len - MAGIC_LEN,
                            (size_t)4 << 30, NULL) == ST_OK;
    struct slice rest = strbuf_view(&pages);
    while (good && rest.len >= PAGE_HEAD) {
        size_t len = load_u32(rest.ptr + 8);
        if (len > rest.len - PAGE_HEAD) break;
        take_page(rec, load_i64(rest.ptr), slice_of(rest.ptr + PAGE_HEAD, len));
        rest = slice_skip(rest, PAGE_HEAD + len);
    }
    strbuf_release(&packed);
    strbuf_release(&pages);
    return good;
}

/* All series in chunks of up to `points`. */
static void measure_recording(const struct recording *rec, size_t points,
                              enum chunk_effort effort)
{
    struct chunk_cost sum = {0};
    size_t n = rec->ts.len, n_series = 0;

    for (size_t i = 0; i < rec->series.len; i++) {
        const struct series *s = &rec->series.ptr[i];
        if (s->val.len != n) continue;
        n_series++;
        for (size_t at = 0; at < n; at += points) {
            struct chunk_cost cost;
            size_t m = n - at < points ? n - at : points;
            measure_chunk(&cost, VALUE_F64, rec->ts.ptr + at, s->val.ptr + at, m, effort, ROUNDS);
            sum.ticks += cost.ticks;
            sum.values += cost.values;
            sum.encode_ns += cost.encode_ns;
            sum.decode_ns += cost.decode_ns;
        }
    }
    double per = 1 / ((double)n * (double)(n_series ? n_series : 1));
    const char *name = effort_name(effort);
    printf("BENCH codec.record.%zu.%s.size=%.4f\n", points, name, sum.values * per);
    printf("BENCH codec.record.%zu.%s.ticks=%.4f\n", points, name, sum.ticks * per);
    printf("BENCH codec.record.%zu.%s.encode_ns=%.2f\n", points, name, sum.encode_ns * per);
    printf("BENCH codec.record.%zu.%s.decode_ns=%.2f\n", points, name, sum.decode_ns * per);
    fflush(stdout);
}

int bench_record(const char *path)
{
    static const size_t lengths[] = {128, 512, 2048, 4096, 8192, CHUNK_POINTS_MAX};
    struct recording *rec = calloc(1, sizeof(*rec));

    if (!rec) abort();
    bool good = read_pages(rec, path) && rec->ts.len > 0;
    if (!good) fprintf(stderr, "bench_codec: %s is no recording\n", path);
    else printf("# %s: %zu series, %zu pages\n", path, rec->series.len, rec->ts.len);
    for (size_t i = 0; good && i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int effort = CHUNK_FAST; effort <= CHUNK_SMALLEST; effort++) {
            measure_recording(rec, lengths[i], (enum chunk_effort)effort);
        }
        if (lengths[i] >= rec->ts.len) break;
    }
    for (size_t i = 0; i < rec->series.len; i++) {
        free(rec->series.ptr[i].name);
        vec_release(&rec->series.ptr[i].val);
    }
    vec_release(&rec->series);
    vec_release(&rec->ts);
    free(rec);
    return good ? 0 : 1;
}
