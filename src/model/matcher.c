/* Label matchers. See matcher.h. */
#include "model/matcher.h"

#include <stddef.h>

status matcher_init(struct matcher *m, enum match_op op, struct slice name, struct slice value,
                    struct err *err)
{
    struct regex *re = NULL;
    if (op == MATCH_RE || op == MATCH_NRE) TRY(regex_new(&re, value, err));
    *m = (struct matcher){.op = op, .name = name, .value = value, .re = re};
    return ST_OK;
}

void matcher_release(struct matcher *m)
{
    regex_free(m->re);
    m->re = NULL;
}

bool matcher_accepts(const struct matcher *m, struct slice value)
{
    switch (m->op) {
    case MATCH_EQ: return slice_eq(m->value, value);
    case MATCH_NE: return !slice_eq(m->value, value);
    case MATCH_RE: return regex_match(m->re, value);
    case MATCH_NRE: return !regex_match(m->re, value);
    }
    return false;
}

bool matchers_accept(struct matchers ms, struct labels set)
{
    for (size_t i = 0; i < ms.n; i++)
        if (!matcher_accepts(&ms.ptr[i], labels_get(set, ms.ptr[i].name))) return false;
    return true;
}

const char *match_op_text(enum match_op op)
{
    switch (op) {
    case MATCH_EQ: return "=";
    case MATCH_NE: return "!=";
    case MATCH_RE: return "=~";
    case MATCH_NRE: return "!~";
    }
    return "?";
}
