"""Backends for inference: torch, OpenVINO and ONNX Runtime."""
