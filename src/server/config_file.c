/* tsink.conf and the command line. See config.h. */
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "server/config.h"

enum { FILE_MAX = 1 << 20, MANUAL_WIDTH = 78 };

/* --- reading --------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice trim(struct slice s)
{
    while (s.len && is_blank(s.ptr[0])) s = slice_skip(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* The value without its quotes, if it has them. */
static struct slice unquote(struct slice s)
{
    if (s.len < 2) return s;
    char first = s.ptr[0], last = s.ptr[s.len - 1];
    bool quoted = (first == '"' || first == '\'') && last == first;
    return quoted ? slice_of(s.ptr + 1, s.len - 2) : s;
}

static status parse_line(struct config *cfg, struct slice line, struct err *err)
{
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#') return ST_OK;

    size_t n = 0;
    while (n < line.len && !is_blank(line.ptr[n])) n++;
    struct slice name = slice_of(line.ptr, n);
    const struct config_row *row = config_row(name);
    if (!row)
        return err_set(err, ST_INVALID, "unknown option '" SLICE_FMT "'",
                       (int)(name.len > 100 ? 100 : name.len), name.ptr);
    return config_set(cfg, row, unquote(trim(slice_skip(line, n))), err);
}

status config_parse_text(struct config *cfg, const char *file, struct slice text, struct err *err)
{
    for (unsigned line = 1; text.len; line++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        status st = parse_line(cfg, slice_of(text.ptr, len), err);
        if (st != ST_OK) return err_wrap(err, st, "%s:%u", file, line);
        text = slice_skip(text, end ? len + 1 : len);
    }
    return ST_OK;
}

/* A path anywhere: the vfs of its directory reads it. */
static status read_anywhere(const char *path, uint8_t **out, size_t *len, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char dir[CONFIG_TEXT_MAX];
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof(dir)) return err_set(err, ST_INVALID, "%s: too long a path", path);
    memcpy(dir, path, n);
    dir[n] = 0;

    struct vfs *vfs;
    TRY(vfs_posix_open(&vfs, slash ? (n ? dir : "/") : ".", err));
    status st = vfs_read_file(vfs, slash ? slash + 1 : path, FILE_MAX, out, len, err);
    vfs_free(vfs);
    return st;
}

static status parse_file(struct config *cfg, const char *file, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    TRY(read_anywhere(file, &bytes, &len, err));
    status st = config_parse_text(cfg, file, slice_of(bytes, len), err);
    mem_free(bytes);
    return st;
}

status config_parse_args(struct config *cfg, int argc, char **argv, const char **file,
                         struct err *err)
{
    int at = 0;
    *file = NULL;
    if (argc > 0 && argv[0][0] != '-') {
        *file = argv[0];
        TRY(parse_file(cfg, *file, err));
        at = 1;
    }
    for (; at < argc; at += 2) {
        const char *name = argv[at];
        if (strncmp(name, "--", 2) != 0)
            return err_set(err, ST_INVALID, "'%s': options are written --name value", name);
        const struct config_row *row = config_row(slice_str(name + 2));
        if (!row) return err_set(err, ST_INVALID, "unknown option '%s'", name);
        if (at + 1 == argc) return err_set(err, ST_INVALID, "%s needs a value", name);
        TRY(config_set(cfg, row, slice_str(argv[at + 1]), err));
    }
    return ST_OK;
}

/* --- writing --------------------------------------------------------------------- */

/* Text as comment lines of bounded width. */
static void comment(struct strbuf *out, const char *text)
{
    size_t col = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (col && col + 1 + word > MANUAL_WIDTH) {
            strbuf_char(out, '\n');
            col = 0;
        }
        if (col == 0) {
            strbuf_str(out, "#");
            col = 1;
        }
        strbuf_char(out, ' ');
        strbuf_put(out, text, word);
        col += word + 1;
        text += word;
        while (*text == ' ') text++;
    }
    strbuf_char(out, '\n');
}

void config_manual(struct strbuf *out)
{
    const char *group = "";
    strbuf_str(out,
               "# tsink.conf: every option with its default.\n"
               "#\n"
               "# Start the server with this file as its first argument; options on the command\n"
               "# line (--name value) win over it. Durations are written 250ms 5s 15m 48h 7d,\n"
               "# sizes 64mb 2gb. CONFIG GET shows what is in force; options marked \"any time\"\n"
               "# can be changed by CONFIG SET and kept by CONFIG REWRITE.\n");
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->type == CONFIG_FIXED) continue;
        if (strcmp(group, row->group) != 0) {
            group = row->group;
            strbuf_printf(out, "\n########## %s ##########\n", group);
        }
        strbuf_char(out, '\n');
        comment(out, row->text);
        if (row->any_time) strbuf_str(out, "# (any time)\n");
        strbuf_printf(out, "%s %s\n", row->name, row->preset[0] ? row->preset : "\"\"");
    }
}

/* Whether the option differs from its default. */
static bool changed(const struct config *cfg, const struct config_row *row)
{
    struct config presets;
    config_init(&presets);
    return memcmp((const char *)cfg + row->off, (const char *)&presets + row->off, row->size) != 0;
}

/* Whether a text would lose bytes to trim() and unquote() if it stood bare. */
static bool needs_quotes(struct slice text)
{
    if (text.len == 0) return true;
    char first = text.ptr[0], last = text.ptr[text.len - 1];
    return is_blank(first) || is_blank(last) || first == '"' || first == '\'';
}

static void put_option(struct strbuf *out, const struct config *cfg, const struct config_row *row)
{
    struct strbuf value;
    strbuf_init(&value, 0);
    config_print(&value, cfg, row);
    bool quoted = row->type == CONFIG_TEXT && needs_quotes(strbuf_view(&value));
    strbuf_printf(out, "%s %s", row->name, quoted ? "\"" : "");
    strbuf_slice(out, strbuf_view(&value));
    strbuf_str(out, quoted ? "\"\n" : "\n");
    out->failed |= value.failed;
    strbuf_release(&value);
}

void config_rewrite(struct strbuf *out, struct slice old, const struct config *cfg)
{
    bool seen[ARRAY_LEN((char[256]){0})] = {false};
    ASSERT(config_n_rows <= ARRAY_LEN(seen));
    while (old.len) {
        const char *end = memchr(old.ptr, '\n', old.len);
        size_t len = end ? (size_t)(end - old.ptr) : old.len, n = 0;
        struct slice line = trim(slice_of(old.ptr, len));
        while (n < line.len && !is_blank(line.ptr[n])) n++;
        const struct config_row *row =
            line.len && line.ptr[0] != '#' ? config_row(slice_of(line.ptr, n)) : NULL;
        if (!row) {
            strbuf_put(out, old.ptr, len);
            strbuf_char(out, '\n');
        } else if (!seen[row - config_rows]) {
            seen[row - config_rows] = true;
            put_option(out, cfg, row);
        }
        old = slice_skip(old, end ? len + 1 : len);
    }
    for (size_t i = 0; i < config_n_rows; i++)
        if (!seen[i] && config_rows[i].type != CONFIG_FIXED && changed(cfg, &config_rows[i]))
            put_option(out, cfg, &config_rows[i]);
}
