#pragma once
/* Private to the peer: what its three files share. */
#include <sys/queue.h>

#include "common/io/peer.h"

enum peer_state { PEER_DIALLING, PEER_GREETING, PEER_UP, PEER_ENDING };
enum peer_farewell { FAREWELL_NONE, FAREWELL_BYE, FAREWELL_REFUSAL /* Bye and a Failure, also before the greeting is done */ };

struct peer {
	TAILQ_ENTRY(peer) dirty_entry;
	struct peer_hub *hub;
	struct channel *channel;
	enum peer_state state;
	bool dialled, anonymous, was_up, dirty;
	bool refused;              /* a send met ERROR_BUSY: room is owed */
	uint64_t number, incarnation;
	char address[WIRE_ADDRESS_MAX + 1];
	void *user;
	struct error why;          /* of the end */
	uint32_t credit;           /* what we may still send */
	uint32_t window;           /* what we gave at the greeting */
	uint32_t window_left;      /* what the other end may still send */
	uint32_t granted;          /* consumed, and not yet given back */
	struct frame_writer out;   /* the frame being built */
};

struct peer_hub {
	struct peer_config config;
	const struct peer_events *events;
	void *ctx;
	struct channel_hub *channels;
	TAILQ_HEAD(, peer) dirty;  /* with something to be flushed */
};

/* peer.c */
void peer_end(struct peer *p, enum error_code code, const char *text, enum peer_farewell farewell);

/* peer_receive.c */
void peer_receive(struct peer *p, const uint8_t *data, size_t len);

/* peer_send.c */
int peer_send_hello(struct peer *p);
int peer_send_welcome(struct peer *p);
void peer_send_bye(struct peer *p, enum error_code code, const char *text, bool with_failure);
void peer_room(struct peer *p);    /* tells the owner, where room is owed and is there */
void peer_dirty(struct peer *p);
