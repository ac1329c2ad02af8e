/* The lexer's modes, as Prometheus has them:
 *
 *     statement   everywhere else
 *     braces      between { and }: names, strings, match operators
 *     duration    between [ and the first number or ]: arithmetic, step() and the like
 *     bracket     after that number up to ]: as statement, but letters other than those
 *                 of step, range, min_of and max_of are errors and one colon is allowed
 *
 * One character of look-ahead is enough except for fill(...), whose parenthesis may be
 * some blanks away. Runes, not bytes, are read wherever a message may have to name one.
 */
#include "promql/lexer.h"

#include "base/panic.h"
#include "base/utf8.h"
#include "promql/quote.h"

enum { METRIC = 1, LABEL = 2 };
enum keyword_class { CLASS_OPERATOR, CLASS_KEYWORD, CLASS_FRAME };

#define RUNE_EOF UINT32_MAX /* not a rune: prints as U+FFFD */
#define DIGITS "0123456789"

static const struct keyword {
    enum token_kind kind;
    const char *word;
    enum keyword_class class;
    unsigned where;
} keywords[] = {
#define KEYWORD(token, kword, kclass, kwhere) {token, kword, kclass, kwhere},
#include "promql/keywords.def"
#undef KEYWORD
};

/* ---- runes ---------------------------------------------------------------------- */

static uint32_t peek_rune(const struct lexer *lx, size_t *len)
{
    uint32_t rune;

    *len = utf8_next(&rune, slice_skip(lx->input, lx->pos));
    return *len ? rune : RUNE_EOF;
}

static uint32_t peek(const struct lexer *lx)
{
    size_t len;
    return peek_rune(lx, &len);
}

static uint32_t next(struct lexer *lx)
{
    size_t len;
    uint32_t rune = peek_rune(lx, &len);
    lx->pos += len;
    return rune;
}

static bool is_digit(uint32_t r)
{
    return r >= '0' && r <= '9';
}

static bool is_alpha(uint32_t r)
{
    return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
}

static bool is_space(uint32_t r)
{
    return r == ' ' || r == '\t' || r == '\n' || r == '\r';
}

static bool in_set(uint32_t r, const char *set)
{
    return r > 0 && r < 0x80 && strchr(set, (int)r);
}

static bool accept(struct lexer *lx, const char *set)
{
    if (!in_set(peek(lx), set)) return false;
    lx->pos++;
    return true;
}

static void accept_run(struct lexer *lx, const char *set)
{
    while (accept(lx, set)) continue;
}

/* ---- tokens --------------------------------------------------------------------- */

static struct token emit(struct lexer *lx, enum token_kind kind)
{
    struct token t = {.kind = kind,
                      .start = (uint32_t)lx->start,
                      .text = slice_of(lx->input.ptr + lx->start, lx->pos - lx->start)};
    lx->start = lx->pos;
    return t;
}

/* The words are "text", and the rune quoted after it when there is one. */
static struct token fail(struct lexer *lx, const char *text)
{
    strbuf_reset(&lx->error);
    strbuf_str(&lx->error, text);
    lx->error_start = (uint32_t)lx->start;
    return (struct token){.kind = TOKEN_ERROR, .start = lx->error_start};
}

static struct token fail_rune(struct lexer *lx, const char *text, uint32_t rune)
{
    struct token t = fail(lx, text);
    quote_rune(&lx->error, rune);
    return t;
}

static struct token fail_token_text(struct lexer *lx, const char *text)
{
    struct token t = fail(lx, text);
    quote_text(&lx->error, slice_of(lx->input.ptr + lx->start, lx->pos - lx->start));
    return t;
}

/* ---- numbers and durations -------------------------------------------------------- */

/* Whether what begins here has the shape of a number; lx->pos is where the look stopped,
 * also when it has not, because messages quote the text up to there. */
