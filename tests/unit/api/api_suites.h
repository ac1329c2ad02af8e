/* The suites of this program; each is in test_<name>.c. */
#ifndef TSINK_TESTS_API_SUITES_H
#define TSINK_TESTS_API_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_acl_rule(void);
Suite *suite_args(void);
Suite *suite_cmd_server(void);
Suite *suite_command(void);
Suite *suite_export_csv(void);
Suite *suite_export_line(void);
Suite *suite_expr_json(void);
Suite *suite_http_args(void);
Suite *suite_promjson(void);
Suite *suite_query_table(void);
Suite *suite_reply(void);
Suite *suite_route(void);
Suite *suite_series_image(void);
Suite *suite_ts_args(void);
Suite *suite_ts_filter(void);
Suite *suite_ts_key(void);
Suite *suite_ts_policy(void);

#endif
