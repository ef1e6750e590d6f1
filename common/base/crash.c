#include "common/base/crash.h"

#include <stddef.h>

const char *volatile crash_words;
