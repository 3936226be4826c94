"""Texts of the kernel, of data-loader processes, of gloo and of Ultralytics; see `texts`."""

from __future__ import annotations

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from .texts import Cause, Text

_FILES_HINT = "lower spec.template.workers, or let the container runtime of the nodes allow more open files"
_THREADS_HINT = "lower spec.template.workers, or let the kubelet of the nodes allow more processes a pod"
_CHECKPOINT_HINT = "the checkpoint is broken: start the run without resume, or from other weights"
_PEER = "another process of the training is gone, and did not say why: "

HOST_CAUSES: tuple[Cause, ...] = (
    Cause(
        Reason.TRAINING_FAILED,
        ExitCode.FAILED,
        (
            Text(
                r"received \d+ items of ancdata",
                "RuntimeError: received 0 items of ancdata",
                "pytorch/pytorch#973",
            ),
            Text(
                r"Too many open files",
                "RuntimeError: unable to open shared memory object </torch_30997_2076642173> in "
                "read-write mode: "
                "Too many open files (24)",
                "pytorch/pytorch#11201, datalab-to/marker#181, torch/utils/data/dataloader.py",
            ),
        ),
        hint=_FILES_HINT,
    ),
    Cause(
        Reason.TRAINING_FAILED,
        ExitCode.FAILED,
        (
            Text(
                r"can't start new thread", "RuntimeError: can't start new thread", "CPython _threadmodule.c"
            ),
            Text(
                r"Thread creation failed: Resource temporarily unavailable|pthread_create failed",
                "libgomp: Thread creation failed: Resource temporarily unavailable",
                "GCC libgomp/team.c",
            ),
        ),
        hint=_THREADS_HINT,
    ),
    # A full /dev/shm says the same words as a full disk: what tells them apart is whose file it is.
    Cause(
        Reason.SHARED_MEMORY_EXHAUSTED,
        ExitCode.WORKER_KILLED,
        (
            Text(
                r"unable to write to file </torch_",
                "RuntimeError: unable to write to file </torch_31911_952036340_6686>: No space left on "
                "device (28)",
                "idiap/ESLAM#20, MIC-DKFZ/nnUNet#2162, pytorch/pytorch#3948",
            ),
            Text(
                r"unable to resize file </torch_",
                "RuntimeError: unable to resize file </torch_22438_3818345986> to the right size",
                "pytorch/pytorch#20409",
            ),
            Text(
                r"unable to allocate shared memory ?\(shm\)",
                "RuntimeError: unable to allocate shared memory(shm) for file "
                "</torch_1140157_3143461634_13983>: "
                "Success (0)",
                "pytorch aten/src/ATen/MapAllocator.cpp (2.x, posix_fallocate)",
            ),
            Text(
                r"unable to (?:mmap|open|allocate)[^\n]*(?:</torch_|shm)[^\n]*",
                "RuntimeError: unable to mmap 1228800 bytes from file </torch_2211_3>: Cannot allocate "
                "memory (12)",
                "pytorch aten/src/ATen/MapAllocator.cpp",
            ),
            Text(
                r"killed by signal: Bus error|Unexpected bus error encountered in worker"
                r"|insufficient shared memory|out of shared memory",
                "RuntimeError: DataLoader worker (pid 46794) is killed by signal: Bus error. It is "
                "possible that "
                "dataloader's workers are out of shared memory. Please try to raise your shared memory "
                "limit.",
                "pytorch/pytorch#5040, pytorch/pytorch#108861, torch/csrc/DataLoader.cpp",
            ),
            Text(
                r"(?:/dev/shm|multiprocessing/(?:synchronize|heap|shared_memory)\.py).*No space left on "
                r"device",
                "OSError: Caught OSError in DataLoader worker process 0. File "
                '"/usr/lib/python3.10/multiprocessing/'
                'synchronize.py", line 57, in __init__ OSError: [Errno 28] No space left on device',
                "NVIDIA/Megatron-LM#878",
            ),
            Text(
                r"No space left on device[^\n]*(?:/dev/shm|/torch_\d)",
                "OSError: [Errno 28] No space left on device: '/dev/shm/pym-4711-ab12cd'",
                "Linux tmpfs, CPython multiprocessing/heap.py",
            ),
            Text(
                r"creating shared memory segment|extend /dev/shm/nccl|posix_fallocate failed",
                "torch.distributed.DistBackendError: NCCL error: unhandled system error, NCCL version "
                "2.27.5 Last "
                "error: Error while creating shared memory segment /dev/shm/nccl-WU88OE (size 9637888), "
                "error: No "
                "space left on device (28)",
                "NVIDIA/nccl#290, NVIDIA/nccl#525, pytorch/ci-infra#490",
            ),
        ),
    ),
    Cause(
        Reason.DISK_FULL,
        ExitCode.DISK_FULL,
        (
            Text(
                r"No space left on device",
                "OSError: [Errno 28] No space left on device",
                "Linux ENOSPC",
            ),
            Text(r"Disk quota exceeded", "OSError: [Errno 122] Disk quota exceeded", "Linux EDQUOT"),
            Text(
                r"PytorchStreamWriter failed writing",
                "RuntimeError: [enforce fail at inline_container.cc:778] . PytorchStreamWriter failed "
                "writing file "
                "data.pkl: file write failed",
                "h2oai/h2o-llmstudio#214, SWivid/F5-TTS#458",
            ),
            Text(
                r"unexpected pos \d+ vs \d+",
                "RuntimeError: [enforce fail at inline_container.cc:603] . unexpected pos 190007680 vs "
                "190007572",
                "innnky/so-vits-svc#46, pytorch/pytorch#121833",
            ),
        ),
    ),
    # Labels are the usual cause, but it is not proven: prepare has checked them. No other node helps.
    Cause(
        Reason.OOM_KILLED,
        ExitCode.WORKER_KILLED,
        (
            Text(
                r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory)",
                "RuntimeError: [enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't "
                "allocate "
                "memory: you tried to allocate 132426121216 bytes. Error code 12 (Cannot allocate memory)",
                "mxfold/mxfold2#20, pytorch/pytorch#20618",
            ),
            Text(
                r"Cannot allocate memory",
                "OSError: [Errno 12] Cannot allocate memory",
                "Linux ENOMEM",
            ),
            Text(
                r"Insufficient memory.*Failed to allocate \d+ bytes|_ArrayMemoryError|Unable to allocate "
                r".*iB for an",
                "cv2.error: OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to "
                "allocate 37748736 "
                "bytes in function 'OutOfMemoryError'",
                "OpenCV modules/core/src/alloc.cpp, NumPy core/_exceptions.py",
            ),
        ),
    ),
    Cause(
        Reason.WORKER_KILLED,
        ExitCode.WORKER_KILLED,
        (
            Text(
                r"DataLoader worker .* is killed by signal",
                "RuntimeError: DataLoader worker (pid 325) is killed by signal: Killed.",
                "torch/csrc/DataLoader.cpp",
            ),
            Text(
                r"DataLoader worker .* exited unexpectedly",
                "RuntimeError: DataLoader worker (pid(s) 3216) exited unexpectedly",
                "torch/utils/data/dataloader.py",
            ),
            Text(
                r"Pin memory thread exited unexpectedly|DataLoader timed out",
                "RuntimeError: Pin memory thread exited unexpectedly",
                "torch/utils/data/dataloader.py",
            ),
            Text(
                r"BrokenProcessPool",
                "BrokenProcessPool: A process in the process pool was terminated abruptly while the "
                "future was "
                "running or pending.",
                "CPython concurrent/futures/process.py",
            ),
        ),
    ),
    # A rank that is left behind speaks first, and of the connection alone.
    Cause(
        Reason.WORKER_KILLED,
        ExitCode.WORKER_KILLED,
        (
            Text(
                r"gloo/transport/.*(?:Connection (?:closed|reset) by peer|Broken pipe)",
                "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:589] Read error "
                "[192.168.70.92]:25266: "
                "Connection reset by peer",
                "RVC-Project/Retrieval-based-Voice-Conversion-WebUI#1882, pytorch/pytorch#75512",
            ),
            Text(
                r"Timed out waiting \d+ms for (?:recv|send) operation",
                "RuntimeError: [gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for "
                "recv "
                "operation to complete",
                "pytorch/gloo#511",
            ),
            Text(
                r"ncclRemoteError|remote process exited or there was a network error",
                "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.hpp:268, remote process "
                "exited or there "
                "was a network error, NCCL version 2.21.5 ncclRemoteError: A call failed possibly due to "
                "a network "
                "error or a remote process exiting prematurely.",
                "NVIDIA/nccl#2076, hiyouga/LlamaFactory#6849",
            ),
            Text(
                r"Watchdog caught collective operation timeout",
                "DistBackendError: [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=4, "
                "OpType=BROADCAST, NumelIn=112, NumelOut=112, Timeout(ms)=1800000) ran for 1800010 "
                "milliseconds",
                "huggingface/open-r1#620",
            ),
            Text(
                r"NCCL communicator was aborted|ncclInternalError|DistStoreError|DistNetworkError",
                "RuntimeError: NCCL communicator was aborted on rank 0.",
                "NVIDIA/nccl#795, pytorch torch/csrc/distributed/c10d/NCCLUtils.cpp",
            ),
        ),
        secondhand=True,
        prefix=_PEER,
    ),
    Cause(
        Reason.VOLUME_UNAVAILABLE,
        ExitCode.VOLUME_UNAVAILABLE,
        (
            Text(
                r"Stale (?:NFS )?file handle",
                "OSError: [Errno 116] Stale file handle",
                "huggingface/transformers#9732, sdtemple/isweep#30 (run again, it works)",
            ),
            Text(
                r"Input/output error",
                "RuntimeError: write(): fd 29 failed with Input/output error",
                "pytorch/pytorch#10577",
            ),
            Text(r"Remote I/O error", "OSError: [Errno 121] Remote I/O error", "Linux EREMOTEIO"),
            Text(
                r"Transport endpoint is not connected|Transport endpoint shutdown",
                "OSError: [Errno 107] Transport endpoint is not connected: '/data/prepared'",
                "Linux ENOTCONN (a FUSE mount whose server ended)",
            ),
            Text(
                r"\[Errno 112\] Host is down", "OSError: [Errno 112] Host is down: '/runs'", "Linux EHOSTDOWN"
            ),
        ),
    ),
    Cause(
        Reason.DIVERGED,
        ExitCode.FAILED,
        (
            Text(
                r"NaN persisted for",
                "RuntimeError: Training failed: NaN persisted for 3 epochs",
                "ultralytics/engine/trainer.py, ultralytics/ultralytics#22352",
            ),
        ),
    ),
    Cause(
        Reason.TRAINING_FAILED,
        ExitCode.FAILED,
        (
            Text(
                r"is corrupted with NaN/Inf weights",
                "RuntimeError: Checkpoint /runs/weights/last.pt is corrupted with NaN/Inf weights",
                "ultralytics/ultralytics#23327",
            ),
        ),
        hint=_CHECKPOINT_HINT,
    ),
    Cause(
        Reason.INVALID_DATA,
        ExitCode.DATA,
        (
            Text(
                r"Dataset '.*' (?:error|images not found)|images not found",
                "RuntimeError: Dataset '/data/prepared/4f/data.yaml' error ❌ images not found",
                "ultralytics/engine/trainer.py, ultralytics/data/utils.py",
            ),
            Text(
                r"No valid images found|No labels found",
                "RuntimeError: No valid images found in /data/prepared/4f/labels/train.cache.",
                "ultralytics/data/dataset.py",
            ),
        ),
    ),
)
