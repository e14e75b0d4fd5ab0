"""The long computations of the book, a module a study; each lists its sizes in SCALES (see nearsight.scales)."""
