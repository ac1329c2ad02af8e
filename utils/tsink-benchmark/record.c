/* Pages of an exporter, recorded and written again.
 *
 *     file:  "TSREC 1\n" | one zstd stream of pages
 *     page:  time: i64 ms | length: u32 | exposition text       little-endian
 *
 * The pages of one exporter differ in a few digits, and the stream's window spans many of
 * them, so a page costs what changed. Replaying moves the times so that the last page is
 * a minute old; every series gets the labels `job` and `instance`, as a scrape would give.
 * Page 0 makes the series, as round 0 does in other runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "codec/compress.h"
#include "ingest/prom_text.h"
#include "utils/tsink-benchmark/bench.h"

static const char magic[] = "TSREC 1\n";

enum {
    MAGIC_LEN = sizeof(magic) - 1,
    PAGE_HEAD = 12,
    PAGE_MAX = 64 << 20,
    MARGIN_MS = 60000,
};
#define PAGES_MAX ((size_t)4 << 30) /* all of a file */

static int complain(int code, const char *what, const char *why)
{
    fprintf(stderr, "tsink-benchmark: %s: %s\n", what, why);
    return code;
}

/* --- recording ----------------------------------------------------------------------- */

/* One page; the body is out from *body on. */
static bool scrape(struct strbuf *out, size_t *body, const struct options *opt, char *err,
                   size_t err_len)
{
    char ask[2 * BENCH_TEXT_MAX + 128];
    int fd = drive_connect(opt->host, opt->http_port, err, err_len);
    if (fd < 0) return false;
    int len = snprintf(ask, sizeof(ask),
                       "GET %s HTTP/1.0\r\nHost: %s\r\nAccept: text/plain\r\n\r\n", opt->path,
                       opt->host);
    bool good = send(fd, ask, (size_t)len, MSG_NOSIGNAL) == len;
    ssize_t n = 1;
    strbuf_reset(out);
    while (good && n > 0) {
        if (out->len > PAGE_MAX || !strbuf_reserve(out, 65536)) break;
        n = recv(fd, out->ptr + out->len, 65536, 0);
        if (n > 0) out->len += (size_t)n;
    }
    close(fd);
    const char *end = out->len ? memmem(out->ptr, out->len, "\r\n\r\n", 4) : NULL;
    good = good && n == 0 && end && out->len > 12 && memcmp(out->ptr + 8, " 200", 4) == 0;
    if (!good) snprintf(err, err_len, "%s: no page", opt->url);
    else *body = (size_t)(end - out->ptr) + 4;
    return good;
}

static bool put_page(struct zstd_writer *writer, struct strbuf *packed, int64_t ms,
                     struct slice page, bool last)
{
    uint8_t head[PAGE_HEAD];
    store_i64(head, ms);
    store_u32(head + 8, (uint32_t)page.len);
    return zstd_writer_feed(writer, packed, head, sizeof(head), false) == ST_OK &&
           zstd_writer_feed(writer, packed, page.ptr, page.len, last) == ST_OK;
}

static int record_into(FILE *file, const struct options *opt, struct zstd_writer *writer)
{
    struct strbuf page, packed;
    char err[BENCH_TEXT_MAX * 2];
    int code = 0;
    size_t body = 0;
    strbuf_init(&page, 0);
    strbuf_init(&packed, 0);
    strbuf_str(&packed, magic);
    for (uint64_t i = 0; i < opt->scrapes && code == 0; i++) {
        int64_t begun = clock_wall(clock_system());
        if (!scrape(&page, &body, opt, err, sizeof(err))) {
            code = complain(EXIT_SERVER, "record", err);
            break;
        }
        bool last = i + 1 == opt->scrapes;
        if (!put_page(writer, &packed, begun, slice_of(page.ptr + body, page.len - body), last) ||
            (packed.len && fwrite(packed.ptr, packed.len, 1, file) != 1))
            code = complain(EXIT_IO, opt->file, errno ? strerror(errno) : "out of memory");
        strbuf_reset(&packed);
        int64_t left = begun + (int64_t)opt->every_ms - clock_wall(clock_system());
        struct timespec pause = {left / 1000, left % 1000 * 1000000};
        if (left > 0 && !last) (void)nanosleep(&pause, NULL);
    }
    strbuf_release(&page);
    strbuf_release(&packed);
    return code;
}

int record_pages(const struct options *opt)
{
    FILE *file = fopen(opt->file, "we");
    if (!file) return complain(EXIT_IO, opt->file, strerror(errno));
    struct zstd_writer *writer = zstd_writer_new(ZSTD_LEVEL_STORED);
    int code = writer ? record_into(file, opt, writer) : EXIT_IO;
    zstd_writer_free(writer);
    if (fclose(file) != 0 && code == 0) code = complain(EXIT_IO, opt->file, strerror(errno));
    return code;
}

/* --- replaying ----------------------------------------------------------------------- */

struct page {
    int64_t ms;
    struct slice text;
};

struct replay {
    const struct options *opt;
    struct batches *all;
    struct encoder *encoder;
    struct strbuf pages;
    struct strbuf labels;      /* of the series of one page */
    int64_t shift_ms;
};

static bool read_file(struct strbuf *out, const char *path, struct err *err)
{
    struct strbuf packed;
    FILE *file = fopen(path, "re");
    strbuf_init(&packed, 0);
    size_t n = 0;
    if (file) {
        while (strbuf_reserve(&packed, 1 << 20) &&
               (n = fread(packed.ptr + packed.len, 1, 1 << 20, file)) > 0)
            packed.len += n;
        fclose(file);
    }
    bool good = packed.len > MAGIC_LEN && memcmp(packed.ptr, magic, MAGIC_LEN) == 0;
    if (!good) (void)err_set(err, ST_INVALID, "is no recording");
    else
        good = zstd_decode(out, packed.ptr + MAGIC_LEN, packed.len - MAGIC_LEN, PAGES_MAX, err) ==
               ST_OK;
    strbuf_release(&packed);
    return good;
}

