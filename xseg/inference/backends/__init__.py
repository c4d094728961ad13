"""What computes a network: torch itself, OpenVINO or ONNX Runtime."""
