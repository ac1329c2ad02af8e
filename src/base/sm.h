/* Explicit state machines: a table of states with the moves each may make, and an
 * invariant that is checked after every move. A forbidden move is broken code and
 * ends the process with both names in the report; what comes from outside asks
 * sm_may() first.
 *
 *     static const struct sm_state door_states[] = {
 *         [DOOR_OPEN] = {"open", SM_MAY(DOOR_SHUT)},
 *         [DOOR_SHUT] = {"shut", SM_MAY(DOOR_OPEN) | SM_MAY(DOOR_LOCKED)},
 *         [DOOR_LOCKED] = {"locked", SM_MAY(DOOR_SHUT)},
 *     };
 *     sm_init(&door->sm, "door", door_states, ARRAY_LEN(door_states), DOOR_SHUT);
 *     sm_move(&door->sm, DOOR_LOCKED);
 *
 * One owner at a time.
 */
#ifndef TSINK_BASE_SM_H
#define TSINK_BASE_SM_H

#include <stdbool.h>
#include <stdint.h>

enum { SM_STATES_MAX = 64 };

#define SM_MAY(state) (UINT64_C(1) << (state))

struct sm_state {
    const char *name;
    uint64_t may; /* SM_MAY() of the states that may follow; 0: the end */
};

struct sm {
    const char *name;
    const struct sm_state *states;
    unsigned n_states;
    unsigned state;
    unsigned n_moves;
    void (*check)(const struct sm *sm); /* asserts; after every move; may be NULL */
};

void sm_init(struct sm *sm, const char *name, const struct sm_state *states, unsigned n_states,
             unsigned first);

/* Goes to the state, which must be allowed. */
void sm_move(struct sm *sm, unsigned to);
bool sm_may(const struct sm *sm, unsigned to);
bool sm_is_end(const struct sm *sm);
const char *sm_state_name(const struct sm *sm);

#endif