static bool scan_number(struct lexer *lx)
{
    const char *digits = DIGITS;
    size_t begin = lx->pos;
    bool dot = false, exponent = false, hex = false;

    if (accept(lx, "0") && accept(lx, "xX")) {
        accept(lx, "_");
        digits = DIGITS "abcdefABCDEF";
        hex = true;
    }
    accept(lx, ".");
    accept(lx, digits);
    for (;;) {
        uint32_t r = peek(lx);
        if (r == '.') {
            lx->pos++;
            if (dot) return false;
            dot = true;
            if (accept(lx, "_.") || hex) return false;
        } else if (r == 'e' || r == 'E') {
            lx->pos++;
            if (exponent) return false;
            exponent = true;
            accept(lx, "+-");
            if (accept(lx, "._eE") || peek(lx) == RUNE_EOF) return false;
        } else if (r == '_') {
            lx->pos++;
            if (accept(lx, "._eE") || peek(lx) == RUNE_EOF) return false;
        } else if (in_set(r, digits)) {
            accept_run(lx, digits);
        } else {
            break;
        }
    }
    uint32_t after = peek(lx);
    return lx->pos != begin && !is_alpha(after) && !is_digit(after);
}

/* The rest of a duration whose first number has been read. */
static bool scan_duration(struct lexer *lx)
{
    if (!accept(lx, "smhdwy")) return false;
    accept(lx, "s"); /* of ms; hs and the like are found when it is parsed */
    while (accept(lx, DIGITS)) {
        accept_run(lx, DIGITS);
        if (!accept(lx, "smhdw")) return false;
        accept(lx, "s");
    }
    uint32_t after = peek(lx);
    if (!is_alpha(after) && !is_digit(after)) return true;
    lx->pos++;
    return false;
}

static struct token lex_number(struct lexer *lx)
{
    if (scan_number(lx)) return emit(lx, TOKEN_NUMBER);
    if (scan_duration(lx)) return emit(lx, TOKEN_DURATION);
    return fail_token_text(lx, "bad number or duration syntax: ");
}

/* ---- strings -------------------------------------------------------------------- */

static unsigned digit_value(uint32_t r)
{
    if (is_digit(r)) return r - '0';
    if (r >= 'a' && r <= 'f') return r - 'a' + 10;
    if (r >= 'A' && r <= 'F') return r - 'A' + 10;
    return 16;
}

/* The escape after a backslash; false with the words set when it is none. */
static bool scan_escape(struct lexer *lx, uint32_t quote)
{
    uint32_t r = next(lx), value = 0, max = 0x10ffff;
    unsigned n, base = 16;

    if (r == quote || in_set(r, "abfnrtv\\")) return true;
    if (r >= '0' && r <= '7') {
        n = 3, base = 8, max = 255;
    } else if (r == 'x') {
        n = 2, max = 255, r = next(lx);
    } else if (r == 'u' || r == 'U') {
        n = r == 'u' ? 4 : 8, r = next(lx);
    } else if (r == RUNE_EOF) {
        (void)fail(lx, "escape sequence not terminated");
        return false;
    } else {
        (void)fail(lx, "unknown escape sequence ");
        quote_code_point(&lx->error, r);
        return false;
    }
    for (;;) {
        unsigned digit = digit_value(r);
        if (digit >= base && r == RUNE_EOF) {
            (void)fail(lx, "escape sequence not terminated");
            return false;
        }
        if (digit >= base) {
            (void)fail(lx, "illegal character ");
            quote_code_point(&lx->error, r);
            strbuf_str(&lx->error, " in escape sequence");
            return false;
        }
        value = value * base + digit; /* eight digits fit */
        if (--n == 0) break;
        r = next(lx);
    }
    if (value <= max && !(value >= 0xd800 && value < 0xe000)) return true;
    (void)fail(lx, "escape sequence is an invalid Unicode code point");
    return false;
}

/* The opening quote has been read. */
static struct token lex_string(struct lexer *lx, uint32_t quote)
{
    for (;;) {
        uint32_t r = next(lx);
        if (r == quote) return emit(lx, TOKEN_STRING);
        if (r == 0xfffd) return fail(lx, "invalid UTF-8 rune");
        if (quote == '`') {
            if (r == RUNE_EOF) return fail(lx, "unterminated raw string");
        } else if (r == RUNE_EOF || r == '\n') {
            return fail(lx, "unterminated quoted string");
        } else if (r == '\\' && !scan_escape(lx, quote)) {
            return (struct token){.kind = TOKEN_ERROR, .start = lx->error_start};
        }
    }
}

/* ---- words ---------------------------------------------------------------------- */

static const struct keyword *find_keyword(struct slice word)
{
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (slice_is_nocase(word, keywords[i].word)) return &keywords[i];
    return NULL;
}

static bool find_aggregator(enum aggregator *out, struct slice word)
{
    for (int op = 0; op < N_AGGREGATORS; op++) {
        if (!slice_is_nocase(word, aggregator_name(op))) continue;
        *out = op;
        return true;
    }
    return false;
}

