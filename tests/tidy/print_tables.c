/* Prints the part of a page that a table says, as Markdown, to standard output:
 *
 *     print_tables commands|aggregators|routes|options|metrics|statuses|locks|conf
 *
 * tables.py puts it between a page's marks or compares it with what is there; conf is
 * tsink.conf as a whole. It links the rooms that hold the tables, so a page can only say
 * what the programs do.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "api/command.h"
#include "api/route.h"
#include "base/duration.h"
#include "base/panic.h"
#include "server/config.h"

/* A cell of a table: '|' would end it. */
static void put_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
}

static void put_upper(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        putchar(c >= 'a' && c <= 'z' ? c - 32 : c == '|' ? ' ' : c);
    }
}

/* --- commands ---------------------------------------------------------------------- */

static void put_command(const struct command *cmd)
{
    static const struct {
        unsigned flag;
        const char *words;
    } notes[] = {
        {CMD_WRITE, "writes"},
        {CMD_READONLY, "reads"},
        {CMD_DENYOOM, "refused when memory is over its limit"},
        {CMD_LOADING, "works while the data is being loaded"},
        {CMD_NO_AUTH, "works before authentication"},
        {CMD_ADMIN, "administration"},
    };

    printf("\n#### ");
    put_upper(cmd->name, strlen(cmd->name));
    printf("\n\n    ");
    put_upper(cmd->name, strlen(cmd->name));
    printf("%s%s\n\n%s. Arity %d", cmd->syntax[0] ? " " : "", cmd->syntax, cmd->summary,
           cmd->arity);
    if (cmd->first_key)
        printf("; keys from word %d to %d, step %d", cmd->first_key, cmd->last_key, cmd->key_step);
    for (size_t i = 0; i < ARRAY_LEN(notes); i++)
        if (cmd->flags & notes[i].flag) printf("; %s", notes[i].words);
    printf(".\n");
}

static void print_commands(void)
{
    static const struct {
        const char *group, *title;
    } groups[] = {
        {"timeseries", "Time series"},
        {"generic", "Keys"},
        {"transactions", "Transactions"},
        {"pubsub", "Publish and subscribe"},
        {"connection", "Connection"},
        {"cluster", "Cluster"},
        {"server", "Server"}};
    size_t n_printed = 0, n_containers = 0;

    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        printf("%s### %s\n", g ? "\n" : "", groups[g].title);
        for (size_t i = 0; i < n_commands; i++) {
            bool mine = strcmp(commands[i].group, groups[g].group) == 0;
            bool container = (commands[i].flags & CMD_CONTAINER) && !commands[i].handle;
            if (!mine) continue;
            n_containers += container;
            n_printed += !container;
            if (!container) put_command(&commands[i]);
        }
    }
    ASSERT(n_printed + n_containers == n_commands); /* a new group needs a title */
}

/* --- routes ------------------------------------------------------------------------ */

static void print_routes(void)
{
    printf("| Method | Path | Says or takes |\n|---|---|---|\n");
    for (size_t i = 0; i < n_routes; i++) {
        const struct route *r = &routes[i];
        const char *hole = strstr(r->path, "{}");
        const char *comma = "";
        static const struct {
            unsigned bit;
            const char *name;
        } methods[] = {{ROUTE_GET, "GET"}, {ROUTE_POST, "POST"}, {ROUTE_PUT, "PUT"},
                       {ROUTE_DELETE, "DELETE"}};
        printf("| ");
        for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
            if (!(r->methods & methods[m].bit)) continue;
            printf("%s%s", comma, methods[m].name);
            comma = ", ";
        }
        if (hole) printf(" | `%.*s<name>%s` | ", (int)(hole - r->path), r->path, hole + 2);
        else printf(" | `%s` | ", r->path);
        put_cell(r->text);
        printf("%s%s |\n", r->flags & ROUTE_NO_DB ? " Answers before the data is loaded." : "",
               r->flags & ROUTE_ADMIN ? " Only with `admin-api yes`." : "");
    }
}

/* --- options ----------------------------------------------------------------------- */

static void put_bound(const struct config_row *row, int64_t v)
{
    char text[64];
    size_t len;

    if (row->type == CONFIG_SIZE) len = size_print(text, (uint64_t)v);
    else if (row->type == CONFIG_DURATION) len = duration_print_ms(text, v);
    else len = (size_t)snprintf(text, sizeof(text), "%lld", (long long)v);
    printf("%.*s", (int)len, text);
}

