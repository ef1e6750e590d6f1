#include "common/base/crash.h"

#include <stddef.h>

_Thread_local const char *volatile crash_words;
