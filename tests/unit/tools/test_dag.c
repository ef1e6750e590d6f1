#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include "actors/tools/bulk.h"
#include "actors/tools/dag.h"
#include "common/base/cleanup.h"

static struct arena *arena;
static struct error error;
static struct dag dag;
static struct id batch;
static bool with_files;
static unsigned n_read;

static void setup(void)
{
	arena = arena_new(64u << 20);
	with_files = false;
	ck_assert_int_eq(id_parse("01JD3Q7M4ZK8V2T5XW9RB6NC0E", &batch, NULL), 0);
}
static void teardown(void) { arena_unref(arena); }


static int read_file(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	n_read++;
	if (strcmp(path, "none") == 0)
		return error_set(e, ERROR_NOT_FOUND, "none is not there");
	t->payload = (ProtobufCBinaryData){ .len = strlen(path), .data = arena_copy(a, path, strlen(path)) };
	return 0;
}

static int read_text(const char *text)
{
	memset(&error, 0, sizeof error);
	const struct dag_defaults defaults = { .batch = batch, .now_ms = 1000000, .read_file = with_files ? read_file : NULL };
	n_read = 0;
	return dag_read(text, strlen(text), &defaults, arena, &dag, &error);
}

static void names_are(const char *wanted)
{
	char text[512] = "";
	for (size_t i = 0; i < dag.n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%s", i ? " " : "", dag.tasks[i]->role ? "*" : "", dag.names[i] ? dag.names[i] : "");
	ck_assert_str_eq(text, wanted);
}

#define HEAD "{\"queue\":\"q\",\"tasks\":["
#define TASK(name, more) "{\"name\":\"" name "\",\"payload\":\"\"" more "}"

START_TEST(tasks_stand_behind_those_that_they_wait_for_else_as_in_the_document)
{
	ck_assert_int_eq(read_text(HEAD TASK("d", ",\"after\":[\"b\",\"c\"]") "," TASK("b", ",\"after\":[\"a\"]") "," TASK("c", ",\"after\":[\"a\"]") "," TASK("a", "") "]}"), 0);
	names_are("a b c d");
	ck_assert_int_eq(read_text(HEAD TASK("x", "") "," TASK("y", "") "," TASK("z", ",\"after\":[\"x\"]") "]}"), 0);
	names_are("x y z");
}
END_TEST

START_TEST(ids_are_the_batchs_and_the_place_so_that_the_same_document_has_the_same)
{
	struct id first;
	ck_assert_int_eq(read_text(HEAD TASK("b", ",\"after\":[\"a\"]") "," TASK("a", "") "]}"), 0);
	first = bulk_id(&batch, 2);
	ck_assert_mem_eq(dag.tasks[0]->id.data, first.b, 16);
	ck_assert_mem_eq(dag.tasks[1]->depends_on[0]->id.data, first.b, 16);
	ck_assert_mem_eq(dag.batch.id.data, batch.b, 16);
	ck_assert_mem_eq(dag.tasks[1]->id.data, bulk_id(&batch, 1).b, 16);
}
END_TEST

START_TEST(an_edge_says_on_which_end_by_itself_or_for_all_of_the_task)
{
	ck_assert_int_eq(read_text(HEAD TASK("a", "") "," TASK("b", "") ","
		TASK("c", ",\"on\":\"end\",\"after\":[\"a\",{\"name\":\"b\",\"on\":\"failure\"},{\"id\":\"01JD3Q7M4ZK8V2T5XW9RB6NZZZ\",\"on\":\"success\"}]") "]}"), 0);
	const Troupe__TaskSpec *c = dag.tasks[2];
	ck_assert_uint_eq(c->n_depends_on, 3);
	ck_assert_int_eq(c->depends_on[0]->on, TROUPE__EDGE_ON__ON_END);
	ck_assert_int_eq(c->depends_on[1]->on, TROUPE__EDGE_ON__ON_FAILURE);
	ck_assert_int_eq(c->depends_on[2]->on, TROUPE__EDGE_ON__ON_SUCCESS);
}
END_TEST

START_TEST(compensations_and_callbacks_stand_at_the_end_with_their_roles)
{
	ck_assert_int_eq(read_text("{\"name\":\"site\",\"on_failure\":\"continue\",\"tasks\":[" TASK("a", ",\"queue\":\"x\",\"compensate\":{\"queue\":\"y\",\"payload\":1}") "],"
		"\"callbacks\":{\"end\":{\"queue\":\"z\",\"payload\":1},\"success\":{\"queue\":\"z\",\"payload\":2}}}"), 0);
	names_are("a *a * *");
	ck_assert_int_eq(dag.tasks[1]->role, TROUPE__BATCH_ROLE__COMPENSATION);
	ck_assert_mem_eq(dag.tasks[1]->compensates.data, dag.tasks[0]->id.data, 16);
	ck_assert_int_eq(dag.tasks[2]->role, TROUPE__BATCH_ROLE__CALLBACK_SUCCESS);
	ck_assert_int_eq(dag.tasks[3]->role, TROUPE__BATCH_ROLE__CALLBACK_END);
	ck_assert_str_eq(dag.batch.name, "site");
	ck_assert_int_eq(dag.batch.on_failure, TROUPE__BATCH_SPEC__ON_FAILURE__CONTINUE);
	for (size_t i = 0; i < dag.n; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert(memcmp(dag.tasks[i]->id.data, dag.tasks[k]->id.data, 16) != 0);
}
END_TEST

START_TEST(a_wrong_document_is_refused_with_line_and_name)
{
	static const struct { const char *text, *says[2]; uint32_t line; } rows[] = {
		{ "{\"queue\":\"q\",\n\"tasks\":[\n" TASK("a", "") ",\n" TASK("b", ",\"after\":[\"aa\"]") "]}", { "line 4, task \"b\": no task is named 'aa'", "did you mean a?" }, 4 },
		{ "{\"name\":\"tasks\",\"x-tasks\":1,\"tasks\":[]}", { "no member 'x-tasks'", "tasks" }, 0 },
		{ "{\"queue\":\"tasks\",\"callbacks\":{\"end\":{\"payload\":\"[{\"}},\n\"tasks\":[\n\n" TASK("a", ",\"prioriti\":1") "]}", { "line 4, task \"a\": a task has no member", "priority" }, 4 },
		{ HEAD TASK("a", "") ",\n" TASK("a", "") "]}", { "line 2, task \"a\": line 1 has a task of that name already", "another name" }, 2 },
		{ HEAD "{\"payload\":1}]}", { "line 1: task 1 has no name", "give it one" }, 0 },
		{ HEAD "{\"name\":\"\",\"payload\":1}]}", { "has no name", "" }, 0 },
		{ HEAD "7]}", { "element 1 is something else", "" }, 0 },
		{ HEAD TASK("a", ",\"after\":[\"a\"]") "]}", { "waits for itself: a waits for a", "edges" }, 1 },
		{ HEAD TASK("a", "") "," TASK("b", ",\"after\":[\"c\"]") ",\n" TASK("c", ",\"after\":[\"b\",\"a\"]") "]}", { "which waits for", "edges" }, 0 },
		{ HEAD TASK("a", ",\"after\":[\"b\",\"b\"]") "," TASK("b", "") "]}", { "the same task twice", "" }, 1 },
		{ HEAD TASK("a", ",\"after\":\"b\"") "]}", { "after must be an array", "" }, 1 },
		{ HEAD TASK("a", ",\"after\":[{\"name\":\"b\",\"when\":\"end\"}]") "," TASK("b", "") "]}", { "an object in after", "" }, 1 },
		{ HEAD TASK("a", ",\"after\":[{\"on\":\"end\"}]") "]}", { "an object in after", "" }, 1 },
		{ HEAD TASK("a", ",\"on\":\"sometimes\"") "]}", { "success, end or failure", "" }, 1 },
		{ HEAD TASK("a", ",\"id\":\"01JD3Q7M4ZK8V2T5XW9RB6NC0F\"") "]}", { "no member 'id'", "" }, 1 },
		{ "{\"tasks\":[" TASK("a", "") "]}", { "no queue", "--dag" }, 1 },
		{ HEAD TASK("a", ",\"compensate\":{\"payload\":1,\"after\":[]}") "]}", { NULL }, 0 },
		{ HEAD TASK("a", ",\"compensate\":{\"payload\":1,\"after\":[\"01JD3Q7M4ZK8V2T5XW9RB6NC0F\"]}") "]}", { "compensate: it waits for nothing but the batch", "" }, 1 },
		{ HEAD TASK("a", ",\"compensate\":7") "]}", { "compensate: it must be a task", "" }, 1 },
		{ HEAD TASK("a", "") "],\"callbacks\":{\"done\":{\"payload\":1}}}", { "success, failure or end", "" }, 0 },
		{ HEAD TASK("a", "") "],\"callbacks\":{\"end\":{\"payload\":1,\"delay\":\"soon\"}}}", { "callback end: ", "90s" }, 0 },
		{ HEAD TASK("a", "") "],\"on_failure\":\"stop\"}", { "cancel_rest or continue", "" }, 0 },
		{ HEAD TASK("a", "") "],\"name\":7}", { "name must be a string", "" }, 0 },
		{ HEAD "]}", { "not empty", "" }, 0 },
		{ "{\"queue\":\"q\"}", { "not empty", "" }, 0 },
		{ "[1]", { "no JSON object", "" }, 1 },
		{ "{\"queue\":\"q\",\n\"tasks\":[\n{]}", { "line 3, column", "" }, 3 },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		int code = read_text(rows[i].text);
		if (!rows[i].says[0]) {
			ck_assert_msg(code == 0, "%s: %s", rows[i].text, error.text);
			continue;
		}
		ck_assert_msg(code == ERROR_BAD_REQUEST, "%s is taken", rows[i].text);
		ck_assert_msg(strstr(error.text, rows[i].says[0]) != NULL, "%s: %s", rows[i].text, error.text);
		ck_assert_msg(strstr(error.cure, rows[i].says[1]) != NULL, "%s: %s", rows[i].text, error.cure);
		ck_assert_msg(!rows[i].line || error.index == rows[i].line, "%s: line %u", rows[i].text, error.index);
	}
}
END_TEST

START_TEST(files_are_read_when_everything_else_is_right_and_not_before)
{
	static const char good[] = "{\"queue\":\"q\",\"tasks\":[{\"name\":\"a\",\"payload_file\":\"x\",\"compensate\":{\"payload_file\":\"yy\"}}],\"callbacks\":{\"end\":{\"payload_file\":\"zzz\"}}}";
	static const char circle[] = "{\"queue\":\"q\",\"tasks\":[{\"name\":\"a\",\"payload_file\":\"x\",\"after\":[\"a\"]}]}", missing[] = "{\"queue\":\"q\",\"tasks\":[{\"name\":\"a\",\"payload_file\":\"none\"}]}";
	ck_assert_int_eq(read_text(good), ERROR_BAD_REQUEST);
	with_files = true;
	ck_assert_int_eq(read_text(good), 0);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(dag.tasks[i]->payload.len, i + 1);
	ck_assert_int_eq(read_text(circle), ERROR_BAD_REQUEST);
	ck_assert_uint_eq(n_read, 0);
	ck_assert_int_eq(read_text(missing), ERROR_NOT_FOUND);
}
END_TEST

/* "[{"name":"t0",...},...]" of n tasks, each after the one of the next place where chained. */
static char *document(size_t n, bool chained, const char *more)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	fputs("{\"queue\":\"q\",\"tasks\":[", f);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "%s{\"name\":\"t%zu\",\"payload\":\"\"", i ? ",\n" : "", i);
		if (chained && i + 1 < n)
			fprintf(f, ",\"after\":[\"t%zu\"]", i + 1);
		fputs("}", f);
	}
	fprintf(f, "]%s}", more);
	fclose(f);
	return text;
}

