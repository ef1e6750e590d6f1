#include "common/work/exit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/error.h"

static Troupe__ExitClass class_of_code(const struct exit_facts *f, int code)
{
	switch (code) {
	case 0:
	case 99:
		return f->answered ? TROUPE__EXIT_CLASS__EXIT_DONE : TROUPE__EXIT_CLASS__EXIT_FAILED;
	case 75:
	case 111:
		return TROUPE__EXIT_CLASS__EXIT_LATER;
	case 65:
	case 100:
		return TROUPE__EXIT_CLASS__EXIT_REJECTED;
	case 126:
	case 127:
		return TROUPE__EXIT_CLASS__EXIT_BROKEN;
	default:
		return TROUPE__EXIT_CLASS__EXIT_FAILED;
	}
}

static Troupe__ExitClass class_of_signal(const struct exit_facts *f)
{
	if (f->oom && WTERMSIG(f->status) == SIGKILL)
		return TROUPE__EXIT_CLASS__EXIT_OOM;
	return WCOREDUMP(f->status) ? TROUPE__EXIT_CLASS__EXIT_CORE : TROUPE__EXIT_CLASS__EXIT_SIGNAL;
}

static void say_how(struct exit_verdict *v, const struct exit_facts *f)
{
	if (v->signal) {
		const char *name = sigabbrev_np(v->signal);
		snprintf(v->text, sizeof(v->text), "signal %d (%s%s)%s%s", v->signal, name ? "SIG" : "?", name ? name : "",
		         WCOREDUMP(f->status) ? ", core dumped" : "", v->exit_class == TROUPE__EXIT_CLASS__EXIT_OOM ? ", out of memory" : "");
	} else if (v->exit_class != TROUPE__EXIT_CLASS__EXIT_DONE) {
		snprintf(v->text, sizeof(v->text), "exit status %d%s", v->code, f->answered ? "" : " without an answer");
	}
}

struct exit_verdict exit_judge(const struct exit_facts *f)
{
	struct exit_verdict v = { 0 };
	if (WIFSIGNALED(f->status)) {
		v.signal = WTERMSIG(f->status);
		v.exit_class = class_of_signal(f);
	} else {
		v.code = WEXITSTATUS(f->status);
		v.exit_class = class_of_code(f, v.code);
		v.drain = v.code == 99;
	}
	say_how(&v, f);
	switch (f->why) {
	case STOP_NOT:
		return v;
	case STOP_TIMEOUT:
		v.exit_class = TROUPE__EXIT_CLASS__EXIT_TIMEOUT;
		snprintf(v.text, sizeof(v.text), "the execution timeout passed");
		break;
	case STOP_CANCEL:
		v.exit_class = TROUPE__EXIT_CLASS__EXIT_CANCELLED;
		snprintf(v.text, sizeof(v.text), "cancelled");
		break;
	case STOP_TAKEN:
	case STOP_NODE:
		v.exit_class = TROUPE__EXIT_CLASS__EXIT_LOST;
		snprintf(v.text, sizeof(v.text), "the worker was stopped");
		break;
	case STOP_OTHERS:
		v.exit_class = TROUPE__EXIT_CLASS__EXIT_LOST;
		snprintf(v.text, sizeof(v.text), "the program was stopped because of another task");
		break;
	}
	return v;
}
