/* An app without a database behind a real listener, and a client that expects. One
 * at a time. */
#ifndef TSINK_TESTS_API_FIXTURE_H
#define TSINK_TESTS_API_FIXTURE_H

#include "api/app.h"
#include "tests/unit/api/api_suites.h"

extern struct app fixture_app; /* ports and settings may be set before start */

void fixture_init(void);            /* clears the app; start does it unless it was done */
void fixture_start(size_t n_io);    /* starts n_io I/O threads and the owner's */
void fixture_start_http(size_t n_io); /* the same with HTTP instead of RESP */
void fixture_stop(void);            /* asserts that all network memory is gone */

int fixture_client(void);
void fixture_say(int fd, const char *text);
/* Exactly these bytes come next; said names the case. */
void fixture_hear(int fd, const char *said, const char *text);
/* Everything until the server closes; the caller frees it. */
char *fixture_hear_all(int fd);

#endif
