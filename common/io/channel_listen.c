#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/io/channel_internal.h"

void url_kind(const char *url, bool *ret_framed_as_ipc, bool *ret_try_first)
{
	*ret_framed_as_ipc = strncmp(url, "ipc://", 6) == 0 || strncmp(url, "unix://", 7) == 0;
	*ret_try_first = strncmp(url, "tls", 3) != 0;
}

void listener_accept(struct listener *l)
{
	l->retry_at_ms = TIME_NEVER;
	l->accept.busy = true;
	nng_stream_listener_accept(l->nng, l->accept.aio);
}

static void on_accepted(struct op *o)
{
	struct listener *l = container_of(o, struct listener, accept);
	struct channel_hub *h = o->hub;
	int rv = nng_aio_result(o->aio);
	if (rv == 0) {
		nng_stream *stream = nng_aio_get_output(o->aio, 0);
		if (h->closing || h->n_accepted >= h->limits.connections_max || !channel_accepted(h, stream, l->framed_as_ipc, l->try_first))
			nng_stream_free(stream);
	}
	if (h->closing)
		return;
	if (rv == 0) {
		listener_accept(l);
	} else {
		/* No fd or no memory left, most likely. At once it would fail again. */
		l->retry_at_ms = loop_now_ms(h->loop) + ACCEPT_RETRY_MS;
		hub_deadline(h, l->retry_at_ms);
	}
}

void listener_close(struct listener *l)
{
	nng_stream_listener_close(l->nng);
}

struct listener *listener_free(struct listener *l)
{
	op_fini(&l->accept);
	if (l->nng)
		nng_stream_listener_free(l->nng);
	free(l);
	return NULL;
}

int channel_listen(struct channel_hub *h, const char *url, mode_t mode, struct error *e)
{
	struct listener *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	url_kind(url, &l->framed_as_ipc, &l->try_first);
	int r = op_init(&l->accept, h, on_accepted);
	if (r) {
		listener_free(l);
		return r;
	}
	int rv = nng_stream_listener_alloc(&l->nng, url);
	if (rv == 0 && l->framed_as_ipc && mode)
		rv = nng_stream_listener_set_int(l->nng, NNG_OPT_IPC_PERMISSIONS, (int)mode);
	/* nng changes the mode only after the socket is there: without this everybody could connect for a moment. */
	mode_t before = mode ? umask(0777 & ~mode) : 0;
	if (rv == 0)
		rv = nng_stream_listener_listen(l->nng);
	if (mode)
		umask(before);
	if (rv) {
		r = error_set_nng(e, rv, url);
		listener_free(l);
		return r;
	}
	SLIST_INSERT_HEAD(&h->listeners, l, entry);
	listener_accept(l);
	return 0;
}
