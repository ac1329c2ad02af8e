/* Unit tests of src/net. */
#include "tests/unit/net/net_suites.h"

UNIT_MAIN(suite_iobuf, suite_resp_read, suite_resp_write, suite_uri, suite_http_read,
          suite_http_coding, suite_http_write, suite_loop, suite_conn_resp, suite_conn_http,
          suite_listener)
