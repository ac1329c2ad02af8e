/* See timerwheel.h.
 *
 * The level of a timer is the highest six-bit digit in which due and now differ, its
 * slot that digit of due. So every used slot of a level lies ahead of now's digit, and
 * the first slot of the lowest used level begins before everything else:
 *
 *     now = ..0 | 05 | 62     due = ..0 | 05 | 63 -> level 0, slot 63
 *                             due = ..0 | 06 | 00 -> level 1, slot 06, falls to
 *                                                    level 0 when now is ..0|06|00
 *
 * Advancing jumps from one beginning to the next: a slot of level 0 is due, a slot of a
 * higher level is dealt out again. What is due is gathered first and called after the
 * clock stands at its final time, which is what makes a backlog impossible.
 */
#include "base/timerwheel.h"

#include "base/bits.h"
#include "base/panic.h"

enum { DIGIT_BITS = 6, LEVEL_DUE = -1 };

#define DELAY_MS_MAX (INT64_C(1) << (DIGIT_BITS * WHEEL_LEVELS - 1))

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    ASSERT(now_ms >= 0 && now_ms < DELAY_MS_MAX);
    wheel->now_ms = now_ms;
    wheel->n_timers = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->used[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++) list_init(&wheel->slots[level][slot]);
    }
}

void wheel_release(struct wheel *wheel)
{
    ASSERT(wheel->n_timers == 0);
}

void timer_init(struct timer *timer, void (*fn)(struct timer *timer))
{
    *timer = (struct timer){.fn = fn};
    list_init(&timer->link);
}

static unsigned slot_of(int64_t at_ms, int level)
{
    return (unsigned)(at_ms >> (DIGIT_BITS * level)) & (WHEEL_SLOTS - 1);
}

/* Puts a timer that is due after now into its slot. */
static void place(struct wheel *wheel, struct timer *timer)
{
    uint64_t differ = (uint64_t)(timer->due_ms ^ wheel->now_ms);
    int level = ((int)bit_width(differ) - 1) / DIGIT_BITS;
    unsigned slot = slot_of(timer->due_ms, level);

    ASSERT(differ && level < WHEEL_LEVELS);
    timer->level = (int8_t)level;
    list_push(&wheel->slots[level][slot], &timer->link);
    wheel->used[level] |= UINT64_C(1) << slot;
}

void timer_set(struct wheel *wheel, struct timer *timer, int64_t delay_ms)
{
    timer_cancel(wheel, timer);
    if (delay_ms < 1) delay_ms = 1;
    if (delay_ms > DELAY_MS_MAX) delay_ms = DELAY_MS_MAX;

    timer->due_ms = wheel->now_ms + delay_ms; /* below 2^48: fits the levels */
    timer->set = true;
    wheel->n_timers++;
    place(wheel, timer);
}

void timer_cancel(struct wheel *wheel, struct timer *timer)
{
    if (!timer->set) return;

    list_remove(&timer->link);
    timer->set = false;
    wheel->n_timers--;
    if (timer->level == LEVEL_DUE) return;
    unsigned slot = slot_of(timer->due_ms, timer->level);
    if (list_empty(&wheel->slots[timer->level][slot]))
        wheel->used[timer->level] &= ~(UINT64_C(1) << slot);
}

/* Where the next used slot begins, and which; -1 when there is none. */
static int64_t next_begin(const struct wheel *wheel, int *level_out)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        if (!wheel->used[level]) continue;
        int64_t slot = trailing_zeros(wheel->used[level]);
        int64_t turn = INT64_C(1) << (DIGIT_BITS * (level + 1));
        *level_out = level;
        return (wheel->now_ms & ~(turn - 1)) | slot << (DIGIT_BITS * level);
    }
    return -1;
}

/* The clock stands at the slot's beginning: timers due now go to `due`, the others
 * fall to a lower level. */
static void open_slot(struct wheel *wheel, int level, struct list *due)
{
    unsigned slot = slot_of(wheel->now_ms, level);
    struct list *node;

    wheel->used[level] &= ~(UINT64_C(1) << slot);
    while ((node = list_pop(&wheel->slots[level][slot])) != NULL) {
        struct timer *timer = container_of(node, struct timer, link);
        if (timer->due_ms > wheel->now_ms) {
            place(wheel, timer);
            continue;
        }
        timer->level = LEVEL_DUE;
        list_push(due, &timer->link);
    }
}

size_t wheel_advance(struct wheel *wheel, int64_t now_ms)
{
    struct list due, *node;
    size_t n = 0;
    int level;

    ASSERT(now_ms < DELAY_MS_MAX);
    list_init(&due);
    for (int64_t at; (at = next_begin(wheel, &level)) >= 0 && at <= now_ms;) {
        wheel->now_ms = at;
        open_slot(wheel, level, &due);
    }
    if (now_ms > wheel->now_ms) wheel->now_ms = now_ms;

    while ((node = list_pop(&due)) != NULL) {
        struct timer *timer = container_of(node, struct timer, link);
        timer->set = false;
        wheel->n_timers--;
        n++;
        timer->fn(timer);
    }
    return n;
}

int64_t wheel_next_ms(const struct wheel *wheel)
{
    int level;
    int64_t at = next_begin(wheel, &level);
    return at < 0 ? -1 : at - wheel->now_ms;
}