static bool next_page(struct page *out, struct slice *rest)
{
    if (rest->len < PAGE_HEAD) return false;
    size_t len = load_u32(rest->ptr + 8);
    if (len > rest->len - PAGE_HEAD) return false;
    *out = (struct page){load_i64(rest->ptr), slice_of(rest->ptr + PAGE_HEAD, len)};
    *rest = slice_skip(*rest, PAGE_HEAD + len);
    return true;
}

static void put_text(struct strbuf *out, char tag, struct slice text)
{
    strbuf_char(out, tag);
    encoder_varint(out, text.len);
    strbuf_slice(out, text);
}

/* Appends the labels and the target's own as fields of a TimeSeries. */
static bool put_labels(struct replay *r, struct labels set)
{
    struct label list[256];
    struct strbuf one;
    size_t n = set.n;
    if (n > 250) return false;
    if (n) memcpy(list, set.ptr, n * sizeof(list[0]));
    list[n++] = (struct label){SLICE_LIT("instance"), slice_str(r->opt->run)};
    list[n++] = (struct label){SLICE_LIT("job"), SLICE_LIT("replay")};
    if (labels_canonicalise(list, &n, NULL) != ST_OK) return false;
    strbuf_init(&one, 0);
    for (size_t i = 0; i < n; i++) {
        strbuf_reset(&one);
        put_text(&one, 0x0a, list[i].name);
        put_text(&one, 0x12, list[i].value);
        put_text(&r->labels, 0x0a, strbuf_view(&one));
    }
    strbuf_release(&one);
    return true;
}

/* Where the labels of each series of the page are; they move while they are gathered. */
static bool gather_labels(struct replay *r, const struct batch *batch, size_t *off)
{
    strbuf_reset(&r->labels);
    for (size_t i = 0; i < batch->n_series; i++) {
        off[i] = r->labels.len;
        if (!put_labels(r, batch_name_of(&batch->series[i])->labels)) r->labels.len = off[i];
    }
    off[batch->n_series] = r->labels.len;
    return !r->labels.failed;
}

/* The rows of connection c. */
static bool encode_page(struct replay *r, const struct batch *batch, const size_t *off, size_t c,
                        int64_t ms)
{
    struct batches *b = &r->all[c];
    size_t from = b->bytes.len;
    uint64_t n = 0;
    encoder_begin(r->encoder);
    for (size_t row = 0; row <= batch->n_rows; row++) {
        bool end = row == batch->n_rows;
        if ((end && n > 0) || n == r->opt->per_request) {
            if (!encoder_end(r->encoder, &b->bytes, &b->n_raw, &b->n_body) ||
                !batches_add(b, from, 1, n))
                return false;
            from = b->bytes.len;
            n = 0;
            encoder_begin(r->encoder);
        }
        if (end) break;
        uint32_t s = batch->row_series[row];
        if (off[s] == off[s + 1]) continue; /* it has no name */
        if (batch_name_of(&batch->series[s])->hash.lo % r->opt->connections != c) continue;
        encoder_add(r->encoder, slice_of(r->labels.ptr + off[s], off[s + 1] - off[s]),
                    bits_f64(batch->val[row].bits), ms);
        n++;
    }
    return true;
}

static bool take_page(struct replay *r, struct batch *batch, const struct page *page)
{
    struct decode_env env = {.limits = &limits_default,
                             .precision = PRECISION_MS,
                             .window = time_window_at(page->ms, 0, 0),
                             .now = page->ms};
    struct decode_report report;
    struct err err = {.st = ST_OK};
    batch_reset(batch);
    if (prom_text_decode(batch, page->text, &env, &report, &err) != ST_OK) return false;
    size_t *off = calloc(batch->n_series + 1, sizeof(*off));
    bool good = off && gather_labels(r, batch, off);
    for (size_t c = 0; c < r->opt->connections && good; c++)
        good = encode_page(r, batch, off, c, page->ms + r->shift_ms);
    free(off);
    return good;
}

static bool take_pages(struct replay *r, int64_t now_ms)
{
    struct slice rest = strbuf_view(&r->pages);
    struct page page = {0};
    bool good = true;
    while (next_page(&page, &rest)) continue;
    r->shift_ms = now_ms - MARGIN_MS - page.ms;
    struct batch *batch = batch_new(NULL);
    if (!batch) return false;
    rest = strbuf_view(&r->pages);
    for (uint64_t n = 0; good && next_page(&page, &rest); n++) {
        good = take_page(r, batch, &page);
        for (size_t c = 0; n == 0 && c < r->opt->connections; c++)
            r->all[c].n_create = r->all[c].n;
    }
    batch_free(batch);
    return good;
}

int replay_make(struct batches *all, const struct options *opt, int64_t now_ms)
{
    struct replay r = {.opt = opt, .all = all, .encoder = encoder_new(opt)};
    struct err err = {.st = ST_OK};
    strbuf_init(&r.pages, 0);
    strbuf_init(&r.labels, 0);
    for (size_t c = 0; c < opt->connections; c++) strbuf_init(&all[c].bytes, 0);
    int code = 0;
    if (!r.encoder || !read_file(&r.pages, opt->file, &err))
        code = complain(EXIT_IO, opt->file, err_text(&err, ST_INVALID));
    else if (!take_pages(&r, now_ms))
        code = complain(EXIT_IO, opt->file, "a page cannot be read, or memory is short");
    strbuf_release(&r.pages);
    strbuf_release(&r.labels);
    encoder_free(r.encoder);
    return code;
}
