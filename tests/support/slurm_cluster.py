"""A real SLURM on this machine: munge, slurmctld and slurmd, with two partitions of which one preempts the other."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import HANG_SECONDS, wait_until

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=300
SchedulerParameters=sched_interval=2,batch_sched_delay=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000
PartitionName=low Nodes={host} Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=high Nodes={host} MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str | None:
    """Why there can be no SLURM here; None where there can."""
    absent = [p for p in PROGRAMS if shutil.which(p) is None and not Path(f"/usr/sbin/{p}").exists()]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return None if os.geteuid() == 0 else "the daemons want root"


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[None]:
    """Start the daemons with their state in `folder`, and stop them at the end."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=socket.gethostname(), folder=folder, cpus=os.cpu_count()))
    os.environ["SLURM_CONF"] = str(conf)
    os.environ["PATH"] += ":/usr/sbin"
    _start_munge()
    daemons = [subprocess.Popen(["slurmctld", "-D", "-i"]), subprocess.Popen(["slurmd", "-D"])]
    try:
        _wait(lambda: "idle" in output("sinfo", "-h", "-o", "%T"), "the node was not idle")
        yield
    finally:
        subprocess.run(["scancel", "--full", "--partition=low", "--partition=high"], check=False, capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=HANG_SECONDS)


def output(*arguments: str) -> str:
    """What a SLURM command prints; its errors too."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=HANG_SECONDS)
    return done.stdout + done.stderr


def wait_for_end(jobs: list[str]) -> None:
    """Wait until none of `jobs` is queued or running."""
    _wait(lambda: not output("squeue", "-h", "-j", ",".join(jobs)).strip(), "jobs did not leave the queue")


def _start_munge() -> None:
    if _munge_answers():
        return
    for path in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
        Path(path).mkdir(exist_ok=True)
        shutil.chown(path, "munge", "munge")
    if not Path("/etc/munge/munge.key").exists():
        subprocess.run(["mungekey", "--create"], check=True)
        shutil.chown("/etc/munge/munge.key", "munge", "munge")
    subprocess.run(["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--force"], check=True)
    _wait(_munge_answers, "munge did not answer")


def _munge_answers() -> bool:
    return subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0


def _wait(met: Callable[[], object], what: str) -> None:
    wait_until(met, what, every=0.5, details=lambda: f"{output('squeue')}\n{output('sinfo')}")
