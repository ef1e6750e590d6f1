#include "tests/suite.h"
#include "tests/unit/supervisor/scenario.h"

/* D01 */
START_TEST(the_order_of_stops_is_the_reverse_of_starts_and_never_by_name)
{
	SCENARIO("otp", "S rfo [ch7 ch3 ch10 ch2 ch5]", { "boot", "+ch7 +ch3 +ch10 +ch2 +ch5" }, { "kill ch10", "-ch10(killed) =ok -ch5(shutdown) -ch2(shutdown) +ch10 +ch2 +ch5" },
		{ "shutdown", "-ch5(shutdown) -ch2(shutdown) -ch10(shutdown) -ch3(shutdown) -ch7(shutdown) S=shutdown EXIT(0)" });
}
END_TEST

/* D03, D08 */
START_TEST(a_dynamic_supervisor_stops_all_at_once)
{
	SCENARIO("otp", "S dyn []", { "boot; add S a; add S b; add S c", "+a =ok +b =ok +c =ok" }, { "lazy a 200; lazy b 200; lazy c 200; shutdown; wait 199", "" },
		{ "wait 1", "-c(shutdown) -b(shutdown) -a(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S dyn []", { "boot; add S a(brutal); add S b(brutal); facts", "+a =ok +b =ok" },
		{ "shutdown", "-b(killed)/supervisor_ending -a(killed)/supervisor_ending S=shutdown EXIT(0)" });
}
END_TEST

/* D04 */
START_TEST(infinity_waits)
{
	SCENARIO("otp", "S ofo [sub(shutdown=infinity) ofo [ x(shutdown=infinity) ] w(shutdown=infinity)]", { "boot", "+x +w" }, { "lazy x 6000; lazy w 6000; shutdown; wait 5999", "" },
		{ "wait 1", "-w(shutdown)" }, { "wait 6000", "-x(shutdown) sub=shutdown S=shutdown EXIT(0)" });
}
END_TEST

/* D05 */
START_TEST(who_ignores_the_stop_is_killed_when_its_time_is_over)
{
	SCENARIO("otp", "S ofo [a(shutdown=1000) b(shutdown=1000)]", { "boot; facts; wires; deaf b", "+a +b" }, { "shutdown", "STOP:b(1000)" }, { "wait 999", "" },
		{ "wait 1", "overdue:b KILL:b(killed) -b(killed)/supervisor_ending! STOP:a(1000) -a(shutdown)/supervisor_ending S=shutdown EXIT(0)" });
}
END_TEST

/* D07 */
START_TEST(brutal_kill_asks_nobody_and_is_no_error)
{
	SCENARIO("otp", "S ofo [a(shutdown=1000) b(brutal)]", { "boot; facts; wires", "+a +b" },
		{ "shutdown", "KILL:b(killed) -b(killed)/supervisor_ending STOP:a(1000) -a(shutdown)/supervisor_ending S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(a_shutdown_of_zero_asks_and_kills_at_once)
{
	SCENARIO("otp", "S ofo [a(shutdown=zero)]", { "boot; wires", "+a" }, { "deaf a; shutdown", "STOP:a(0) KILL:a(killed) -a(killed) S=shutdown EXIT(0)" });
}
END_TEST

/* D16 */
START_TEST(sigterm_follows_the_stop_frame_after_its_own_time)
{
	SCENARIO("ours", "S ofo [a(shutdown=1000 term=300)]", { "boot; wires; deaf a", "+a" }, { "stop a", "STOP:a(1000)" }, { "wait 299", "" }, { "wait 1", "TERM:a" }, { "wait 699", "" },
		{ "wait 1", "KILL:a(killed) -a(killed) =ok" });
	SCENARIO("ours", "S ofo [a(shutdown=1000 term=0)]", { "boot; wires; stubborn a", "+a" }, { "stop a", "STOP:a(1000) TERM:a -a(shutdown) =ok" });
}
END_TEST

/* D10, D14 */
START_TEST(who_ends_by_itself_during_the_shutdown_is_neither_restarted_nor_counted)
{
	SCENARIO("otp", "S ofo 0/10 [a:X p t:T x:X q z]", { "boot; lazy z 1000", "+a +p +t +x +q +z" }, { "shutdown; wait 200", "" },
		{ "normal p; bye t; crash x; crash q", "-p(normal) -t(shutdown) -x(x) -q(x)" }, { "wait 800", "-z(shutdown) -a(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo 0/10 [a b]", { "boot; lazy b 200", "+a +b" }, { "shutdown; wait 50; crash a", "-a(x)" }, { "wait 150", "-b(shutdown) S=shutdown EXIT(0)" });
}
END_TEST

/* D13 */
START_TEST(an_error_exit_when_asked_does_not_change_the_supervisors_reason)
{
	SCENARIO("otp", "S ofo [a b]", { "boot; facts; exits a 9", "+a +b" }, { "shutdown", "-b(shutdown)/supervisor_ending -a(x)/supervisor_ending! S=shutdown EXIT(0)" });
}
END_TEST

/* D17 */
START_TEST(a_shutdown_during_the_start_cancels_it)
{
	SCENARIO("otp", "S ofo [a b c]", { "slow b 5000; boot; wires", "+a" }, { "shutdown", "STOP:b(500) TERM:b -b(shutdown) STOP:a(5000) -a(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo [a b c]", { "slow b 5000; boot; wires; deaf b", "+a" }, { "shutdown; wait 499", "STOP:b(500) TERM:b" },
		{ "wait 1", "KILL:b(killed) -b(killed) STOP:a(5000) -a(shutdown) S=shutdown EXIT(0)" });
}
END_TEST

/* H08 */
START_TEST(a_shutdown_during_a_retry_loop_ends_at_once)
{
	SCENARIO("otp", "S ofo 8/10 [a]", { "boot", "+a" }, { "slow a 2000; fail a always; crash a; wait 2000", "-a(x) ~a" }, { "shutdown", "-a(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("ours backoff", "S ofo [a]", { "boot", "+a" }, { "crash a", "-a(x)" }, { "shutdown", "S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(the_nodes_deadline_is_everybodys)
{
	SCENARIO("ours", "S ofo [a(shutdown=infinity) sub ofo [ b(shutdown=infinity) ] ]", { "boot; wires; deaf a; deaf b", "+a +b" }, { "shutdown 300", "STOP:b(300)" }, { "wait 299", "" },
		{ "wait 1", "KILL:a(killed) KILL:b(killed) -a(killed) -b(killed) sub=shutdown S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(a_second_shutdown_hurries_the_first)
{
	SCENARIO("ours", "S ofo [a b(shutdown=infinity)]", { "boot; wires; deaf b", "+a +b" }, { "shutdown; wait 10000", "STOP:b" },
		{ "fast", "KILL:a(killed) KILL:b(killed) -a(killed) -b(killed) S=shutdown EXIT(0)" });
	SCENARIO("ours", "S ofo [a b(shutdown=infinity)]", { "boot; wires; deaf b", "+a +b" }, { "shutdown; wait 10000", "STOP:b" }, { "shutdown 100; wait 100", "KILL:a(killed) KILL:b(killed) -a(killed) -b(killed) S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(an_unkillable_child_raises_an_alarm_and_holds_up_nobody)
{
	SCENARIO("ours", "S ofo [a b(shutdown=1000)]", { "boot; facts; undying b", "+a +b" }, { "shutdown; wait 1000", "overdue:b" }, { "wait 4999", "" },
		{ "wait 1", "stuck:b -a(shutdown)/supervisor_ending S=shutdown EXIT(71)" });
	SCENARIO("ours", "S ofa [a b c]", { "boot; facts; undying c", "+a +b +c" }, { "crash a", "-a(x)/group_restart!" }, { "wait 10000", "overdue:c stuck:c -b(shutdown)/comeback" },
		{ "wait 60000", "" }, { "willing c; die c", "-c(killed)/comeback! +a +b +c" });
}
END_TEST

START_TEST(a_record_stays_while_a_process_below_it_is_stuck)
{
	SCENARIO("ours", "top ofo [sub:X(shutdown=100) ofo [w]]", { "boot; facts; undying w; stop sub; wait 5100", "+w overdue:sub stuck:w sub=shutdown =ok" }, { "count top", "[1,0,1,0]" },
		{ "willing w; die w", "-w(killed)/supervisor_ending!" }, { "count top", "[0,0,0,0]" }, { "start sub", "=not_found" });
}
END_TEST

START_TEST(a_shutdown_before_boot_or_twice_ends_once)
{
	SCENARIO("ours", "S ofo [a]", { "shutdown", "EXIT(0)" }, { "boot", "" }, { "start a", "=noproc" });
	SCENARIO("ours", "S ofo [a]", { "boot; lazy a 10", "+a" }, { "shutdown; shutdown; wait 10", "-a(shutdown) S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(a_hung_child_that_is_told_to_stop_keeps_its_verdict)
{
	SCENARIO("ours", "S ofo [a]", { "boot; wires", "+a" }, { "hung a; wait 500; shutdown; wait 499", "ABORT:a" }, { "wait 1", "KILL:a(watchdog) -a(watchdog) S=shutdown EXIT(0)" });
}
END_TEST

static Suite *stop_suite(void)
{
	Suite *s = suite_create("stop");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, the_order_of_stops_is_the_reverse_of_starts_and_never_by_name);
	tcase_add_test(c, a_dynamic_supervisor_stops_all_at_once);
	tcase_add_test(c, infinity_waits);
	tcase_add_test(c, who_ignores_the_stop_is_killed_when_its_time_is_over);
	tcase_add_test(c, brutal_kill_asks_nobody_and_is_no_error);
	tcase_add_test(c, a_shutdown_of_zero_asks_and_kills_at_once);
	tcase_add_test(c, sigterm_follows_the_stop_frame_after_its_own_time);
	tcase_add_test(c, who_ends_by_itself_during_the_shutdown_is_neither_restarted_nor_counted);
	tcase_add_test(c, an_error_exit_when_asked_does_not_change_the_supervisors_reason);
	tcase_add_test(c, a_shutdown_during_the_start_cancels_it);
	tcase_add_test(c, a_shutdown_during_a_retry_loop_ends_at_once);
	tcase_add_test(c, the_nodes_deadline_is_everybodys);
	tcase_add_test(c, a_second_shutdown_hurries_the_first);
	tcase_add_test(c, an_unkillable_child_raises_an_alarm_and_holds_up_nobody);
	tcase_add_test(c, a_record_stays_while_a_process_below_it_is_stuck);
	tcase_add_test(c, a_shutdown_before_boot_or_twice_ends_once);
	tcase_add_test(c, a_hung_child_that_is_told_to_stop_keeps_its_verdict);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(stop_suite()); }
