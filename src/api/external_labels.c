/* external-labels: read as a selector of equalities, so that names and quotes are what they
 * are everywhere else. */
#include "api/external_labels.h"

#include "promql/parser.h"

static status take(struct labels *out, const struct vector_expr *vec, struct arena *arena,
                   struct err *err)
{
    struct label *labels = arena_try_array(arena, vec->n_matchers, sizeof(*labels));
    size_t n = vec->n_matchers;
    if (!labels) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const struct matcher *m = &vec->matchers[i];
        if (m->op != MATCH_EQ || slice_is(m->name, LABEL_NAME))
            return err_set(err, ST_INVALID, "external labels are written name=\"value\", ...");
        labels[i].name = arena_copy(arena, m->name);
        labels[i].value = arena_copy(arena, m->value);
        if (!labels[i].name.ptr || !labels[i].value.ptr) return ST_NO_MEMORY;
    }
    TRY(labels_canonicalise(labels, &n, err));
    *out = (struct labels){labels, n};
    return ST_OK;
}

status external_labels_parse(struct labels *out, struct slice text, struct arena *arena,
                             struct err *err)
{
    struct ast ast;
    size_t blanks = 0;
    *out = (struct labels){NULL, 0};
    while (blanks < text.len && text.ptr[blanks] == ' ') blanks++;
    if (blanks == text.len) return ST_OK;
    char *braced = arena_printf(arena, "{" SLICE_FMT "}", SLICE_ARG(text));
    if (!braced) return ST_NO_MEMORY;
    ast_init(&ast, NULL);
    status st = promql_parse_selector(&ast, slice_str(braced), err);
    if (st == ST_OK) st = take(out, &ast.root->vec, arena, err);
    ast_release(&ast);
    return st;
}
