/* The unit tests of src/codec. */
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

UNIT_MAIN(suite_bitio, suite_patched, suite_tick_codec, suite_value_codec, suite_hist_codec,
          suite_hist_columns, suite_block, suite_chunk, suite_frame, suite_compress,
          suite_snappy, suite_entropy, suite_tick_column, suite_golden,
          suite_kernels, suite_pfor, suite_int_column, suite_decimal)
