/* See sm.h. */
#include "base/sm.h"

#include "base/panic.h"

void sm_init(struct sm *sm, const char *name, const struct sm_state *states, unsigned n_states,
             unsigned first)
{
    ASSERT(n_states >= 1 && n_states <= SM_STATES_MAX && first < n_states);
    for (unsigned i = 0; i < n_states; i++) {
        if (!states[i].name) PANIC("%s: state %u has no row", name, i);
        if (n_states < SM_STATES_MAX && states[i].may >> n_states)
            PANIC("%s: %s may go where there is no state", name, states[i].name);
    }
    *sm = (struct sm){.name = name, .states = states, .n_states = n_states, .state = first};
}

bool sm_may(const struct sm *sm, unsigned to)
{
    return to < sm->n_states && (sm->states[sm->state].may & SM_MAY(to)) != 0;
}

void sm_move(struct sm *sm, unsigned to)
{
    if (!sm_may(sm, to))
        PANIC("%s: no way from %s to %s", sm->name, sm_state_name(sm),
              to < sm->n_states ? sm->states[to].name : "nowhere");
    sm->state = to;
    sm->n_moves++;
    if (sm->check) sm->check(sm);
}

bool sm_is_end(const struct sm *sm)
{
    return sm->states[sm->state].may == 0;
}

const char *sm_state_name(const struct sm *sm)
{
    return sm->states[sm->state].name;
}
