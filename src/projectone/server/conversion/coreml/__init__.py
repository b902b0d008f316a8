"""Whisper as Core ML packages for WhisperKit: written as graphs, checked as files, all of it without a Mac."""
