#include "actors/coordinator/coordinator.h"

int main(int argc, char **argv)
{
	return actor_main(&coordinator_def, argc, argv);
}
