"""What arms were told and did, and the files that say so."""

from edmp.recordings.log import Gap, Log
from edmp.recordings.log_file import read_log, write_log
from edmp.recordings.log_info import JointInfo, LogInfo, describe_log
from edmp.recordings.mcap_file import RecordingFile, load_recording, save_recording
from edmp.recordings.recording import Handled, Recording

__all__ = [
    "Gap",
    "Handled",
    "JointInfo",
    "Log",
    "LogInfo",
    "Recording",
    "RecordingFile",
    "describe_log",
    "load_recording",
    "read_log",
    "save_recording",
    "write_log",
]
