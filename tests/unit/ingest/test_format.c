/* Goal: a content type finds its decoder, or none. */
#include "base/panic.h"
#include "ingest/json_lines.h"
#include "ingest/prom_text.h"
#include "ingest/prom_write.h"
#include "ingest/prom_write2.h"
#include "tests/unit/unit.h"

Suite *suite_format(void);

static const struct {
    const char *type;
    int id; /* -1: none */
} types[] = {
    {"application/x-protobuf", FORMAT_PROM_WRITE},
    {"Application/X-Protobuf", FORMAT_PROM_WRITE},
    {" application/x-protobuf ;proto=prometheus.WriteRequest", FORMAT_PROM_WRITE},
    {"application/x-protobuf; proto=\"prometheus.WriteRequest\"", FORMAT_PROM_WRITE},
    {"application/x-protobuf;proto=io.prometheus.write.v2.Request", FORMAT_PROM_WRITE2},
    {"application/x-protobuf; Proto=\"io.prometheus.write.v2.Request\"", FORMAT_PROM_WRITE2},
    {"application/x-protobuf;proto=io.prometheus.write.v3.Request", -1},
    {"application/x-protobuf;proto=", -1},
    {"text/plain;proto=x", -1},
    {"text/plain", FORMAT_PROM_TEXT},
    {"text/plain; version=0.0.4; charset=utf-8", FORMAT_PROM_TEXT},
    {"application/openmetrics-text; version=1.0.0; charset=utf-8", FORMAT_OPENMETRICS},
    {"application/json", -1},
    {"", -1},
    {";", -1},
    {"text/plainx", -1},
    {"text", -1},
};

START_TEST(test_content_types)
{
    const struct format *format = format_by_type(slice_str(types[_i].type));
    ck_assert_msg((format ? (int)format->id : -1) == types[_i].id, "%s", types[_i].type);
}
END_TEST

START_TEST(test_rows_name_their_decoders)
{
    ck_assert(format_get(FORMAT_PROM_WRITE)->decode == prom_write_decode);
    ck_assert(format_get(FORMAT_PROM_WRITE2)->decode == prom_write2_decode);
    ck_assert(format_get(FORMAT_PROM_TEXT)->decode == prom_text_decode);
    ck_assert(format_get(FORMAT_OPENMETRICS)->decode == openmetrics_decode);
    ck_assert(format_get(FORMAT_JSON_LINES)->decode == json_lines_decode);
    ck_assert_str_eq(format_get(FORMAT_PROM_WRITE)->name, "remote-write-1.0");
}
END_TEST

Suite *suite_format(void)
{
    Suite *suite = suite_create("format");
    TCase *tc = tcase_create("format");
    tcase_add_loop_test(tc, test_content_types, 0, ARRAY_LEN(types));
    tcase_add_test(tc, test_rows_name_their_decoders);
    suite_add_tcase(suite, tc);
    return suite;
}
