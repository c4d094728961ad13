"""Classification: images in folders of classes, and training an Xception whole on them, as its paper does."""