static bool paren_follows(const struct lexer *lx)
{
    size_t at = lx->pos;
    while (at < lx->input.len && is_space((unsigned char)lx->input.ptr[at])) at++;
    return at < lx->input.len && lx->input.ptr[at] == '(';
}

static struct token lex_word(struct lexer *lx)
{
    bool colon = false;
    enum aggregator aggregator;

    for (uint32_t r = peek(lx); is_alpha(r) || is_digit(r) || r == ':'; r = peek(lx)) {
        colon |= r == ':';
        lx->pos++;
    }
    struct slice word = slice_of(lx->input.ptr + lx->start, lx->pos - lx->start);
    const struct keyword *k = find_keyword(word);

    if (k && k->kind >= TOKEN_FILL && k->kind <= TOKEN_FILL_RIGHT && !paren_follows(lx))
        return emit(lx, TOKEN_IDENTIFIER);
    if (k) return emit(lx, k->kind);
    if (slice_is_nocase(word, "inf") || slice_is_nocase(word, "nan"))
        return emit(lx, TOKEN_NUMBER);
    if (find_aggregator(&aggregator, word)) {
        struct token t = emit(lx, TOKEN_AGGREGATOR);
        t.aggregator = aggregator;
        return t;
    }
    return emit(lx, colon ? TOKEN_METRIC_IDENTIFIER : TOKEN_IDENTIFIER);
}

/* A word inside brackets; the cursor is on its first letter. */
static struct token lex_duration_word(struct lexer *lx)
{
    uint32_t first = peek(lx);

    while (is_alpha(peek(lx))) lx->pos++;
    const struct keyword *k =
        find_keyword(slice_of(lx->input.ptr + lx->start, lx->pos - lx->start));
    if (k && k->kind >= TOKEN_STEP && k->kind <= TOKEN_MAX_OF) {
        lx->got_duration = true;
        return emit(lx, k->kind);
    }
    if (lx->in_duration)
        return fail_rune(lx, "unexpected character in duration expression: ", first);
    struct token t = fail_rune(lx, "unexpected character: ", first);
    strbuf_str(&lx->error, ", expected ':'");
    return t;
}

/* ---- modes ---------------------------------------------------------------------- */

static struct token lex_paren(struct lexer *lx, uint32_t r)
{
    if (r == '(') {
        lx->paren_depth++;
        return emit(lx, TOKEN_LPAREN);
    }
    struct token t = emit(lx, TOKEN_RPAREN);
    if (lx->paren_depth == 0) return fail_rune(lx, "unexpected right parenthesis ", r);
    lx->paren_depth--;
    return t;
}

static struct token lex_bracket(struct lexer *lx, uint32_t r)
{
    if (r == '[') {
        if (lx->bracket_open) return fail_rune(lx, "unexpected left bracket ", r);
        lx->bracket_open = true;
        lx->in_duration = true;
        lx->got_colon = false;
        return emit(lx, TOKEN_LBRACKET);
    }
    if (!lx->bracket_open) return fail_rune(lx, "unexpected right bracket ", r);
    lx->bracket_open = lx->in_duration = false;
    return emit(lx, TOKEN_RBRACKET);
}

static struct token lex_bracket_colon(struct lexer *lx)
{
    if (!lx->in_duration) {
        if (lx->got_colon) return fail_rune(lx, "unexpected colon ", ':');
        lx->got_colon = true;
        return emit(lx, TOKEN_COLON);
    }
    struct token t = emit(lx, TOKEN_COLON);
    if (!lx->got_duration)
        return fail(lx, "unexpected colon before duration in duration expression");
    if (lx->got_colon) return fail(lx, "unexpected repeated colon in duration expression");
    lx->got_colon = true;
    return t;
}

static struct token lex_duration(struct lexer *lx)
{
    uint32_t r = peek(lx);

