"""Orthanc with its DICOMweb plugin as the peer.

Debian's Orthanc listens on every address whatever its configuration says, so it runs, with the tests that talk to it,
in a network namespace where only the loopback interface is up.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BODY = Path(__file__).with_name("orthanc_body.py")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ALONE = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def missing():
    """What keeps these tests from running, or ""."""
    if not (shutil.which("Orthanc") or Path("/usr/sbin/Orthanc").is_file()) or not PLUGIN.is_file():
        return "Orthanc with its DICOMweb plugin is not installed (Debian: orthanc, orthanc-dicomweb)"
    if not shutil.which("unshare") or subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        return "no network namespace can be made here (unshare, ip)"
    return ""


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_against_orthanc(tmp_path):
    options = ["-p", "no:cacheprovider", "--noconftest", f"--basetemp={tmp_path / 'inner'}"]
    command = [sys.executable, "-m", "pytest", *options, str(BODY)]
    environment = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    done = subprocess.run(
        [*ALONE, *command], cwd=BODY.parents[2], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
