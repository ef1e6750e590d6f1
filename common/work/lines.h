#pragma once
/* The lines protocol: one JSON object per line, between a worker and its long-lived program. Pure.
 *
 *   program  {"hello":1,"max":8}
 *   worker   {"task":"ID","token":7,"queue":"q","payload":"...","attempt":1,"max_attempts":5,"deadline_ms":...,"tags":[...],"traceparent":"..."}
 *            {"cancel":"ID"}   {"quit":"drain"}
 *   program  {"done":"ID","result":...}                        or result_b64
 *            {"fail":"ID","error":"...","retry":true,"after":"30s"}
 *            {"progress":"ID","pct":40,"note":"..."}   {"beat":1}
 *
 * The payload is a string where it is UTF-8, payload_b64 where it is not, and inline JSON where its content type is application/json and it is; a large one
 * is a file, whose path is payload_file instead. A result that is a string is stored as its bytes, any other JSON value as the text that the program wrote. Members that are not known here are ignored; of
 * those that are, each must have its type. Lines from the program are untrusted. */
#include "common/work/program_codec.h"

/* One line without its newline; it is changed in place, and *ret points into it. 0, or ERROR_BAD_REQUEST: stray output.
 * ERROR_VERSION: a hello of another version. */
int lines_read(char *line, size_t len, struct program_message *ret, struct error *e);
