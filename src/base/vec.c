/* Growing arrays. See vec.h. */
#include "base/vec.h"

#include <stdint.h>

#include "base/mem.h"

enum { CAP_MIN = 8 };

bool vec_grow(void **ptr, size_t *cap, size_t len, size_t more, size_t elem)
{
    size_t need, bytes;
    if (__builtin_add_overflow(len, more, &need)) return false;

    size_t to = *cap > SIZE_MAX / 2 ? need : *cap * 2;
    if (to < need) to = need;
    if (to < CAP_MIN) to = CAP_MIN;
    if (__builtin_mul_overflow(to, elem, &bytes)) return false;

    void *grown = mem_try_grow(*ptr, bytes);
    if (!grown) return false;
    *ptr = grown;
    *cap = to;
    return true;
}

void vec_drop(void **ptr, size_t *len, size_t *cap)
{
    mem_free(*ptr);
    *ptr = NULL;
    *len = *cap = 0;
}
