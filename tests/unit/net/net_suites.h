/* The suites of this program; each is in test_<name>.c. */
#ifndef TSINK_TESTS_NET_SUITES_H
#define TSINK_TESTS_NET_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_iobuf(void);
Suite *suite_resp_read(void);
Suite *suite_resp_write(void);
Suite *suite_uri(void);
Suite *suite_http_read(void);
Suite *suite_http_coding(void);
Suite *suite_http_write(void);
Suite *suite_loop(void);
Suite *suite_conn_resp(void);
Suite *suite_conn_http(void);
Suite *suite_listener(void);

#endif
