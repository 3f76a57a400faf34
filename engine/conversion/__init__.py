"""Converting pictures with a trained model, and the file a model lives in."""
