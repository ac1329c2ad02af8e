/* The suites of this folder, for main.c. */
#ifndef TSINK_TESTS_CODEC_SUITES_H
#define TSINK_TESTS_CODEC_SUITES_H

#include <check.h>

Suite *suite_bitio(void);
Suite *suite_patched(void);
Suite *suite_tick_codec(void);
Suite *suite_value_codec(void);
Suite *suite_hist_codec(void);
Suite *suite_hist_columns(void);
Suite *suite_block(void);
Suite *suite_chunk(void);
Suite *suite_frame(void);
Suite *suite_compress(void);
Suite *suite_snappy(void);
Suite *suite_entropy(void);
Suite *suite_golden(void);
Suite *suite_tick_column(void);
Suite *suite_kernels(void);
Suite *suite_pfor(void);
Suite *suite_int_column(void);
Suite *suite_decimal(void);

#endif
