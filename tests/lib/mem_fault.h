/* Allocations that fail. Only those that may (mem_try*, arenas, vectors, buffers):
 * mem_alloc() is let through and not counted.
 *
 *     for (uint64_t n = 1;; n++) {
 *         mem_fault_arm(n, 1);                 the n-th fails
 *         st = operation();
 *         bool hit = mem_fault_disarm() > 0;
 *         if (!hit) break;                     ran to its end without the n-th
 *         ck_assert_int_eq(st, ST_NO_MEMORY);
 *     }
 *
 * mem_fault_install() comes before the first allocation of the program that frees
 * through it; memory from before is freed correctly all the same (both are malloc).
 * Counting covers all threads of the process.
 */
#ifndef TSINK_TESTS_MEM_FAULT_H
#define TSINK_TESTS_MEM_FAULT_H

#include <stdint.h>

void mem_fault_install(void);

/* From now on count; the n-th (1..) to the n+n_fail-1-th allocations fail. n_fail 0:
 * all from the n-th on. */
void mem_fault_arm(uint64_t n, uint64_t n_fail);

/* Stops failing; returns how many failed since armed. */
uint64_t mem_fault_disarm(void);

/* What is allocated between the two is the test's own: it neither counts nor fails. They
 * nest. */
void mem_fault_pause(void);
void mem_fault_resume(void);

/* Fallible allocations since armed. */
uint64_t mem_fault_count(void);

/* Blocks allocated through the hooks and not freed, of both kinds, for leak checks. */
int64_t mem_fault_live(void);

#endif
