/* The table of verbs against the descriptor of Envelope. */
#include <stdbool.h>
#include <string.h>

#include "common/wire/verb.h"
#include "tests/suite.h"

START_TEST(every_number_of_the_body_has_its_name_and_exactly_one_owner)
{
	const ProtobufCMessageDescriptor *d = &troupe__envelope__descriptor;
	size_t n = 0;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
			continue;
		size_t rows = 0;
		for (size_t k = 0; k < n_verbs; k++)
			rows += verbs[k].number == (int)f->id;
		ck_assert_msg(rows == 1, "%s has %zu rows", f->name, rows);
		const struct verb *v = verb_find((int)f->id);
		ck_assert_ptr_nonnull(v);
		ck_assert_str_eq(v->name, f->name);
		ck_assert_ptr_eq(verb_by_name(f->name), v);
		ck_assert_str_ne(verb_owner_name(v->owner), "unknown");
		n++;
	}
	ck_assert_uint_eq(n, n_verbs);
}
END_TEST

START_TEST(what_is_no_verb_is_not_found)
{
	static const int numbers[] = { -1, 0, 1, 19, 26, 57, 94, 99, 112, 124, 1 << 30 };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		ck_assert_ptr_null(verb_find(numbers[i]));
	ck_assert_ptr_null(verb_by_name(""));
	ck_assert_ptr_null(verb_by_name("Submit"));
	ck_assert_ptr_null(verb_by_name("payload"));
}
END_TEST

START_TEST(every_request_has_a_reply_and_every_reply_a_request)
{
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = &verbs[i];
		if (v->kind == VERB_REQUEST) {
			const struct verb *reply = verb_find(v->reply);
			ck_assert_msg(reply && reply->kind == VERB_REPLY, "%s", v->name);
			ck_assert_msg(reply->owner == v->owner || reply->owner == OWNER_ACTOR, "%s is answered by another's verb", v->name);
			continue;
		}
		ck_assert_msg(v->reply == 0, "%s", v->name);
		if (v->kind == VERB_REPLY && v->number != TROUPE__ENVELOPE__BODY_ERROR) {
			bool asked = false;
			for (size_t k = 0; k < n_verbs; k++)
				asked |= verbs[k].reply == v->number;
			ck_assert_msg(asked, "%s answers nothing", v->name);
		}
	}
}
END_TEST

/* Who may do what, written out once more: a change of a right is made in two places, on purpose. */
START_TEST(the_least_role_of_every_request_is_the_stated_one)
{
	static const char *const submitter[] = { "submit", "cancel", "retry", "blob_put", "attach", "started", "outcomes", "progress", "revoked", "beat" };
	static const char *const operator_[] = { "purge", "queue_order", "child_order", "reload", "alter", "cron_order" };
	static const char *const admin[] = { "add_child" };
	static const char *const nobody[] = { "publish" };
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = &verbs[i];
		Troupe__Role role = v->kind == VERB_REQUEST ? TROUPE__ROLE__VIEWER : TROUPE__ROLE__ROLE_NONE;
		for (size_t k = 0; k < sizeof(submitter) / sizeof(submitter[0]); k++)
			if (!strcmp(v->name, submitter[k]))
				role = TROUPE__ROLE__SUBMITTER;
		for (size_t k = 0; k < sizeof(operator_) / sizeof(operator_[0]); k++)
			if (!strcmp(v->name, operator_[k]))
				role = TROUPE__ROLE__OPERATOR;
		for (size_t k = 0; k < sizeof(admin) / sizeof(admin[0]); k++)
			if (!strcmp(v->name, admin[k]))
				role = TROUPE__ROLE__ADMIN;
		for (size_t k = 0; k < sizeof(nobody) / sizeof(nobody[0]); k++)
			if (!strcmp(v->name, nobody[k]))
				role = TROUPE__ROLE__ROLE_NONE;
		ck_assert_msg(v->role == role, "%s", v->name);
	}
}
END_TEST

START_TEST(of_the_worker_plane_clients_may_say_what_workers_say_and_not_what_a_coordinator_says)
{
	for (int number = 100; number <= 111; number++) {
		const struct verb *v = verb_find(number);
		ck_assert_int_eq(v->kind, VERB_NOTICE);
		ck_assert(v->owner == OWNER_COORDINATOR || v->owner == OWNER_WORKER);
		ck_assert_int_eq(v->role, v->owner == OWNER_COORDINATOR ? TROUPE__ROLE__SUBMITTER : TROUPE__ROLE__ROLE_NONE);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("verb");
	TCase *t = tcase_create("verb");
	tcase_add_test(t, every_number_of_the_body_has_its_name_and_exactly_one_owner);
	tcase_add_test(t, what_is_no_verb_is_not_found);
	tcase_add_test(t, every_request_has_a_reply_and_every_reply_a_request);
	tcase_add_test(t, the_least_role_of_every_request_is_the_stated_one);
	tcase_add_test(t, of_the_worker_plane_clients_may_say_what_workers_say_and_not_what_a_coordinator_says);
	suite_add_tcase(s, t);
	return suite_run(s);
}
