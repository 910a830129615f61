"""Augmentation of training images: geometry, RandAugment, mixing, decoded views."""
