// An empty program, to measure the process itself.
