"""AlexNet, ResNet and DenseNet: uint8 cutouts to logits, in Keras only."""
