import os
import subprocess
import sys

from anatomy_clip.core.processors import free_processors, processors


def test_a_container_is_given_what_its_quota_says(tmp_path):
    quota = tmp_path / "cpu.max"
    bound = processors(tmp_path / "absent")
    for text, given in (("max 100000", bound), ("100000 100000", 1), ("50000 100000", 1), ("broken", bound)):
        quota.write_text(text + "\n")
        assert processors(quota) == given
    quota.write_text(f"{100_000 * (bound + 3)} 100000\n")
    assert processors(quota) == bound


def test_waiting_threads_sleep_unless_told_otherwise():
    show = "import os, anatomy_clip.cli.program as p; p.set_environment(); print(os.environ['OMP_WAIT_POLICY'])"
    for given, said in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | given
        done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said


def test_a_busy_process_takes_a_processor():
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(processors() + 1)]
    try:
        assert free_processors(0.3) == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert 1 <= free_processors(0.1) <= processors()
