"""Label maps: names, colours and numbers of classes, and the known sets."""
