"""Image files become arrays, arrays become network input, and masks are drawn over images."""
