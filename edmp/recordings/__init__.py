"""What arms were told and did, and the files that say so."""

from edmp.recordings.log import Gap, Log
from edmp.recordings.mcap_file import RecordingFile, load_recording, save_recording
from edmp.recordings.recording import Handled, Recording

__all__ = ["Gap", "Handled", "Log", "Recording", "RecordingFile", "load_recording", "save_recording"]
