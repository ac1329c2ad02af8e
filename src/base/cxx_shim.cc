/* The one C++ file: doors to RE2, std::to_chars and std::from_chars. See cxx_shim.h.
 * No exceptions, no RTTI; everything that decides anything is in C. */
#include "base/cxx_shim.h"

#include <charconv>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <system_error>

#include <re2/re2.h>

struct shim_re {
    RE2 re;
    shim_re(const re2::StringPiece &pattern, const RE2::Options &options) : re(pattern, options) {}
};

enum { GROUPS_MAX = 33 };

static void copy_why(char *why, size_t why_len, const std::string &text)
{
    if (why_len == 0) return;
    size_t len = text.size() < why_len - 1 ? text.size() : why_len - 1;
    memcpy(why, text.data(), len);
    why[len] = 0;
}

extern "C" enum shim_re_result shim_re_new(struct shim_re **out, const char *ptr, size_t len,
                                           int64_t max_mem, char *why, size_t why_len)
{
    RE2::Options options;
    options.set_dot_nl(true);
    options.set_log_errors(false);
    options.set_max_mem(max_mem);

    shim_re *re = new (std::nothrow) shim_re(re2::StringPiece(ptr, len), options);
    if (!re) return SHIM_RE_NO_MEMORY;
    if (re->re.ok()) {
        *out = re;
        return SHIM_RE_OK;
    }
    bool too_large = re->re.error_code() == RE2::ErrorPatternTooLarge;
    copy_why(why, why_len, re->re.error());
    delete re;
    return too_large ? SHIM_RE_TOO_LARGE : SHIM_RE_BAD;
}

extern "C" void shim_re_free(struct shim_re *re)
{
    delete re;
}

extern "C" int shim_re_program_size(const struct shim_re *re)
{
    return re->re.ProgramSize();
}

extern "C" bool shim_re_match(const struct shim_re *re, const char *text, size_t len)
{
    return re->re.Match(re2::StringPiece(text, len), 0, len, RE2::ANCHOR_BOTH, nullptr, 0);
}

extern "C" bool shim_re_groups(const struct shim_re *re, const char *text, size_t len,
                               const char **ptrs, size_t *lens, size_t n)
{
    re2::StringPiece groups[GROUPS_MAX];
    if (n > GROUPS_MAX) n = GROUPS_MAX;
    if (!re->re.Match(re2::StringPiece(text, len), 0, len, RE2::ANCHOR_BOTH, groups,
                      static_cast<int>(n)))
        return false;
    for (size_t i = 0; i < n; i++) {
        ptrs[i] = groups[i].data();
        lens[i] = groups[i].size();
    }
    return true;
}

extern "C" size_t shim_re_n_groups(const struct shim_re *re)
{
    return static_cast<size_t>(re->re.NumberOfCapturingGroups());
}

extern "C" int shim_re_group_index(const struct shim_re *re, const char *name, size_t len)
{
    const std::map<std::string, int> &names = re->re.NamedCapturingGroups();
    auto at = names.find(std::string(name, len));
    return at == names.end() ? -1 : at->second;
}

extern "C" bool shim_re_has_double_names(const struct shim_re *re)
{
    return re->re.CapturingGroupNames().size() != re->re.NamedCapturingGroups().size();
}

extern "C" size_t shim_f64_scientific(char *dst, double v)
{
    return static_cast<size_t>(
        std::to_chars(dst, dst + 32, v, std::chars_format::scientific).ptr - dst);
}

extern "C" enum shim_f64_result shim_f64_parse(double *out, const char *ptr, size_t len)
{
    double v = 0;
    std::from_chars_result got = std::from_chars(ptr, ptr + len, v, std::chars_format::general);
    if (got.ec == std::errc::result_out_of_range && got.ptr == ptr + len) return SHIM_F64_RANGE;
    if (got.ec != std::errc() || got.ptr != ptr + len) return SHIM_F64_BAD;
    *out = v;
    return SHIM_F64_OK;
}
