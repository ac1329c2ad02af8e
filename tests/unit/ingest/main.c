/* Unit tests of ingest. */
#include "tests/unit/unit.h"

Suite *suite_csv(void);
Suite *suite_exemplar_row(void);
Suite *suite_format(void);
Suite *suite_json_lines(void);
Suite *suite_prom_hist(void);
Suite *suite_prom_read(void);
Suite *suite_prom_text(void);
Suite *suite_prom_write(void);
Suite *suite_prom_write2(void);
Suite *suite_snappy_body(void);
Suite *suite_wire(void);

UNIT_MAIN(suite_csv, suite_exemplar_row, suite_format, suite_json_lines, suite_prom_hist,
          suite_prom_read,
          suite_prom_text, suite_prom_write, suite_prom_write2, suite_snappy_body, suite_wire)
