/* Small JSON files with a checksum: one object whose last member is "crc32c", eight hex
 * digits over all bytes before that member's key. Written by durable_replace(), read
 * by people and programs alike. Any thread.
 *
 *     {"format":1,"n":3,"crc32c":"1c291ca3"}
 */
#ifndef TSINK_STORAGE_JSON_FILE_H
#define TSINK_STORAGE_JSON_FILE_H

#include <stdint.h>

#include "base/json_read.h"
#include "base/json_write.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "base/vfs.h"

/* Opens the outermost object. */
void json_file_begin(struct json_writer *w, struct strbuf *out);

/* Adds the checksum and closes the object. ST_NO_MEMORY when the buffer has failed. */
CHECKED status json_file_end(struct json_writer *w, struct err *err);

/* Parses text whose checksum holds; ST_CORRUPT otherwise. Returns owned. */
CHECKED status json_file_parse(struct json **out, struct slice text, size_t len_max,
                               struct err *err);

/* Reads and parses the file at path. ST_NOT_FOUND; ST_CORRUPT, also when larger than
 * len_max. Returns owned. */
CHECKED status json_file_read(struct json **out, struct vfs *vfs, const char *path,
                              size_t len_max, struct err *err);

/* Members that must be there: ST_CORRUPT names the missing or wrong one. Unsigned
 * numbers of 64 bits are written as hex text, because JSON's readers know only i64. */
CHECKED status json_file_u64(uint64_t *out, const struct json *obj, const char *name,
                             struct err *err);
CHECKED status json_file_i64(int64_t *out, const struct json *obj, const char *name,
                             struct err *err);
CHECKED status json_file_text(struct slice *out, const struct json *obj, const char *name,
                              struct err *err);
CHECKED status json_file_hex(uint64_t *out, const struct json *obj, const char *name,
                             struct err *err);
CHECKED status json_file_hex_value(uint64_t *out, const struct json *value, const char *name,
                                   struct err *err); /* of an array */
void json_file_put_hex(struct json_writer *w, const char *name, uint64_t v);

/* Bytes as hex text of exactly that length. */
CHECKED status json_file_bytes(uint8_t *out, size_t len, const struct json *obj,
                               const char *name, struct err *err);
void json_file_put_bytes(struct json_writer *w, const char *name, const uint8_t *src,
                         size_t len);

#endif
