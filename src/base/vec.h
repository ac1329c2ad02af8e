/* Growing arrays: struct { T *ptr; size_t len, cap; } and three verbs. Growth may
 * be refused, so pushing is an expression that says whether it happened. One owner
 * at a time.
 *
 *     struct { struct point *ptr; size_t len, cap; } points = {0};
 *     if (!vec_push(&points, ((struct point){.ts = 1}))) return ST_NO_MEMORY;
 *     vec_release(&points);
 */
#ifndef TSINK_BASE_VEC_H
#define TSINK_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>

#define VEC(type)                                                                              \
    struct {                                                                                   \
        type *ptr;                                                                             \
        size_t len, cap;                                                                       \
    }

/* Room for n more elements. */
#define vec_reserve(v, n)                                                                      \
    ((v)->cap - (v)->len >= (size_t)(n) ||                                                     \
     vec_grow((void **)&(v)->ptr, &(v)->cap, (v)->len, (size_t)(n), sizeof(*(v)->ptr)))

#define vec_push(v, ...) (vec_reserve(v, 1) && ((v)->ptr[(v)->len++] = (__VA_ARGS__), true))
#define vec_release(v) vec_drop((void **)&(v)->ptr, &(v)->len, &(v)->cap)
#define vec_clear(v) ((void)((v)->len = 0))

bool vec_grow(void **ptr, size_t *cap, size_t len, size_t more, size_t elem);
void vec_drop(void **ptr, size_t *len, size_t *cap);

#endif
