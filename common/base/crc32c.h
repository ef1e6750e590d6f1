#pragma once
/* CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as in RFC 3720 appendix B.4. */
#include <stddef.h>
#include <stdint.h>
/* crc is 0, or the result of the bytes before. Uses the SSE4.2 instruction where the CPU has it. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The same by a table, for every other CPU; tests compare the two. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);
