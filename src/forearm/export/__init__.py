"""A run for elsewhere: its prediction as ONNX, and a page that plays it without Python."""
