/* Dictionary: texts interned to dense u32 ids. A text never moves; it goes when its last
 * user drops it, and then its memory and its id are used again once no reader is left who
 * could have found it: a slice from dict_text() is good while the reader is registered, or
 * while something that uses the text is alive. Texts that nobody ever used stay.
 *
 * The owner interns; any thread may find and read meanwhile, without locks, as a
 * registered reader (reclaim.h): the table that finds texts is replaced when it
 * grows and the old one retired.
 */
#ifndef TSINK_INDEX_DICT_H
#define TSINK_INDEX_DICT_H

#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/slice.h"
#include "base/status.h"
#include "index/reclaim.h"

enum { DICT_NONE = UINT32_MAX };

struct dict;

/* An empty dictionary charged to the account; NULL when refused. Copies rc. */
struct dict *dict_new(struct account *account, const struct reclaim *rc);
void dict_free(struct dict *dict); /* no reader left; what was retired has been freed */

/* The text's id, new or old; DICT_NONE when memory is refused. Owner. */
CHECKED uint32_t dict_intern(struct dict *dict, struct slice text);

/* One user more, one user less. Above DICT_USERS_MAX they are not counted any more, and the
 * text stays for good. Owner. */
enum { DICT_USERS_MAX = 255 };
void dict_use(struct dict *dict, uint32_t id);
void dict_drop(struct dict *dict, uint32_t id);

/* The text's id, or DICT_NONE. A text interned before this call is found. Any thread. */
uint32_t dict_find(const struct dict *dict, struct slice text);

/* The text of an id that dict_find, dict_intern or a published structure gave. */
struct slice dict_text(const struct dict *dict, uint32_t id);

/* The same with its length before it, as identities have it (model/label.h). */
struct slice dict_raw(const struct dict *dict, uint32_t id);

/* Ids below this were given out at least once. Any thread. */
uint32_t dict_len(const struct dict *dict);

/* Texts there are. Owner. */
uint32_t dict_count(const struct dict *dict);

#endif
