#include "actors/topic/topic.h"

int main(int argc, char **argv)
{
	return actor_main(&topic_def, argc, argv);
}
