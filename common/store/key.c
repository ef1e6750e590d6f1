/* Keys: big-endian numbers and plain bytes behind each other. */
#include <string.h>
#include "common/store/store.h"

uint8_t *key_u8(uint8_t *at, uint8_t v)
{
	*at = v;
	return at + 1;
}

uint8_t *key_u32(uint8_t *at, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(at, &v, sizeof v);
	return at + sizeof v;
}

uint8_t *key_u64(uint8_t *at, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(at, &v, sizeof v);
	return at + sizeof v;
}

uint8_t *key_bytes(uint8_t *at, const void *data, size_t len)
{
	if (len)
		memcpy(at, data, len);
	return at + len;
}

uint32_t key_read_u32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof v);
	return __builtin_bswap32(v);
}

uint64_t key_read_u64(const uint8_t *at)
{
	uint64_t v;
	memcpy(&v, at, sizeof v);
	return __builtin_bswap64(v);
}
