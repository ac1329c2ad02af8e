/* Unit tests of model. */
#include "tests/unit/unit.h"

Suite *suite_agg(void);
Suite *suite_batch(void);
Suite *suite_exemplar(void);
Suite *suite_histogram(void);
Suite *suite_histogram_buckets(void);
Suite *suite_label(void);
Suite *suite_matcher(void);
Suite *suite_metadata(void);
Suite *suite_point(void);
Suite *suite_time(void);
Suite *suite_validate(void);
Suite *suite_value(void);

UNIT_MAIN(suite_agg, suite_batch, suite_exemplar, suite_histogram, suite_histogram_buckets,
          suite_label, suite_matcher, suite_metadata, suite_point, suite_time, suite_validate,
          suite_value)
