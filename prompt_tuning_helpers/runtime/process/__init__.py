"""The runtime as a process: which one uses a state folder, who uses it, and when it ends."""
