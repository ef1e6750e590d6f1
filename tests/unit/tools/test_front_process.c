/* A real front under a small supervisor in a process of its own, and the client library in front of it.
 *
 * The supervisor starts front again whenever it dies. Of what front relays it answers: StatusAsk, with the envelope's subject as config; CrashAsk, with an error;
 * TailAsk, never. */
#include "tests/suite.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/io/lifeline.h"
#include "common/troupe/client.h"

static char dir[64];
static pid_t supervisor;
static struct client *client;
static struct arena *arena;
static const Troupe__Envelope *answer;
static struct error error;

/* --- the supervisor --- */

static void answer_relay(struct lifeline *l, uint64_t ref, const Troupe__Envelope *env)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Envelope a = TROUPE__ENVELOPE__INIT;
	Troupe__Status status = TROUPE__STATUS__INIT;
	Troupe__Failure failure = TROUPE__FAILURE__INIT;
	status.state = (char *)"running";
	status.config = env->subject;
	failure.code = ERROR_NOT_FOUND;
	failure.text = (char *)"no such report";
	failure.cure = (char *)"look elsewhere";
	if (env->body_case == TROUPE__ENVELOPE__BODY_STATUS_ASK) {
		a.body_case = TROUPE__ENVELOPE__BODY_STATUS;
		a.status = &status;
	} else if (env->body_case == TROUPE__ENVELOPE__BODY_CRASH_ASK) {
		a.body_case = TROUPE__ENVELOPE__BODY_ERROR;
		a.error = &failure;
	} else {
		return;
	}
	c.ref = ref;
	c.body_case = TROUPE__CONTROL__BODY_ANSWER;
	c.answer = &a;
	lifeline_send(l, &c, -1);
}

static void send_setup(struct lifeline *l, Troupe__Role role, unsigned incarnation)
{
	char socket[128], front[128];
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Setup s = TROUPE__SETUP__INIT;
	Troupe__FrontSetup f = TROUPE__FRONT_SETUP__INIT;
	Troupe__Limits limits = TROUPE__LIMITS__INIT;
	Troupe__RoleRule rule = TROUPE__ROLE_RULE__INIT;
	Troupe__RoleRule *rules[] = { &rule };
	snprintf(socket, sizeof socket, "%s/a/1.%u", dir, incarnation);
	snprintf(front, sizeof front, "%s/front", dir);
	f.listen = front;
	f.mode = 0600;
	limits.frame = 1u << 20;
	limits.frame_envelopes = 4096;
	limits.mailbox_messages = 1000;
	limits.mailbox_bytes = 1u << 24;
	limits.output_bytes = 4u << 20;
	limits.connections = 64;
	limits.credit = 256;
	limits.anonymous_credit = 16;
	rule.role = role;
	rule.everybody = true;
	s.address = (char *)"front:main";
	s.incarnation = incarnation;
	s.number = 1;
	s.node = (char *)"0123456789abcdef0123456789abcdef";
	s.run_dir = dir;
	s.state_dir = dir;
	s.socket = socket;
	s.limits = &limits;
	s.roles = rules;
	s.n_roles = 1;
	s.log_format = (char *)"logfmt";
	s.log_level = (char *)"error";
	s.turn_timeout_ms = 30000;
	s.front = &f;
	c.body_case = TROUPE__CONTROL__BODY_SETUP;
	c.setup = &s;
	lifeline_send(l, &c, -1);
}

/* One life of front, until it ends. */
static void supervise_once(Troupe__Role role, unsigned incarnation)
{
	int ends[2];
	struct lifeline l;
	if (lifeline_pair(ends) != 0)
		_exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], LIFELINE_FD);
		fcntl(LIFELINE_FD, F_SETFD, 0);
		execl(FRONT_ACTOR, "troupe-front", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	char path[128], text[16];
	snprintf(path, sizeof path, "%s/pid", dir);
	snprintf(text, sizeof text, "%d", (int)pid);
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (write(file, text, strlen(text)) < 0)
		_exit(1);
	close(file);
	lifeline_init(&l, ends[0]);
	send_setup(&l, role, incarnation);
	fcntl(ends[0], F_SETFL, 0); /* blocking: this supervisor has nothing else to do */
	for (;;) {
		struct arena *a;
		Troupe__Control *c;
		int fd = -1;
		struct error e;
		int code = lifeline_receive(&l, &a, &c, &fd, &e);
		if (code < 0)
			break;
		if (code > 0)
			continue;
		if (fd >= 0)
			close(fd);
		if (c->body_case == TROUPE__CONTROL__BODY_RELAY)
			answer_relay(&l, c->ref, c->relay);
		arena_unref(a);
	}
	lifeline_fini(&l);
	waitpid(pid, NULL, 0);
}

static void supervise(Troupe__Role role)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned incarnation = 1;; incarnation++)
		supervise_once(role, incarnation);
}

