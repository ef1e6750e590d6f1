#include <stdio.h>
#include <string.h>
#include "tests/suite.h"
#include "tests/unit/supervisor/scenario.h"

/* G01 */
START_TEST(a_tree_of_three_supervisors_behaves_as_otps_does)
{
	SCENARIO("otp", "top ofa 4/3600 [ s1 ofo 4/3600 [ w1 w2 ] s2 ofo 4/3600 [] s3:T ofo [] ]", { "boot", "+w1 +w2" }, { "stop s3", "s3=shutdown =ok" }, { "add s2 w3; add s2 w4", "+w3 =ok +w4 =ok" },
		{ "count top", "[3,2,3,0]" }, { "crash w4", "-w4(x) +w4" }, { "fail w3 always; crash w3", "-w3(x) ~w3 ~w3 ~w3 -w4(shutdown) s2=shutdown -w2(shutdown) -w1(shutdown) s1=shutdown +w1 +w2" },
		{ "count s1", "[2,2,0,2]" }, { "count s2", "[0,0,0,0]" }, { "count s3", "[0,0,0,0]" }, { "count top", "[3,3,3,0]" });
}
END_TEST

/* G03 */
START_TEST(a_sub_supervisor_that_gives_up_is_restarted_by_the_one_above)
{
	SCENARIO("otp", "top ofo 5/10 [a sub ofo 0/10 [w]]", { "boot; add sub d", "+a +w +d =ok" }, { "crash w", "-w(x) -d(shutdown) sub=shutdown +w" }, { "count sub", "[1,1,0,1]" });
	SCENARIO("ours", "top ofo [a sub ofo 0/10 [w]]", { "boot; add sub d", "+a +w +d =ok" }, { "crash w", "-w(x) -d(shutdown) sub=gave_up +w +d" },
		{ "crash w", "-w(x) -d(shutdown) sub=gave_up +w +d" });
}
END_TEST

/* G04: the record's own end */
START_TEST(killing_a_supervisor_replaces_all_below_it)
{
	SCENARIO("otp", "top ofa 3/60 [mid ofo [server] z]", { "boot", "+server +z" }, { "kill mid", "-server(killed) mid=killed =ok -z(shutdown) +server +z" });
}
END_TEST

/* G06 */
START_TEST(giving_up_climbs_to_the_root)
{
	SCENARIO("otp", "root ofo 0/10 [l2 ofo 0/10 [l3 ofo 0/10 [w]]]", { "boot", "+w" }, { "crash w", "-w(x) l3=shutdown l2=shutdown root=shutdown EXIT(70)" });
	SCENARIO("ours", "root ofo 0/10 [l2 ofo 0/10 [l3 ofo 0/10 [w]] b]", { "boot", "+w +b" }, { "crash w", "-w(x) l3=gave_up l2=gave_up" }, { "list root", "b:up l2:failed" }, { "start l2", "+w =ok" });
}
END_TEST

/* G07 */
START_TEST(failed_starts_of_a_supervisor_count_above_it)
{
	SCENARIO("otp", "top ofo 3/10 [sub ofo 0/10 [w]]", { "boot", "+w" }, { "fail w 2; crash w", "-w(x) sub=shutdown ~w sub=start_failed ~w sub=start_failed +w" });
	SCENARIO("otp", "top ofo 2/10 [sub ofo 0/10 [w]]", { "boot", "+w" }, { "fail w 2; crash w", "-w(x) sub=shutdown ~w sub=start_failed ~w sub=start_failed top=shutdown EXIT(70)" });
}
END_TEST

/* G09 */
START_TEST(nothing_below_a_supervisor_survives_its_time)
{
	SCENARIO("ours", "top ofo [sub(shutdown=500) ofo [w deeper ofo [ x ]] a]", { "boot; lazy w 5000; lazy x 5000; wires", "+w +x +a" }, { "shutdown", "STOP:a(5000) -a(shutdown) STOP:x(500)" },
		{ "wait 500", "KILL:w(killed) KILL:x(killed) -w(killed) -x(killed) deeper=shutdown sub=shutdown top=shutdown EXIT(0)" });
}
END_TEST

/* G10 */
START_TEST(a_supervisor_stopped_and_started_by_hand)
{
	SCENARIO("otp", "top ofo [sub ofo [w1 w2]]", { "boot; add sub w3", "+w1 +w2 +w3 =ok" }, { "stop sub", "-w3(shutdown) -w2(shutdown) -w1(shutdown) sub=shutdown =ok" }, { "count top", "[1,0,1,0]" },
		{ "start sub", "+w1 +w2 =ok" });
	SCENARIO("ours", "top ofo [sub ofo [w1 w2]]", { "boot; add sub w3; stop w1", "+w1 +w2 +w3 =ok -w1(shutdown) =ok" }, { "stop sub", "-w3(shutdown) -w2(shutdown) sub=shutdown =ok" }, { "start sub", "+w2 +w3 =ok" });
}
END_TEST

