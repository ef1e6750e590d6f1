#include "actors/worker/worker.h"

int main(int argc, char **argv)
{
	return actor_main(&worker_def, argc, argv);
}
