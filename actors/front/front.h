#pragma once
/* The operators' door: what clients ask of the supervisor goes through it. */
#include "common/actor/actor.h"
extern const struct actor_def front_def;
