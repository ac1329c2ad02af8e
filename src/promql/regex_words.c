/* Both libraries have the same author and the same set of complaints; a code and the part
 * of the pattern that it is about, in that order. RE2's words are those of its 2022
 * releases (Debian 12).
 */
#include "promql/regex_words.h"

#include "base/panic.h"

static const struct {
    const char *re2, *go;
} words[] = {
    {"missing ]", "missing closing ]"},
    {"missing )", "missing closing )"},
    {"trailing \\", "trailing backslash at end of expression"},
    {"no argument for repetition operator", "missing argument to repetition operator"},
    {"invalid repetition size", "invalid repeat count"},
    {"bad repetition operator", "invalid nested repetition operator"},
    {"invalid perl operator", "invalid or unsupported Perl syntax"},
    {"invalid named capture group", "invalid named capture"},
    {"invalid escape sequence", "invalid escape sequence"},
    {"invalid character class range", "invalid character class range"},
    {"invalid character class", "invalid character class"},
    {"unexpected )", "unexpected )"},
    {"invalid UTF-8", "invalid UTF-8"},
};

void regex_words(struct strbuf *out, struct slice complaint)
{
    strbuf_str(out, "error parsing regexp: ");
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct slice re2 = slice_str(words[i].re2);
        struct slice rest = {0};

        if (!slice_starts(complaint, re2)) continue;
        rest = slice_skip(complaint, re2.len);
        if (rest.len > 0 && !slice_starts(rest, SLICE_LIT(": "))) continue;
        if (rest.len > 0) rest = slice_skip(rest, 2);
        strbuf_str(out, words[i].go);
        strbuf_str(out, ": `");
        strbuf_slice(out, rest);
        strbuf_char(out, '`');
        return;
    }
    strbuf_slice(out, complaint);
}