START_TEST(as_many_tasks_as_there_may_be_in_the_worst_order_and_not_one_more)
{
	_cleanup_(freep) char *most = document(DAG_TASKS_MAX, true, ""), *more = document(DAG_TASKS_MAX + 1, false, ""),
				   *callback = document(DAG_TASKS_MAX, false, ",\"callbacks\":{\"end\":{\"payload\":1}}");
	ck_assert_int_eq(read_text(most), 0);
	ck_assert_uint_eq(dag.n, DAG_TASKS_MAX);
	ck_assert_str_eq(dag.names[0], "t4095");
	ck_assert_int_eq(read_text(more), ERROR_TOO_LARGE);
	ck_assert_int_eq(read_text(callback), ERROR_TOO_LARGE);
}
END_TEST

START_TEST(a_long_circle_is_told_shortly_and_more_edges_than_there_may_be_are_refused)
{
	_cleanup_(freep) char *circle = document(4000, true, "");
	char *last = strstr(circle, "{\"name\":\"t3999\",\"payload\":\"\"");
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	fprintf(f, "%.*s{\"name\":\"t3999\",\"payload\":\"\",\"after\":[\"t7\"]}]}", (int)(last - circle), circle);
	fclose(f);
	ck_assert_int_eq(read_text(text), ERROR_BAD_REQUEST);
	ck_assert_msg(strstr(error.text, "and so on, which waits for") != NULL, "%s", error.text);

	free(text);
	f = open_memstream(&text, &size);
	fputs("{\"queue\":\"q\",\"tasks\":[", f);
	for (unsigned i = 0; i < 257; i++)
		fprintf(f, "{\"name\":\"t%u\",\"payload\":\"\"},", i);
	fputs("{\"name\":\"all\",\"payload\":\"\",\"after\":[", f);
	for (unsigned i = 0; i < 257; i++)
		fprintf(f, "%s\"t%u\"", i ? "," : "", i);
	fputs("]}]}", f);
	fclose(f);
	ck_assert_int_eq(read_text(text), ERROR_BAD_REQUEST);
	ck_assert_msg(strstr(error.text, "at most 256") != NULL, "%s", error.text);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tool: batches as documents");
	TCase *c = tcase_create("dag");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, tasks_stand_behind_those_that_they_wait_for_else_as_in_the_document);
	tcase_add_test(c, ids_are_the_batchs_and_the_place_so_that_the_same_document_has_the_same);
	tcase_add_test(c, an_edge_says_on_which_end_by_itself_or_for_all_of_the_task);
	tcase_add_test(c, compensations_and_callbacks_stand_at_the_end_with_their_roles);
	tcase_add_test(c, a_wrong_document_is_refused_with_line_and_name);
	tcase_add_test(c, files_are_read_when_everything_else_is_right_and_not_before);
	tcase_add_test(c, as_many_tasks_as_there_may_be_in_the_worst_order_and_not_one_more);
	tcase_add_test(c, a_long_circle_is_told_shortly_and_more_edges_than_there_may_be_are_refused);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