static void node_begins(Troupe__Role role)
{
	char path[128];
	struct stat st;
	strcpy(dir, "/tmp/troupe-front.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/a", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	supervisor = fork();
	if (supervisor == 0)
		supervise(role);
	snprintf(path, sizeof path, "%s/front", dir);
	uint64_t until_ms = clock_mono_ms() + 10000;
	while (stat(path, &st) < 0) {
		ck_assert_msg(clock_mono_ms() < until_ms, "front does not listen");
		usleep(1000);
	}
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	struct client_config c = { .run_dir = dir, .timeout_ms = 10000 };
	ck_assert_int_eq(client_open(&c, &client, &error), 0);
}

static void as_admin(void) { node_begins(TROUPE__ROLE__ADMIN); }
static void as_viewer(void) { node_begins(TROUPE__ROLE__VIEWER); }

static void node_ends(void)
{
	char command[96];
	arena_unref(arena);
	client_close(client);
	kill(supervisor, SIGKILL);
	waitpid(supervisor, NULL, 0);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static int ask(Troupe__Envelope *env, uint64_t timeout_ms)
{
	arena = arena_unref(arena);
	memset(&error, 0, sizeof error);
	return client_ask(client, NULL, env, timeout_ms, &arena, &answer, &error);
}

static int ask_status(void)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__StatusAsk body = TROUPE__STATUS_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
	env.status_ask = &body;
	env.subject = (char *)"uid 12345 (somebody else)";
	return ask(&env, 0);
}

START_TEST(the_supervisors_answer_comes_back_and_it_was_told_who_asked)
{
	char uid[32];
	ck_assert_int_eq(ask_status(), 0);
	ck_assert_int_eq(answer->body_case, TROUPE__ENVELOPE__BODY_STATUS);
	ck_assert_str_eq(answer->status->state, "running");
	snprintf(uid, sizeof uid, "uid %u", (unsigned)getuid());
	ck_assert_msg(strncmp(answer->status->config, uid, strlen(uid)) == 0, "the subject was '%s'", answer->status->config);
}
END_TEST

START_TEST(the_supervisors_refusal_comes_back_with_its_cure)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CrashAsk body = TROUPE__CRASH_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CRASH_ASK;
	env.crash_ask = &body;
	ck_assert_int_eq(ask(&env, 0), ERROR_NOT_FOUND);
	ck_assert_str_eq(error.text, "no such report");
	ck_assert_str_eq(error.cure, "look elsewhere");
}
END_TEST

START_TEST(a_request_that_the_supervisor_leaves_lying_ends)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TailAsk body = TROUPE__TAIL_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_TAIL_ASK;
	env.tail_ask = &body;
	body.address = (char *)"x:1";
	ck_assert_int_eq(ask(&env, 200), ERROR_TIMEOUT);
	ck_assert_int_eq(ask_status(), 0);
}
END_TEST

static pid_t front_pid(void)
{
	char path[128], text[16] = "";
	snprintf(path, sizeof path, "%s/pid", dir);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
	fclose(f);
	return atoi(text);
}

START_TEST(a_front_that_dies_is_a_pause)
{
	ck_assert_int_eq(ask_status(), 0);
	for (int round = 0; round < 5; round++) {
		kill(front_pid(), SIGKILL);
		ck_assert_msg(ask_status() == 0, "round %d: %s", round, error.text);
	}
	ck_assert_uint_ge(client_reconnects(client), 1);
}
END_TEST

START_TEST(a_viewer_may_look_and_not_touch)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__ChildOrder body = TROUPE__CHILD_ORDER__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CHILD_ORDER;
	env.child_order = &body;
	body.op = TROUPE__CHILD_ORDER__OP__KILL;
	body.address = (char *)"front:main";
	ck_assert_int_eq(ask(&env, 0), ERROR_NOT_ALLOWED);
	ck_assert_int_eq(ask_status(), 0);
}
END_TEST

START_TEST(what_is_not_the_supervisors_is_not_fronts)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueAsk body = TROUPE__QUEUE_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &body;
	ck_assert_int_eq(ask(&env, 0), ERROR_NO_VERB);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("front process");
	TCase *c = tcase_create("admin");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, as_admin, node_ends);
	tcase_add_test(c, the_supervisors_answer_comes_back_and_it_was_told_who_asked);
	tcase_add_test(c, the_supervisors_refusal_comes_back_with_its_cure);
	tcase_add_test(c, a_request_that_the_supervisor_leaves_lying_ends);
	tcase_add_test(c, a_front_that_dies_is_a_pause);
	tcase_add_test(c, what_is_not_the_supervisors_is_not_fronts);
	suite_add_tcase(s, c);
	TCase *v = tcase_create("viewer");
	tcase_set_timeout(v, 60);
	tcase_add_checked_fixture(v, as_viewer, node_ends);
	tcase_add_test(v, a_viewer_may_look_and_not_touch);
	suite_add_tcase(s, v);
	return s;
}

int main(void) { return suite_run(suite()); }