static void put_range(const struct config_row *row)
{
    const char *bar = "";

    switch (row->type) {
    case CONFIG_YESNO: printf("yes, no"); return;
    case CONFIG_TEXT: printf("text, under %zu bytes", row->size); return;
    case CONFIG_FLOAT: printf("a number from 0"); return;
    case CONFIG_COMPACTION: printf("rules"); return;
    case CONFIG_FIXED: printf("fixed"); return;
    case CONFIG_EVENTS: printf("letters of kinds of events"); return;
    case CONFIG_ENUM:
    case CONFIG_ENUM8:
        for (const struct config_name *n = row->names; n->name; n++, bar = ", ")
            printf("%s%s", bar, n->name);
        return;
    case CONFIG_INT:
    case CONFIG_COUNT:
    case CONFIG_COUNT32:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_MILLIS: break;
    }
    bool has_auto = row->type == CONFIG_INT && row->low == -1;
    if (has_auto) printf("auto, ");
    put_bound(row, has_auto ? 0 : row->low);
    printf(" to ");
    put_bound(row, row->high);
}

static void print_options(void)
{
    const char *group = "";

    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *row = &config_rows[i];
        if (strcmp(group, row->group) != 0) {
            printf("%s## %s\n\n| Option | Default | Takes | Change | |\n|---|---|---|---|---|\n",
                   i ? "\n" : "", row->group);
            group = row->group;
        }
        printf("| `%s` | %s%s%s | ", row->name, row->preset[0] ? "`" : "empty", row->preset,
               row->preset[0] ? "`" : "");
        put_range(row);
        printf(" | %s | ", row->type == CONFIG_FIXED ? "never"
                           : row->any_time           ? "any time"
                                                     : "at start");
        put_cell(row->text);
        printf(" |\n");
    }
}

/* --- tables that are read here ------------------------------------------------------ */

static void print_metrics(void)
{
    static const struct {
        const char *kind, *name, *labels, *help;
    } rows[] = {
#define METRIC(kind_, field_, scale_, name_, labels_, help_) {#kind_, name_, labels_, help_},
#include "server/metrics.def"
#undef METRIC
    };
    printf("| Metric | Kind | Labels | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(rows);) {
        const char *name = rows[i].name;
        printf("| `%s` | %s | ", name, rows[i].kind[0] == 'C' ? "counter" : "gauge");
        size_t first = i;
        for (; i < ARRAY_LEN(rows) && strcmp(rows[i].name, name) == 0; i++)
            if (rows[i].labels[0]) printf("%s`%s`", i > first ? " " : "", rows[i].labels);
        printf(" | %s |\n", rows[first].help ? rows[first].help : "");
    }
}

static void print_statuses(void)
{
    static const struct {
        const char *code;
        int value, http;
        const char *resp;
        bool retry;
        const char *text;
    } rows[] = {
#define STATUS(code_, value_, http_, resp_, retry_, text_)                                     \
    {#code_, value_, http_, resp_, retry_, text_},
#include "base/status.def"
#undef STATUS
    };
    printf("| Status | Value | HTTP | RESP | Retry | Means |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        printf("| `%s` | %d | %d | `%s` | %s | %s |\n", rows[i].code, rows[i].value, rows[i].http,
               rows[i].resp, rows[i].retry ? "yes" : "no", rows[i].text);
}

static void print_locks(void)
{
    static const struct {
        const char *name;
        int rank;
        const char *text;
    } rows[] = {
#define LOCK_RANK(name_, rank_, text_) {#name_, rank_, text_},
#include "base/lockrank.def"
#undef LOCK_RANK
    };
    printf("| Rank | Lock | Protects |\n|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        printf("| %d | `%s` | %s |\n", rows[i].rank, rows[i].name, rows[i].text);
}

static void print_aggregators(void)
{
    static const char *const names[] = {
#define AGG(id_, name_, upper_) name_,
#include "model/agg.def"
#undef AGG
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) printf("%s`%s`", i ? " " : "", names[i]);
    printf("\n");
}

static void print_conf(void)
{
    struct strbuf text;

    strbuf_init(&text, 0);
    config_manual(&text);
    fwrite(text.ptr, 1, text.len, stdout);
    strbuf_release(&text);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } modes[] = {
        {"commands", print_commands}, {"routes", print_routes},     {"options", print_options},
        {"metrics", print_metrics},   {"statuses", print_statuses}, {"locks", print_locks},
        {"aggregators", print_aggregators}, {"conf", print_conf},
    };
    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(modes); i++) {
        if (strcmp(argv[1], modes[i].name) != 0) continue;
        modes[i].print();
        return fflush(stdout) != 0 || ferror(stdout);
    }
    fprintf(stderr, "usage: print_tables TABLE; tables.py names them\n");
    return 64;
}
