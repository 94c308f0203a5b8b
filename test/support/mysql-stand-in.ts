/**
 * The programs of an image that behaves as the public MySQL image does, as far as job files see it: it wants a
 * password, makes its data folder, tells of a temporary server (port 0) long before the real one, and answers the
 * client programs on port 3306. It speaks a protocol of its own: only these clients understand it.
 */
export const mysqlPrograms: Readonly<Record<string, string>> = {
  "docker-entrypoint.sh": `#!/bin/sh
[ "$1" = mysqld ] || exec "$@"
data=/var/lib/mysql
if [ -z "$MYSQL_ROOT_PASSWORD" ]; then
  echo "[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified" >&2
  exit 1
fi
if [ ! -e $data/ibdata1 ]; then
  echo "[Note] [Entrypoint]: Initializing database files"
  printf %s "$MYSQL_ROOT_PASSWORD" > $data/ibdata1 && mkdir $data/mysql $data/\${MYSQL_DATABASE:-test} || exit 1
  echo "[System] [Server] /usr/sbin/mysqld: ready for connections. Version: '8.0.31'  port: 0  Community Server"
  sleep 1
fi
exec "$@"
`,
  mysqld: `#!/bin/sh
nc -ll -p 3306 -e mysql-session &
server=$!
trap 'kill $server; echo "[System] [Server] /usr/sbin/mysqld: Shutdown complete"; exit 0' TERM
echo "[System] [Server] /usr/sbin/mysqld: ready for connections. Version: '8.0.31'  port: 3306  Community Server"
wait
`,
  "mysql-session": `#!/bin/sh
read -r user password statement
if [ "$user $password" != "root $(cat /var/lib/mysql/ibdata1)" ]; then
  echo "ERROR 1045 (28000): Access denied for user '$user'"
elif [ "$statement" = "SHOW DATABASES" ]; then
  cd /var/lib/mysql && for name in */; do echo "\${name%/}"; done
else
  echo "mysqld is alive"
fi
`,
  mysql: `#!/bin/sh
host=127.0.0.1
while getopts u:p:h:e: option; do
  case $option in u) user=$OPTARG ;; p) password=$OPTARG ;; h) host=$OPTARG ;; e) statement=$OPTARG ;; esac
done
answer=$(echo "$user $password $statement" | nc -w 5 "$host" 3306) || exit 1
echo "$answer"
case $answer in ERROR*|"") exit 1 ;; esac
`,
  mysqladmin: `#!/bin/sh
exec mysql "$@"
`,
};
