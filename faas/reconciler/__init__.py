"""The reconciler makes the promise true: whatever was lost on the way, it finds in the database and sets going again. Any number may run."""
