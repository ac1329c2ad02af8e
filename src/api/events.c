/* Keyspace events. See events.h. */
#include "api/events.h"

#include <string.h>

#include "api/command.h"
#include "api/pubsub.h"
#include "base/panic.h"

/* Letters in the order in which Redis prints them; A is all of the first group. */
static const struct letter {
    char letter;
    bool in_all, last; /* in 'A'; printed behind the others */
} letters[] = {
    {'g', true, false}, {'$', true, false}, {'l', true, false}, {'s', true, false},
    {'h', true, false}, {'z', true, false}, {'x', true, false}, {'e', true, false},
    {'t', true, false}, {'d', true, false}, {'K', false, true}, {'E', false, true},
    {'m', false, true}, {'n', false, true},
};

static uint32_t bit_of(size_t i)
{
    switch (letters[i].letter) {
    case 'K': return EVENT_KEYSPACE;
    case 'E': return EVENT_KEYEVENT;
    case 'g': return EVENT_GENERIC;
    case 'x': return EVENT_EXPIRED;
    case 'd': return EVENT_MODULE;
    }
    return 1u << (8 + i); /* kept and printed, otherwise without a meaning */
}

static uint32_t all_bits(void)
{
    uint32_t all = 0;

    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (letters[i].in_all) all |= bit_of(i);
    return all;
}

bool events_parse(uint32_t *bits, struct slice text)
{
    uint32_t found = 0;

    for (size_t k = 0; k < text.len; k++) {
        size_t i = 0;
        if (text.ptr[k] == 'A') {
            found |= all_bits();
            continue;
        }
        while (i < ARRAY_LEN(letters) && letters[i].letter != text.ptr[k]) i++;
        if (i == ARRAY_LEN(letters)) return false;
        found |= bit_of(i);
    }
    *bits = found;
    return true;
}

void events_print(struct strbuf *out, uint32_t bits)
{
    bool all = (bits & all_bits()) == all_bits();

    if (all) strbuf_char(out, 'A');
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if ((bits & bit_of(i)) && !(all && letters[i].in_all)) strbuf_char(out, letters[i].letter);
}

static void send(struct app *app, const char *channel, struct slice about, struct slice message)
{
    struct strbuf name;

    strbuf_init(&name, 0);
    strbuf_str(&name, channel);
    strbuf_slice(&name, about);
    if (!name.failed) pubsub_send(app, strbuf_view(&name), message);
    strbuf_release(&name);
}

void events_tell(struct app *app, enum event_class class, const char *event, struct slice key)
{
    uint32_t bits = app_settings(app)->notify_events;

    if (!(bits & class) || !app->pubsub || !pubsub_has_listeners(app->pubsub)) return;
    if (bits & EVENT_KEYSPACE) send(app, "__keyspace@0__:", key, slice_str(event));
    if (bits & EVENT_KEYEVENT) send(app, "__keyevent@0__:", slice_str(event), key);
}

/* Commands whose event is not their name on each key. */
static const struct odd {
    const char *command;
    enum event_class class;
    const char *first, *second; /* on the first key; on the others */
} odd[] = {
    {"ts.madd", EVENT_MODULE, "ts.add", "ts.add"},
    {"ts.incrby", EVENT_GENERIC, "ts.incrby", NULL},
    {"ts.decrby", EVENT_GENERIC, "ts.decrby", NULL},
    {"ts.createrule", EVENT_MODULE, "ts.createrule:src", "ts.createrule:dest"},
    {"ts.deleterule", EVENT_MODULE, "ts.deleterule:src", "ts.deleterule:dest"},
};

static const struct odd *find_odd(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        if (strcmp(odd[i].command, command) == 0) return &odd[i];
    return NULL;
}

/* An answer that begins as an error does. */
static bool has_failed(struct call *call)
{
    const struct iobuf_block *block = reply_slot_out(call->slot)->first;

    return !block || !block->len || block->data[block->start] == '-';
}

void events_of_call(struct call *call)
{
    const struct command *cmd = call->cmd;
    unsigned module_write = CMD_WRITE | CMD_TS;

    if (!cmd || (cmd->flags & module_write) != module_write || cmd->first_key == 0) return;
    if (!app_settings(call->app)->notify_events || has_failed(call)) return;
    const struct odd *rule = find_odd(cmd->name);
    size_t last = cmd->last_key < 0 ? call->argc - 1 : (size_t)cmd->last_key;
    for (size_t i = (size_t)cmd->first_key; i <= last; i += (size_t)cmd->key_step) {
        const char *event = rule ? rule->first : cmd->name;
        if (rule && i > (size_t)cmd->first_key) event = rule->second;
        events_tell(call->app, rule ? rule->class : EVENT_MODULE, event, call->argv[i]);
    }
}
