#include <stdio.h>
#include <string.h>
#include "actors/coordinator/check.h"
#include "actors/coordinator/coordinator.h"

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--check") == 0)
		return check_offline(argv[2], stdout);
	return actor_main(&coordinator_def, argc, argv);
}
