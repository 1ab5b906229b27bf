"""The LightningModule for contrastive training, and its optimiser."""
