#pragma once
/* Who gets what. */
struct coordinator;
struct turn;

int choose(struct turn *t, struct coordinator *c);    /* in settle: leases and RUN for all who have room, ready rows for the rest */
