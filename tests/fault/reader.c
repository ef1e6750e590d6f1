/* reader DIR: a reader of a store that does not go away: it holds a transaction until its stdin ends. Prints a line when it holds it. */
#include <stdio.h>
#include <unistd.h>
#include <lmdb.h>

int main(int argc, char **argv)
{
	MDB_env *env;
	MDB_txn *txn;
	char end;
	int r = argc == 2 ? mdb_env_create(&env) : -1;
	if (!r)
		r = mdb_env_open(env, argv[1], MDB_RDONLY, 0);
	if (!r)
		r = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (r) {
		fprintf(stderr, "reader: %s\n", mdb_strerror(r));
		return 1;
	}
	printf("holds\n");
	fflush(stdout);
	while (read(0, &end, 1) > 0)
		continue;
	return 0;
}
