#include "common/work/says.h"

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define LINES_A_SECOND 20u

bool says_may(struct says *s, uint64_t now_ms, uint64_t *ret_missed)
{
	if (now_ms / 1000 != s->second) {
		s->second = now_ms / 1000;
		s->n = 0;
	}
	if (s->n++ >= LINES_A_SECOND) {
		s->missed++;
		return false;
	}
	*ret_missed = steal(&s->missed);
	return true;
}

static void say(struct says *s, uint64_t now_ms)
{
	uint64_t missed;
	size_t len = steal(&s->len);
	if (!len || !says_may(s, now_ms, &missed))
		return;
	s->line[len] = '\0';
	utf8_clean(s->line);
	log_info("the program says", LOG_S("line", s->line), LOG_U("not_shown", missed));
}

void says_lines(struct says *s, const void *data, size_t len, uint64_t now_ms)
{
	const char *at = data;
	for (size_t i = 0; i < len; i++) {
		if (at[i] == '\n')
			say(s, now_ms);
		else if (s->len < SAYS_LINE)
			s->line[s->len++] = at[i] ? at[i] : ' ';
	}
}
