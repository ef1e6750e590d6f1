#pragma once
/* A test program: one Suite, TAP on stdout (meson reads it), names that are sentences. check forks each test, so the parent must never touch nng. */
#include <check.h>
#include <stdlib.h>

static inline int suite_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