    if (is_digit(r)) {
        lx->got_duration = true;
        lx->in_duration = false;
        return lex_number(lx);
    }
    if (in_set(r, "sSmMrR")) return lex_duration_word(lx);
    (void)next(lx);
    switch (r) {
    case RUNE_EOF: return fail(lx, "unexpected end of input in duration expression");
    case '[':
    case ']': return r == ']' ? lex_bracket(lx, r) : fail_rune(lx,
                      "unexpected character in duration expression: ", r);
    case ':': return lex_bracket_colon(lx);
    case '(':
    case ')': return lex_paren(lx, r);
    case '+': return emit(lx, TOKEN_ADD);
    case '-': return emit(lx, TOKEN_SUB);
    case '*': return emit(lx, TOKEN_MUL);
    case '/': return emit(lx, TOKEN_DIV);
    case '%': return emit(lx, TOKEN_MOD);
    case '^': return emit(lx, TOKEN_POW);
    case ',': return emit(lx, TOKEN_COMMA);
    case '.':
        if (!is_digit(peek(lx))) break;
        lx->pos--;
        lx->got_duration = true;
        lx->in_duration = false;
        return lex_number(lx);
    default: break;
    }
    return fail_rune(lx, "unexpected character in duration expression: ", r);
}

static struct token lex_braces(struct lexer *lx)
{
    uint32_t r = next(lx);

    if (is_alpha(r)) {
        while (is_alpha(peek(lx)) || is_digit(peek(lx))) lx->pos++;
        return emit(lx, TOKEN_IDENTIFIER);
    }
    switch (r) {
    case RUNE_EOF: return fail(lx, "unexpected end of input inside braces");
    case ',': return emit(lx, TOKEN_COMMA);
    case '"':
    case '\'':
    case '`': return lex_string(lx, r);
    case '=': return emit(lx, accept(lx, "~") ? TOKEN_EQL_REGEX : TOKEN_EQL);
    case '!':
        if (accept(lx, "~")) return emit(lx, TOKEN_NEQ_REGEX);
        if (accept(lx, "=")) return emit(lx, TOKEN_NEQ);
        return fail_rune(lx, "unexpected character after '!' inside braces: ", next(lx));
    case '{': return fail_rune(lx, "unexpected left brace ", r);
    case '}': lx->brace_open = false; return emit(lx, TOKEN_RBRACE);
    default: return fail_rune(lx, "unexpected character inside braces: ", r);
    }
}

/* = ! < > and what may follow them. */
static struct token lex_comparison(struct lexer *lx, uint32_t r)
{
    switch (r) {
    case '=':
        if (accept(lx, "=")) return emit(lx, TOKEN_EQLC);
        if (peek(lx) == '~') return fail_rune(lx, "unexpected character after '=': ", '~');
        return emit(lx, TOKEN_EQL);
    case '!':
        if (accept(lx, "=")) return emit(lx, TOKEN_NEQ);
        return fail_rune(lx, "unexpected character after '!': ", next(lx));
    case '<':
        if (accept(lx, "=")) return emit(lx, TOKEN_LTE);
        return emit(lx, accept(lx, "/") ? TOKEN_TRIM_UPPER : TOKEN_LSS);
    default:
        if (accept(lx, "=")) return emit(lx, TOKEN_GTE);
        return emit(lx, accept(lx, "/") ? TOKEN_TRIM_LOWER : TOKEN_GTR);
    }
}

static struct token lex_end(struct lexer *lx)
{
    if (lx->paren_depth > 0) return fail(lx, "unclosed left parenthesis");
    if (lx->bracket_open) return fail(lx, "unclosed left bracket");
    return emit(lx, TOKEN_EOF);
}

static struct token lex_letter(struct lexer *lx, uint32_t r)
{
    if (!lx->bracket_open) return lex_word(lx);
    if (r == ':') {
        (void)next(lx);
        return lex_bracket_colon(lx);
    }
    if (in_set(r, "sSmMrR")) return lex_duration_word(lx);
    (void)next(lx);
    struct token t = fail_rune(lx, "unexpected character: ", r);
    strbuf_str(&lx->error, ", expected ':'");
    return t;
}

static struct token lex_statement(struct lexer *lx)
{
    uint32_t r = peek(lx);