/* 1.13, trap 6 */
START_TEST(a_transient_supervisor_that_gives_up_is_abnormal_except_in_otp_mode)
{
	SCENARIO("otp", "top ofo 5/10 [sub:T ofo 0/10 [w]]", { "boot; crash w", "+w -w(x) sub=shutdown" }, { "list top", "sub:none" });
	SCENARIO("ours", "top ofo [sub:T ofo 0/10 [w]]", { "boot; crash w", "+w -w(x) sub=gave_up +w" });
}
END_TEST

START_TEST(a_restarted_supervisor_reads_its_definition_again)
{
	SCENARIO("otp", "top ofo 9/10 [sub ofo 0/10 [t:X w:T u:X]]", { "boot; crash t", "+t +w +u -t(x)" }, { "list sub", "u:up w:up" }, { "crash w", "-w(x) -u(shutdown) sub=shutdown +t +w +u" },
		{ "crash t; add sub t", "-t(x) +t =ok" }, { "crash w", "-w(x) -t(shutdown) -u(shutdown) sub=shutdown +t +w +u" });
}
END_TEST

START_TEST(a_temporary_supervisor_goes_with_all_below_it)
{
	SCENARIO("ours", "top ofo [mid ofo [sub:X ofo 0/10 [w v]]]", { "boot; crash w", "+w +v -w(x) -v(shutdown) sub=gave_up" }, { "count mid", "[0,0,0,0]" }, { "start w", "=not_found" }, { "restart mid", "mid=shutdown +w +v =ok" },
		{ "list sub", "v:up w:up" });
}
END_TEST

START_TEST(supervisors_never_wait_for_each_others_children)
{
	SCENARIO("ours", "top ofo [s1 rfo [a b] s2 rfo [c d]]", { "boot", "+a +b +c +d" }, { "slow a 1000; crash a", "-a(x) -b(shutdown)" }, { "crash c", "-c(x) -d(shutdown) +c +d" }, { "wait 1000", "+a +b" });
}
END_TEST

/* E01, E02, E16 */
START_TEST(dynamic_children_come_and_go)
{
	SCENARIO("otp", "S dyn 2/3600 max=2 []", { "boot", "" }, { "count S", "[1,0,0,0]" }, { "add S d1; count S", "+d1 =ok [1,1,0,1]" }, { "add S d2; count S", "+d2 =ok [1,2,0,2]" }, { "add S d3", "=max_children" },
		{ "crash d1", "-d1(x) +d1" }, { "add S d3", "=max_children" }, { "crash d2", "-d2(x) +d2" }, { "crash d1", "-d1(x) -d2(shutdown) S=shutdown EXIT(70)" });
}
END_TEST

/* E04, E05, E07, E08 */
START_TEST(a_dynamic_record_lives_as_long_as_its_child)
{
	SCENARIO("otp", "S dyn 9/3600 []", { "boot; add S d1; add S d2", "+d1 =ok +d2 =ok" }, { "start d1", "=dynamic" }, { "delete d1", "=dynamic" }, { "stop d1", "-d1(shutdown) =ok" }, { "stop d1", "=not_found" },
		{ "count S", "[1,1,0,1]" }, { "ignore d2; crash d2", "-d2(x) i:d2" }, { "count S", "[1,0,0,0]" });
	SCENARIO("otp", "S dyn 4/3600 []", { "boot; add S d1; add S d2; fail d1 always", "+d1 =ok +d2 =ok" }, { "crash d1", "-d1(x) ~d1 ~d1 ~d1 ~d1 -d2(shutdown) S=shutdown EXIT(70)" });
	SCENARIO("otp backoff", "S dyn 8/10 []", { "boot; add S d1; crash d1", "+d1 =ok -d1(x)" }, { "list S", "d1:waiting(1000100)" }, { "count S", "[1,0,0,1]" }, { "stop d1; count S", "=ok [1,0,0,0]" });
}
END_TEST

START_TEST(dynamic_children_are_durable_by_default)
{
	SCENARIO("ours", "top ofo [S dyn 0/10 []]", { "boot; add S d1; add S d2; add S t:X", "+d1 =ok +d2 =ok +t =ok" }, { "crash d1", "-d1(x) -t(shutdown) -d2(shutdown) S=gave_up +d1 +d2" });
}
END_TEST

/* E10 */
START_TEST(two_thousand_temporary_children_leave_nothing_behind)
{
	struct scenario *s = scenario_new("otp", "S dyn []", 1);
	char line[64];
	scenario_do(s, "boot");
	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "add S d%d:X", i);
		scenario_do(s, line);
	}
	ck_assert_str_eq(scenario_do(s, "count S; count S"), "[1,2000,0,2000] [1,2000,0,2000]");
	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "die d%d", i);
		scenario_do(s, line);
	}
	ck_assert_str_eq(scenario_do(s, "count S"), "[1,0,0,0]");
	ck_assert_uint_eq(tree_size(scenario_tree(s)), 1);
	scenario_free(s);
}
END_TEST

