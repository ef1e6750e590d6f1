#include "tests/unit/troupe/stage.h"
#include <string.h>
#include "common/base/clock.h"

struct scripted node;
struct troupe *troupe;
struct troupe_error error;
size_t n_finished, n_up, n_down, n_pushed;
struct troupe_id finished_id;
enum troupe_state finished_state;

static void on_finished(void *ctx, const struct troupe_result *result)
{
	n_finished++;
	finished_id = result->id;
	finished_state = result->state;
}

static void on_state(void *ctx, const char *address, bool up)
{
	ck_assert_str_eq(address, "coordinator:main");
	n_up += up;
	n_down += !up;
}

static void on_push(void *ctx, const char *from, const void *envelope, size_t len)
{
	ck_assert_str_eq(from, "coordinator:main");
	ck_assert_uint_gt(len, 0);
	n_pushed++;
}

void stage_setup(void)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	scripted_start(&node);
	o.run_dir = node.dir;
	o.program = "test";
	o.timeout_ms = 20000;
	o.on_finished = on_finished;
	o.on_state = on_state;
	o.on_push = on_push;
	ck_assert_int_eq(troupe_connect(&o, &troupe, &error), 0);
}

void stage_teardown(void)
{
	ck_assert_int_eq(troupe_disconnect(troupe), 0);
	scripted_stop(&node);
}

struct troupe_id id_of(unsigned char last)
{
	struct troupe_id id = { .b = { 0 } };
	id.b[15] = last;
	return id;
}

struct troupe_task task_for(const char *queue, const char *payload)
{
	struct troupe_task task = TROUPE_TASK_INIT;
	task.queue = queue;
	task.payload = payload;
	task.payload_len = strlen(payload);
	return task;
}

void run_until(const size_t *n, size_t least)
{
	uint64_t until_ms = clock_mono_ms() + 10000;
	while (*n < least) {
		ck_assert_uint_lt(clock_mono_ms(), until_ms);
		ck_assert_int_eq(troupe_run(troupe, 100), 0);
	}
}
