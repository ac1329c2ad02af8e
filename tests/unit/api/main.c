/* Unit tests of src/api. */
#include "tests/unit/api/api_suites.h"

UNIT_MAIN(suite_acl_rule, suite_args, suite_command, suite_cmd_server, suite_export_csv,
          suite_export_line, suite_expr_json,
          suite_http_args, suite_promjson, suite_query_table, suite_reply,
          suite_route, suite_series_image, suite_ts_args, suite_ts_filter, suite_ts_key,
          suite_ts_policy)