/* F03, F04 */
START_TEST(what_is_not_significant_never_ends_its_supervisor)
{
	SCENARIO("otp", "S ofo any 5/5 [a:X b:T p]", { "boot", "+a +b +p" }, { "crash a", "-a(x)" }, { "stop b; start b", "-b(shutdown) =ok +b =ok" }, { "kill b", "-b(killed) =ok +b" }, { "normal b", "-b(normal)" });
}
END_TEST

/* F06, F07 */
START_TEST(with_any_the_first_significant_end_ends_all)
{
	SCENARIO("otp", "S ofo any [a:X! b:X! c:X]", { "boot", "+a +b +c" }, { "crash a", "-a(x) -c(shutdown) -b(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo any [a b:X! c]", { "boot; facts", "+a +b +c" },
		{ "crash b", "-b(x)/auto_shutdown! auto_shutdown:S -c(shutdown)/supervisor_ending -a(shutdown)/supervisor_ending S=shutdown EXIT(0)" });
}
END_TEST

/* F09, F10, F12 */
START_TEST(with_all_the_last_active_significant_end_ends_all)
{
	SCENARIO("otp", "S ofo all [a:X! b:X! c:X]", { "boot; normal a", "+a +b +c -a(normal)" }, { "normal b", "-b(normal) -c(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo all [a:T! b:T! p]", { "boot; normal a", "+a +b +p -a(normal)" }, { "crash b", "-b(x) +b" }, { "normal b", "-b(normal) -p(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo all [a:T! p]", { "boot; stop a", "+a +p -a(shutdown) =ok" }, { "list S", "p:up a:none" });
}
END_TEST

/* F13 */
START_TEST(a_siblings_group_restart_never_triggers_it)
{
	SCENARIO("otp", "S ofa any [a:T! b:T c:T!]", { "boot; kill b", "+a +b +c -b(killed) =ok -c(shutdown) -a(shutdown) +a +b +c" });
	SCENARIO("otp", "S rfo all [a:T! b:T c:T!]", { "boot; kill b", "+a +b +c -b(killed) =ok -c(shutdown) +b +c" });
	SCENARIO("otp", "S ofo any [a:T! b:T c:T!]", { "boot; kill b", "+a +b +c -b(killed) =ok +b" });
}
END_TEST

START_TEST(the_walk_is_depth_first_in_start_order)
{
	struct scenario *s = scenario_new("ours", "top ofo [a s1 ofo [b s2 ofo [] c] d]", 1);
	struct tree *t = scenario_tree(s);
	char line[64] = "";
	for (struct child *c = tree_next(t, NULL); c; c = tree_next(t, c))
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%u ", c->name, c->depth);
	ck_assert_str_eq(line, "top0 a1 s11 b2 s22 c2 d1 ");
	struct child *s1 = tree_find(t, "s1");
	int n = 0;
	for (struct child *c = s1; c; c = tree_next_under(t, s1, c))
		n++;
	ck_assert_int_eq(n, 4);
	scenario_free(s);
}
END_TEST

static Suite *nested_suite(void)
{
	Suite *s = suite_create("nested");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, a_tree_of_three_supervisors_behaves_as_otps_does);
	tcase_add_test(c, a_sub_supervisor_that_gives_up_is_restarted_by_the_one_above);
	tcase_add_test(c, killing_a_supervisor_replaces_all_below_it);
	tcase_add_test(c, giving_up_climbs_to_the_root);
	tcase_add_test(c, failed_starts_of_a_supervisor_count_above_it);
	tcase_add_test(c, nothing_below_a_supervisor_survives_its_time);
	tcase_add_test(c, a_supervisor_stopped_and_started_by_hand);
	tcase_add_test(c, a_transient_supervisor_that_gives_up_is_abnormal_except_in_otp_mode);
	tcase_add_test(c, a_restarted_supervisor_reads_its_definition_again);
	tcase_add_test(c, a_temporary_supervisor_goes_with_all_below_it);
	tcase_add_test(c, supervisors_never_wait_for_each_others_children);
	tcase_add_test(c, dynamic_children_come_and_go);
	tcase_add_test(c, a_dynamic_record_lives_as_long_as_its_child);
	tcase_add_test(c, dynamic_children_are_durable_by_default);
	tcase_add_test(c, two_thousand_temporary_children_leave_nothing_behind);
	tcase_add_test(c, what_is_not_significant_never_ends_its_supervisor);
	tcase_add_test(c, with_any_the_first_significant_end_ends_all);
	tcase_add_test(c, with_all_the_last_active_significant_end_ends_all);
	tcase_add_test(c, a_siblings_group_restart_never_triggers_it);
	tcase_add_test(c, the_walk_is_depth_first_in_start_order);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(nested_suite()); }
