#!/bin/sh
set -eu
test "$APP_ENV $PORT" = "test 3306"
test "${ALFRED_TASK_FQN##*/}" = "$ALFRED_TASK"
{
  echo "$(cat "$ALFRED_SHARED/greeting") from $ALFRED_TASK_FQN with $ALFRED_NB_SLOTS_FOR_TASK slots"
  mysql -u root -proot -h mysql -e "SHOW DATABASES"
  printf 'PING\r\n' | nc -w 5 redis 6379 | head -n 1 | tr -d '\r'
} > "$ALFRED_OUTPUT/report.txt"
