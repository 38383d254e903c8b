#!/bin/sh
# Run by the mongo image on an empty database: the one user besides the administrator. May be run
# again, on a database that an earlier version made (docs/how-to/run-with-compose.md).
METADATA_PASSWORD=$(cat /credentials/mongodb-metadata) \
ADMIN_PASSWORD=$(cat /credentials/mongodb-admin) \
mongosh --quiet --host 127.0.0.1 admin --eval '
  db.auth("admin", process.env.ADMIN_PASSWORD);
  const account = {
    pwd: process.env.METADATA_PASSWORD,
    roles: [{role: "readWrite", db: "image_system"}, {role: "dbAdmin", db: "image_system"}],
  };
  if (db.getUser("metadata")) {
    db.updateUser("metadata", account);
  } else {
    db.createUser({user: "metadata", ...account});
  }
'
