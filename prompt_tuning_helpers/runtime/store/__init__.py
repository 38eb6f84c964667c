"""What the runtime keeps: plain objects over the database and the state folder, free of HTTP."""
