/* The lines protocol: a line from a program, and a payload for one. jansson is the witness for what is JSON. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/work/json_scan.h"
#include "common/work/lines.h"
#include "common/wire/base64.h"
#include "tests/fuzz/fuzz.h"

/* It refuses numbers that no double holds, nests deeper, and takes a NUL byte for the end; all else must agree. */
static void compare(const char *text, size_t len)
{
	if (len && memchr(text, '\0', len))
		return;
	json_error_t why;
	json_t *j = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
	bool ours = json_scan_valid(text, len);
	if (!j && json_error_code(&why) == json_error_numeric_overflow)
		return;
	assert(ours == (j != NULL) || (j && len > JSON_SCAN_DEPTH));
	json_decref(j);
}

static void read_line(const uint8_t *data, size_t size)
{
	struct program_message m;
	struct error e;
	char *line = malloc(size + 1);
	memcpy(line, data, size);
	int r = lines_read(line, size, &m, &e);
	assert(r == 0 || r == ERROR_BAD_REQUEST || r == ERROR_VERSION);
	if (r == 0 && m.kind == PROGRAM_DONE)
		assert(m.result_len <= size && (!m.result_len || (m.result >= line && m.result + m.result_len <= line + size)));
	if (r == 0 && (m.kind == PROGRAM_FAIL || m.kind == PROGRAM_PROGRESS))
		assert(strlen(m.text) <= PROGRAM_TEXT_MAX && m.percent <= 100 + (m.kind == PROGRAM_FAIL ? UINT32_MAX - 100 : 0));
	if (r == 0 && m.kind == PROGRAM_HELLO)
		assert(m.max >= 1 && m.max <= PROGRAM_MAX_TASKS);
	free(line);
}

/* What is written can be read, and is the payload. */
static void write_task(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "", "application/json", "text/plain" };
	struct buffer b = { 0 };
	struct json_member members[16];
	size_t n;
	const struct program_task t = { .id = { { 1 } }, .token = 1, .queue = "q", .content_type = types[size % 3], .traceparent = "", .payload = data, .payload_len = size };
	assert(lines_codec.write_task(&b, &t) == 0);
	assert(memchr(b.data, '\n', b.to) == b.data + b.to - 1);
	assert(json_scan_object(b.data, b.to, members, 16, &n, NULL) == 0);
	for (size_t i = 0; i < n; i++) {
		char *text = (char *)members[i].value.data;
		size_t len;
		if (json_scan_key_is(&members[i], "payload") && members[i].kind == JSON_KIND_STRING && size % 3 != 1) {
			assert(json_scan_unescape(members[i].value, text) == size && (!size || !memcmp(text, data, size)));
		} else if (json_scan_key_is(&members[i], "payload_b64")) {
			assert(base64_decode(text, members[i].value.len, (uint8_t *)text, &len));
			assert(len == size && !memcmp(text, data, size));
		}
	}
	buffer_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	compare((const char *)data, size);
	read_line(data, size);
	write_task(data, size);
	return 0;
}