    if (is_digit(r)) return lex_number(lx);
    if (is_alpha(r) || r == ':') return lex_letter(lx, r);
    (void)next(lx);
    if (r == '.' && is_digit(peek(lx))) {
        lx->pos--;
        return lex_number(lx);
    }
    switch (r) {
    case RUNE_EOF: return lex_end(lx);
    case ',': return emit(lx, TOKEN_COMMA);
    case '*': return emit(lx, TOKEN_MUL);
    case '/': return emit(lx, TOKEN_DIV);
    case '%': return emit(lx, TOKEN_MOD);
    case '+': return emit(lx, TOKEN_ADD);
    case '-': return emit(lx, TOKEN_SUB);
    case '^': return emit(lx, TOKEN_POW);
    case '@': return emit(lx, TOKEN_AT);
    case '=':
    case '!':
    case '<':
    case '>': return lex_comparison(lx, r);
    case '"':
    case '\'':
    case '`': return lex_string(lx, r);
    case '(':
    case ')': return lex_paren(lx, r);
    case '{': lx->brace_open = true; return emit(lx, TOKEN_LBRACE);
    case '[':
    case ']': return lex_bracket(lx, r);
    default: return fail_rune(lx, "unexpected character: ", r);
    }
}

/* ---- public --------------------------------------------------------------------- */

void lexer_init(struct lexer *lx, struct slice input)
{
    *lx = (struct lexer){.input = input};
    strbuf_init(&lx->error, 0);
}

void lexer_release(struct lexer *lx)
{
    strbuf_release(&lx->error);
}

static void skip_blank(struct lexer *lx)
{
    for (;;) {
        uint32_t r = peek(lx);
        if (is_space(r)) {
            lx->pos++;
        } else if (r == '#' && !lx->in_duration) {
            while (lx->pos < lx->input.len && lx->input.ptr[lx->pos] != '\n' &&
                   lx->input.ptr[lx->pos] != '\r')
                lx->pos++;
        } else {
            break;
        }
    }
    lx->start = lx->pos;
}

struct token lexer_next(struct lexer *lx)
{
    skip_blank(lx);
    if (lx->brace_open) return lex_braces(lx);
    return lx->in_duration ? lex_duration(lx) : lex_statement(lx);
}

/* ---- words of messages ------------------------------------------------------------ */

static const struct keyword *keyword_of(enum token_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (keywords[i].kind == kind) return &keywords[i];
    return NULL;
}

/* Quoted; at most ten runes of it. */
static void put_literal(struct strbuf *out, struct slice text)
{
    size_t len = 0;
    uint32_t rune;

    if (text.len <= 10) {
        quote_text(out, text);
        return;
    }
    for (int i = 0; i < 10 && len < text.len; i++) len += utf8_next(&rune, slice_skip(text, len));
    quote_text(out, slice_of(text.ptr, len));
    strbuf_str(out, "...");
}

void token_describe(struct strbuf *out, const struct token *t)
{
    const struct keyword *k = keyword_of(t->kind);
    const char *open = NULL;

    if (k && k->class == CLASS_KEYWORD) open = "<";
    if (k && k->class == CLASS_OPERATOR) open = "<op:";
    if (t->kind >= TOKEN_ADD && t->kind <= TOKEN_AT) open = "<op:";
    if (t->kind == TOKEN_AGGREGATOR) open = "<aggr:";
    if (open) {
        strbuf_str(out, open);
        strbuf_slice(out, t->text);
        strbuf_char(out, '>');
        return;
    }
    switch (t->kind) {
    case TOKEN_EOF: strbuf_str(out, "end of input"); return;
    case TOKEN_IDENTIFIER: strbuf_str(out, "identifier "); break;
    case TOKEN_METRIC_IDENTIFIER: strbuf_str(out, "metric identifier "); break;
    case TOKEN_NUMBER: strbuf_str(out, "number "); break;
    case TOKEN_DURATION: strbuf_str(out, "duration "); break;
    case TOKEN_STRING: strbuf_str(out, "string "); break;
    default: break;
    }
    if (t->kind == TOKEN_IDENTIFIER || t->kind == TOKEN_METRIC_IDENTIFIER)
        quote_text(out, t->text);
    else
        put_literal(out, t->text);
}

static bool may_stand(const struct token *t, unsigned where)
{
    const struct keyword *k = keyword_of(t->kind);
    return k && (k->where & where);
}

bool token_is_metric(const struct token *t)
{
    return t->kind == TOKEN_IDENTIFIER || t->kind == TOKEN_METRIC_IDENTIFIER ||
           t->kind == TOKEN_AGGREGATOR || may_stand(t, METRIC);
}

bool token_is_label(const struct token *t)
{
    return t->kind == TOKEN_IDENTIFIER || t->kind == TOKEN_METRIC_IDENTIFIER ||
           t->kind == TOKEN_AGGREGATOR || may_stand(t, LABEL);
}
