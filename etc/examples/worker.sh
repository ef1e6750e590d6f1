#!/bin/sh
# A lines worker in plain shell: it takes a task, says that it is done, and how long the line was. An empty payload it refuses for good.
echo '{"hello":1,"max":1}'
while IFS= read -r line; do
	case $line in
	'{"quit"'*) exit 0 ;;
	'{"task":"'*) id=${line#'{"task":"'} id=${id%%\"*} ;;
	*) continue ;;
	esac
	case $line in
	*'"payload":""'*) printf '{"fail":"%s","error":"an empty payload","retry":false}\n' "$id" ;;
	*) printf '{"done":"%s","result":%d}\n' "$id" "${#line}" ;;
	esac
done
