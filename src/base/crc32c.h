/* CRC32C (Castagnoli), the checksum of everything on disk and on the bus. Uses
 * the CPU's instruction where there is one. Pure, any thread. */
#ifndef TSINK_BASE_CRC32C_H
#define TSINK_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of src[0..len) continued from crc (0 to begin). crc32c(0,"123456789",9)
 * is 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *src, size_t len);

/* The portable version, for comparison in tests. */
uint32_t crc32c_portable(uint32_t crc, const void *src, size_t len);

#endif
