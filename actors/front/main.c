#include "actors/front/front.h"

int main(int argc, char **argv) { return actor_main(&front_def, argc, argv); }
