/* SHA-256 (FIPS 180-4): passwords are kept as its hex form, as Redis keeps them. Pure, any
 * thread. */
#ifndef TSINK_BASE_SHA256_H
#define TSINK_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { SHA256_LEN = 32, SHA256_HEX_LEN = 64 };

void sha256(uint8_t dst[SHA256_LEN], struct slice src);

/* Lower-case hex, without a NUL. */
void sha256_hex(char dst[SHA256_HEX_LEN], struct slice src);

#endif
