#pragma once
/* Arrays that grow. */
#include <stdlib.h>

/* Makes room for need elements. NULL without memory (then the old one is still there). */
static inline void *grown(void *all, size_t *room, size_t need, size_t size)
{
	if (need <= *room)
		return all;
	size_t more = *room ? *room * 2 : 16;
	while (more < need)
		more *= 2;
	void *p = reallocarray(all, more, size);
	if (p)
		*room = more;
	return p;
}
#define GROW(array, room, need) __extension__({ void *_p = grown((array), &(room), (need), sizeof *(array)); if (_p) (array) = _p; _p != NULL; })
