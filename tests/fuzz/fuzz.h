#pragma once
/* A fuzz target is one file with this function. It returns 0 and aborts where a property does not hold. With -Dfuzz=true (clang) it is linked with
 * libFuzzer, otherwise with replay.c, which feeds it the files of corpus/<target>. Add it to the list in meson.build, and a seed or two to its corpus. */
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
