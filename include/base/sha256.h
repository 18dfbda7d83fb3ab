/*
 * sha256: SHA-256 (FIPS 180-4) of bytes in memory. Pure. For names that must not tell what they are made of; not for passwords.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32

void sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES]);

#endif
